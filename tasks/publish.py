"""Load and publish: COPY the manifest's files, then show them in the fact table in ONE transaction, or not at all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from prefect import get_run_logger, task

from blocks.snowflake import SnowflakeHostConnector
from expectations.thresholds import Thresholds
from tasks.attempt import Attempt
from tasks.errors import NeedsPersonError, OutcomeUnknownError, PublishRefusedError, SalesEtlError, TransientError
from tasks.extract import Extracted
from tasks.ledger import Entry, Status, record, statuses_of_run
from tasks.quality import BATCH, Check, rejected_share
from tasks.stage import FileKind, Manifest, StagedFile
from tasks.statements import StagingTables, render, snapshots_query, text_literal
from tasks.stopwatch import Stopwatch, said_when_slow
from tasks.tally import Tally, add_up, tallies_of_rows
from tasks.transform import Transformed
from tasks.warehouse import Say, Session, open_session

COPY_FILES_MAX = 1000
"""Snowflake's limit of file names in one COPY."""
LOCK_WAIT_SAID_S = 10
LOCK_WAIT_LINE = (
    "step=publish waiting for the publish lock, another publish holds it; one whose client was killed loses it after "
    "5 minutes"
)

TALLIED_FATES = ("inserted", "updated", "unchanged", "superseded")
CROSS_REGION = "cross_region"


@dataclass(frozen=True)
class Published:
    """One region's clean rows by fate; each is a Tally of the staged rows."""

    region: str
    inserted: Tally
    updated: Tally
    unchanged: Tally
    superseded: Tally
    cross_region: Tally


@dataclass(frozen=True)
class Publication:
    """How a publish ended. `refused` is the failed check when too many rows turned out to be rejected: then nothing
    was published. `overtaken` regions were left alone, because a newer run had published them."""

    regions: tuple[Published, ...]
    overtaken: tuple[str, ...]
    refused: Check | None
    seconds_load: float
    seconds_publish: float


def load_files(session: Session, manifest: Manifest, tables: StagingTables) -> None:
    """Creates the attempt's tables and copies the manifest's files into them.

    Raises NeedsPersonError when a file arrived with other rows than the manifest says.
    """
    session.run_script(render("load/create_staging_tables", **vars(tables)))
    targets: dict[FileKind, str] = {"clean": tables.clean_table, "rejected": tables.rejected_table}
    for kind, table in targets.items():
        files = manifest.files_of(kind)
        for start in range(0, len(files), COPY_FILES_MAX):
            _copy(session, manifest.attempt.staging_prefix, files[start : start + COPY_FILES_MAX], table)


def _copy(session: Session, path: str, files: Sequence[StagedFile], table: str) -> None:
    names = ", ".join(text_literal(file.name) for file in files)
    answer = session.query(render("load/copy_files", table=table, path=path, files=names))
    loaded = {row[0]: int(row[3]) for row in answer}
    for file in files:
        rows = sum(count for name, count in loaded.items() if name.endswith(file.name))
        if rows != file.rows:
            raise NeedsPersonError(f"COPY of {path}/{file.name} loaded {rows} rows, the manifest says {file.rows}")


