"""Load: copies the manifest's files into tables of this attempt alone. Publish decides what reaches the fact table."""

from collections.abc import Sequence

from tasks.batch import StagingTables
from tasks.errors import NeedsPersonError
from tasks.stage import FileKind, Manifest, StagedFile
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render, text_literals

COPY_FILES_MAX = 1000
"""Snowflake's limit of file names in one COPY."""


def load_files(session: Session, manifest: Manifest, tables: StagingTables) -> None:
    """Creates the attempt's tables and copies the manifest's files into them.

    Raises NeedsPersonError when the rows of a file or a table differ from the manifest.
    """
    session.run_together(render("load/create_staging_tables", **vars(tables)))
    targets: dict[FileKind, str] = {"clean": tables.clean_table, "rejected": tables.rejected_table}
    path = manifest.attempt.staging_prefix
    portions = [
        (table, files[start : start + COPY_FILES_MAX])
        for kind, table in targets.items()
        for files in [manifest.files_of(kind)]
        for start in range(0, len(files), COPY_FILES_MAX)
    ]
    copies = [
        render("load/copy_files", table=table, path=path, files=text_literals(file.name for file in files))
        for table, files in portions
    ]
    for (_, files), results in zip(portions, session.query_together(copies), strict=True):
        _require_loaded(path, files, results)
    (counted,) = session.query(render("load/count_staged", **vars(tables)))
    for (kind, table), rows in zip(targets.items(), counted, strict=True):
        _require_rows(table, sum(file.rows for file in manifest.files_of(kind)), rows)


def _require_loaded(path: str, files: Sequence[StagedFile], results: Sequence[Row]) -> None:
    loaded = {row[0]: int(row[3]) for row in results}
    for file in files:
        rows = sum(count for name, count in loaded.items() if name.endswith(file.name))
        if rows != file.rows:
            raise NeedsPersonError(f"COPY of {path}/{file.name} loaded {rows} rows, the manifest says {file.rows}")


def _require_rows(table: str, expected: int, rows: int) -> None:
    if rows != expected:
        raise NeedsPersonError(f"{table} holds {rows} rows after COPY, the manifest says {expected}")


def drop_staging_tables(session: Session, tables: StagingTables) -> None:
    """Drops the staging tables of one attempt."""
    session.run_together(render("load/drop_staging_tables", **vars(tables)))
