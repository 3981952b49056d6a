"""The benchmark's own statements: emptying the warehouse, and the floor of loading."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import snowflake.connector

from expectations.tables import CLEAN_COLUMNS

_WRITTEN = (
    "SALES_FACT",
    "SALES_FACT_UNDO",
    "SALES_HELD_BACK",
    "SALES_REJECTIONS",
    "SALES_REJECTION_CLOSINGS",
    "ETL_BATCHES",
)
_FLOOR_FACT, _FLOOR_STAGING = "STAGING.FLOOR_FACT", "STAGING.FLOOR_STAGING"


@contextmanager
def opened(environment: Mapping[str, str]) -> Iterator[Any]:
    """A cursor of the connector."""
    connection = snowflake.connector.connect(
        **{
            name: environment[f"SNOWFLAKE_{name.upper()}"]
            for name in ("account", "user", "password", "host", "port", "protocol", "database", "schema")
        }
    )
    try:
        yield connection.cursor()
    finally:
        connection.close()


def forget_runs(environment: Mapping[str, str]) -> None:
    """Empties the tables that runs write, so that the next run is a first one."""
    with opened(environment) as cursor:
        for table in _WRITTEN:
            cursor.execute(f"DELETE FROM ANALYTICS.{table}")


def newest_clean_files(environment: Mapping[str, str], s3: Any) -> tuple[str, list[str]]:
    """The newest attempt's path below the stage, and its clean Parquet files."""
    bucket = environment["S3_STAGING_BUCKET"]
    listed = [
        item
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for item in page.get("Contents", ())
        if "/clean/" in item["Key"]
    ]
    newest = max(listed, key=lambda item: item["LastModified"])["Key"].partition("/clean/")[0]
    return newest, sorted(item["Key"].removeprefix(f"{newest}/") for item in listed if item["Key"].startswith(newest))


def copy_and_merge(environment: Mapping[str, str], path: str, files: list[str]) -> float:
    """Seconds of the least that any loader does: COPY of the files and MERGE by key into an empty table."""
    names = [column.stored_name for column in CLEAN_COLUMNS]
    sets = ", ".join(f"{name} = NEW.{name}" for name in names if name != "sale_id")
    with opened(environment) as cursor:
        for table in (_FLOOR_FACT, _FLOOR_STAGING):
            cursor.execute(
                f"CREATE OR REPLACE TABLE {table} AS SELECT {', '.join(names)} FROM ANALYTICS.SALES_FACT LIMIT 0"
            )
        start = time.perf_counter()
        cursor.execute(
            f"COPY INTO {_FLOOR_STAGING} FROM @STAGING.SALES_STAGE/{path}/ "
            f"FILES = ({', '.join(repr(name) for name in files)}) "
            "FILE_FORMAT = (TYPE = 'PARQUET') MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
        cursor.execute(
            f"MERGE INTO {_FLOOR_FACT} AS FACT USING {_FLOOR_STAGING} AS NEW ON FACT.SALE_ID = NEW.SALE_ID "
            f"WHEN MATCHED THEN UPDATE SET {sets} "
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'NEW.{n}' for n in names)})"
        )
        seconds = time.perf_counter() - start
        for table in (_FLOOR_FACT, _FLOOR_STAGING):
            cursor.execute(f"DROP TABLE {table}")
    return seconds