def publish_manifest(
    session: Session,
    manifest: Manifest,
    extracts: Sequence[Extracted],
    transformed: Sequence[Transformed],
    left_out: Sequence[Entry],
    thresholds: Thresholds,
    open_again: Callable[[], AbstractContextManager[Session]],
    say: Say,
) -> Publication:
    """Loads the files, then publishes them in one transaction together with the ledger's entries.

    `left_out` are the entries of regions without rows (MISSING, EMPTY). When the answer to COMMIT is lost, a session
    from `open_again` asks the ledger. `say` hears of a wait for the lock. Raises PublishRefusedError when the law does
    not hold, TransientError or NeedsPersonError for what else stands against it: nothing was published then, and the
    staging tables are dropped. Raises OutcomeUnknownError when nobody can tell.
    """
    watch, attempt = Stopwatch(), manifest.attempt
    tables = attempt.staging_tables
    with _dropped_on_failure(session, tables):
        load_files(session, manifest, tables)
        seconds_load, watch = watch.seconds(), Stopwatch()
        try:
            with session.transaction():
                with said_when_slow(say, LOCK_WAIT_LINE, LOCK_WAIT_SAID_S):
                    session.query(render("publish/lock"), [attempt.run_number])
                overtaken = _leave_out_overtaken(session, attempt, tables)
                alive = [region for region in transformed if region.region not in overtaken]
                regions = _publish_rows(session, manifest, alive, tables)
                _check_law(session, tables, regions, alive, extracts)
                if refused := _judge_rejected(regions, alive, extracts, thresholds):
                    raise _TooManyRejectedError(refused)
                seconds = {"load": seconds_load, "publish": watch.seconds()}
                entries = [*_entries(regions, alive, extracts, seconds), *_overtaken_entries(overtaken), *left_out]
                record(session, attempt, entries)
        except _TooManyRejectedError as error:
            drop_staging_tables(session, tables)
            return Publication((), (), error.check, seconds_load, watch.seconds())
        except OutcomeUnknownError as error:
            if not ask_ledger(open_again, attempt):
                raise NeedsPersonError("COMMIT was lost and did not take place") from error
    return Publication(regions, overtaken, None, seconds_load, watch.seconds())


@contextmanager
def _dropped_on_failure(session: Session, tables: StagingTables) -> Iterator[None]:
    try:
        yield
    except (TransientError, NeedsPersonError) as error:
        with suppress(SalesEtlError):
            drop_staging_tables(session, tables)
        raise type(error)(f"nothing was published: {error}; run the date again") from error


def drop_staging_tables(session: Session, tables: StagingTables) -> None:
    """Drops the tables of one attempt."""
    session.run_script(render("load/drop_staging_tables", **vars(tables)))


class _TooManyRejectedError(Exception):
    """Leaves the transaction so that it is rolled back; an answer, not a failure."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.message)
        self.check = check


def _leave_out_overtaken(session: Session, attempt: Attempt, tables: StagingTables) -> tuple[str, ...]:
    newer = session.query(render("publish/overtaken"), [attempt.batch_id, attempt.run_number])
    overtaken = tuple(region for (region,) in newer if region in attempt.regions)
    for region in overtaken:
        for table, column in ((tables.clean_table, "REGION"), (tables.rejected_table, "REGION_CODE")):
            session.query(render("publish/leave_out_region", table=table, region_column=column), [region])
    return overtaken


def _publish_rows(
    session: Session, manifest: Manifest, alive: Sequence[Transformed], tables: StagingTables
) -> tuple[Published, ...]:
    if not alive:
        return ()
    attempt = manifest.attempt
    names = vars(tables) | {"snapshots": snapshots_query(manifest.snapshots)}
    session.query(render("publish/insert_fates", **names))
    session.query(render("publish/insert_cross_region", **names))
    session.query(render("publish/insert_rejected", **names), [attempt.batch_id, attempt.run_number])
    for region in alive:
        replaced = [attempt.batch_id, region.region, attempt.run_number]
        session.query(render("publish/delete_replaced_rejected"), replaced)
    merge = render("publish/merge_sales_fact", **names, batch_id=attempt.batch_id, run_number=str(attempt.run_number))
    session.query(merge)
    session.query(render("publish/close_rejected"))
    counted = tallies_of_rows(session.query(render("publish/count_staged", **names)), keys=2)
    return tuple(_published(region.region, counted) for region in alive)


def _published(region: str, tallies: Mapping[tuple[str, ...], Tally]) -> Published:
    by_fate = {fate: tallies.get((region, fate), Tally()) for fate in (*TALLIED_FATES, CROSS_REGION)}
    return Published(region, **by_fate)


def _check_law(
    session: Session,
    tables: StagingTables,
    regions: Sequence[Published],
    alive: Sequence[Transformed],
    extracts: Sequence[Extracted],
) -> None:
    """The conservation law, before COMMIT: what the source counted is what the fates and the table add up to."""
    if not alive:
        return
    in_table = tallies_of_rows(session.query(render("publish/count_fact", **vars(tables))), keys=2)
    sources = {extracted.region: extracted.source for extracted in extracts}
    for published, transformed in zip(regions, alive, strict=True):
        region = published.region
        for fate in ("inserted", "updated", "unchanged"):
            _demand(f"{region} {fate}", getattr(published, fate), in_table.get((region, fate), Tally()))
        fates = add_up(getattr(published, fate) for fate in (*TALLIED_FATES, CROSS_REGION))
        _demand(f"{region} staged", transformed.clean, fates)
        _demand(f"{region} source", sources[region], fates + transformed.duplicates + transformed.rejected)


def _demand(what: str, expected: Tally, found: Tally) -> None:
    if differences := expected.differences(found):
        raise PublishRefusedError(f"the law does not hold for {what}: {'; '.join(differences)}")


def _judge_rejected(
    regions: Sequence[Published], alive: Sequence[Transformed], extracts: Sequence[Extracted], thresholds: Thresholds
) -> Check | None:
    """The first failed check of the share of rejected rows, cross-region keys included."""
    read = {extracted.region: extracted.read.rows for extracted in extracts}
    rejected = {p.region: p.cross_region.rows + t.rejected.rows for p, t in zip(regions, alive, strict=True)}
    shares = [rejected_share(region, rows, read[region], thresholds) for region, rows in rejected.items()]
    shares.append(rejected_share(BATCH, sum(rejected.values()), sum(read[region] for region in rejected), thresholds))
    return next((check for check in shares if not check.passed), None)


def _entries(
    regions: Sequence[Published],
    alive: Sequence[Transformed],
    extracts: Sequence[Extracted],
    seconds: Mapping[str, float],
) -> list[Entry]:
    by_region = {extracted.region: extracted for extracted in extracts}
    return [
        Entry(
            region=published.region,
            status=Status.PUBLISHED,
            counts={
                "EXTRACTED": by_region[published.region].source.rows,
                "REJECTED": transformed.rejected.rows + published.cross_region.rows,
                "DUPLICATES": transformed.duplicates.rows,
                **{fate.upper(): getattr(published, fate).rows for fate in TALLIED_FATES},
            },
            money=by_region[published.region].source,
            seconds={
                "extract": by_region[published.region].seconds,
                "transform": transformed.seconds,
                **seconds,
            },
        )
        for published, transformed in zip(regions, alive, strict=True)
    ]


def _overtaken_entries(overtaken: Iterable[str]) -> list[Entry]:
    cause = "a newer run has published or rolled back this batch and region"
    return [Entry(region, Status.OVERTAKEN, cause=cause) for region in overtaken]


def ask_ledger(open_again: Callable[[], AbstractContextManager[Session]], attempt: Attempt) -> bool:
    """Whether the attempt was committed. Raises OutcomeUnknownError when nobody can be asked."""
    try:
        with open_again() as session:
            return was_committed(session, attempt)
    except SalesEtlError as error:
        raise OutcomeUnknownError(
            f"no answer to COMMIT, and the ledger cannot be asked: look for run {attempt.run_number} in "
            f"ANALYTICS.ETL_BATCHES before the date is run again ({error})"
        ) from error


def was_committed(session: Session, attempt: Attempt) -> bool:
    """Whether a publish whose COMMIT gave no answer took place. Waits for the lock, so that it cannot land later."""
    with session.transaction():
        session.query(render("publish/lock"), [attempt.run_number])
        return bool(statuses_of_run(session, attempt.run_number))


@task(name="publish")
def publish(
    manifest: Manifest,
    extracts: list[Extracted],
    transformed: list[Transformed],
    left_out: list[Entry],
    thresholds: Thresholds,
    connector_block: str,
    warehouse: str,
) -> Publication:
    """Loads and publishes the batch. Not retried by Prefect: a lost answer is settled by asking the ledger."""
    connector = SnowflakeHostConnector.load(connector_block)
    tag = f"retail-sales publish {manifest.attempt.batch_id} run {manifest.attempt.run_number}"
    logger = get_run_logger()
    open_again = partial(open_session, connector, warehouse, tag, logger.warning)
    with open_again() as session:
        publication = publish_manifest(
            session, manifest, extracts, transformed, left_out, thresholds, open_again, logger.info
        )
    logger.info(
        "step=publish regions=%d load_seconds=%.1f publish_seconds=%.1f",
        len(publication.regions),
        publication.seconds_load,
        publication.seconds_publish,
    )
    return publication
