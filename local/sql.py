"""`python -m local.sql "select ..." [as of]`: queries the Snowflake stand-in and prints a table.

A query may also read `staged_clean` and `staged_rejected`: the Parquet files of the last attempt on S3. With a batch or
the number of a publish as second argument, it may read `sales_as_of`: the fact table right after that publish.
`FORMAT=csv` or `FORMAT=json` in the environment prints for programs.
"""

import csv
import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import snowflake.connector
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from snowflake.connector.cursor import SnowflakeCursor

from local.environment import StackError, read_stack_env
from tasks.errors import SalesEtlError
from tasks.lines import in_one_line
from tasks.warehouse.past import publish_number, sales_as_of
from tasks.warehouse.session import Session

STAGED_KEY = re.compile(r"sales/batch=[^/]+/run=(?P<run>\d+)/(?P<sort>clean|rejected)/([^/]+/)?[^/]+\.parquet$")
STAGED_TABLE = re.compile(r"\bstaged_(clean|rejected)\b", re.IGNORECASE)
CONNECT_S_MAX = 10
AS_OF_TABLE = re.compile(r"\bsales_as_of\b", re.IGNORECASE)
Row = tuple[object, ...]
TABLE, CSV, JSON = "table", "csv", "json"
NULL = "NULL"
TOTALS = (
    "SELECT REGION, CURRENCY, COUNT(*) AS SALES, SUM(TOTAL_AMOUNT) AS TOTAL "
    "FROM sales_as_of GROUP BY REGION, CURRENCY ORDER BY REGION, CURRENCY"
)
"""The default query of the past."""


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file of one attempt."""

    path: str
    """Bucket and key."""
    run: int
    sort: str


def main() -> int:
    """Runs the query given as the argument; a failure is one line on stderr and exit code 1."""
    query, as_of, *more = (argument.strip().rstrip(";") for argument in [*sys.argv[1:], "", ""])
    try:
        if (not query and not as_of) or any(more):
            raise StackError('usage: make sql Q="select ..." [AS_OF=20240115] [FORMAT=csv|json]')
        form = os.environ.get("FORMAT") or TABLE
        if form not in (TABLE, CSV, JSON):
            raise StackError(f"FORMAT is {form!r}: choose csv, json or table")
        print_rows(query or TOTALS, as_of, read_stack_env(), form)
    except (StackError, SalesEtlError, snowflake.connector.errors.Error) as error:
        message = error.msg if isinstance(error, snowflake.connector.errors.Error) else str(error)
        print(" ".join(str(message).split()), file=sys.stderr)
        return 1
    return 0


def print_rows(query: str, as_of: str, env: dict[str, str], form: str = TABLE) -> None:
    """Prints the rows of the query. Raises StackError if it reads `sales_as_of` without a batch or publish."""
    if AS_OF_TABLE.search(query) and not as_of:
        raise StackError(f'sales_as_of needs a batch or a publish: make sql Q="{query}" AS_OF=20240115')
    with connect(env) as connection, connection.cursor() as cursor:
        if as_of:
            number = publish_number(Session(connection, env["SNOWFLAKE_HOST"]), as_of)
            print(f"sales_as_of: the fact table right after publish {number}", file=sys.stderr)
            query = AS_OF_TABLE.sub(f"({sales_as_of(number)})".replace("\\", r"\\"), query)
        for sort in sorted({name.lower() for name in STAGED_TABLE.findall(query)}):
            load_staged(cursor, sort, staging(env), env["S3_STAGING_BUCKET"])
        cursor.execute(query)
        show([column.name for column in cursor.description], [tuple(row) for row in cursor.fetchall()], form)


def connect(env: dict[str, str]) -> snowflake.connector.SnowflakeConnection:
    """Opens a session in the warehouse; the connector alone would retry for minutes if the stack is down."""
    host, port = env["SNOWFLAKE_HOST"], int(env["SNOWFLAKE_PORT"])
    try:
        socket.create_connection((host, port), timeout=CONNECT_S_MAX).close()
    except OSError:
        raise StackError(f"the Snowflake stand-in does not answer on {host}:{port}: run `make up`") from None
    return snowflake.connector.connect(
        account=env["SNOWFLAKE_ACCOUNT"],
        user=env["SNOWFLAKE_USER"],
        password=env["SNOWFLAKE_PASSWORD"],
        host=host,
        port=port,
        protocol=env["SNOWFLAKE_PROTOCOL"],
        database=env["SNOWFLAKE_DATABASE"],
        schema=env["SNOWFLAKE_SCHEMA"],
        login_timeout=CONNECT_S_MAX,
        paramstyle="qmark",
    )


def show(names: Sequence[str], rows: Sequence[Row], form: str = TABLE) -> None:
    """Prints the rows as CSV, JSON or a table; one wider than the terminal has a line for each column."""
    if form == CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    elif form == JSON:
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str, ensure_ascii=False))
    else:
        _print_table(names, rows)


def _print_table(names: Sequence[str], rows: Sequence[Row]) -> None:
    console = Console()
    shown = [[None if value is None else in_one_line(value) for value in row] for row in rows]
    widths = [max(cell_len(value or NULL) for value in column) for column in zip(names, *shown, strict=True)]
    if sum(widths) + 3 * len(widths) + 1 <= console.width:
        table = Table(*(Column(Text(in_one_line(name)), overflow="fold") for name in names))
        for row in shown:
            table.add_row(*map(_cell, row))
        console.print(table)
    else:
        for number, row in enumerate(shown, start=1):
            console.print(Text(f"row {number}", "bold"))
            for name, value in zip(names, row, strict=True):
                line = Text.assemble(f"  {in_one_line(name):<{max(map(len, names))}}  ", _cell(value))
                console.print(line, soft_wrap=True)
    console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


def _cell(value: str | None) -> Text:
    return Text(NULL, "dim") if value is None else Text(value)


# The staged files as tables


def staging(env: dict[str, str]) -> pafs.S3FileSystem:
    """The S3 stand-in."""
    scheme, _, endpoint = env["S3_ENDPOINT_URL"].partition("://")
    return pafs.S3FileSystem(
        access_key=env["AWS_ACCESS_KEY_ID"],
        secret_key=env["AWS_SECRET_ACCESS_KEY"],
        region=env["AWS_DEFAULT_REGION"],
        endpoint_override=endpoint,
        scheme=scheme,
        connect_timeout=CONNECT_S_MAX,
    )


def load_staged(cursor: SnowflakeCursor, sort: str, s3: pafs.S3FileSystem, bucket: str) -> None:
    """Creates the session's table `staged_<sort>` from the last attempt's files.

    An attempt without rows of this sort gives an empty table, with the columns of the last such files.
    """
    files = staged_files(s3, bucket)
    if not files:
        raise StackError(f"nothing is staged in s3://{bucket}/sales/ yet: run a batch first")
    last_run = max(file.run for file in files)
    like = max(files, key=lambda file: (file.sort == sort, file.run))
    columns = ", ".join(f'"{field.name.upper()}" {snowflake_type(field.type)}' for field in read_schema(s3, like.path))
    cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE staged_{sort} ({columns})")
    for file in files:
        if file.run == last_run and file.sort == sort:
            cursor.execute(
                f"COPY INTO staged_{sort} FROM 's3://{file.path}' "
                "FILE_FORMAT = (TYPE = 'PARQUET' USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
            )


def staged_files(s3: pafs.S3FileSystem, bucket: str) -> list[StagedFile]:
    """Lists the Parquet files of all attempts."""
    try:
        listed = s3.get_file_info(pafs.FileSelector(f"{bucket}/sales", recursive=True, allow_not_found=True))
    except OSError as error:
        raise StackError(f"the S3 stand-in does not answer ({error}): run `make up`") from None
    matches = [(info.path, STAGED_KEY.search(info.path)) for info in listed]
    return [StagedFile(path, int(match["run"]), match["sort"]) for path, match in sorted(matches) if match]


def read_schema(s3: pafs.S3FileSystem, path: str) -> pa.Schema:
    """The columns of a file."""
    with s3.open_input_file(path) as file:
        return pq.read_schema(file)


def snowflake_type(arrow: pa.DataType) -> str:
    """The column type that holds an Arrow type without loss."""
    if pa.types.is_decimal(arrow):
        return f"NUMBER({arrow.precision},{arrow.scale})"
    if pa.types.is_timestamp(arrow):
        return "TIMESTAMP_TZ(6)" if arrow.tz else "TIMESTAMP_NTZ(6)"
    tests = {
        "NUMBER(38,0)": pa.types.is_integer,
        "FLOAT": pa.types.is_floating,
        "BOOLEAN": pa.types.is_boolean,
        "DATE": pa.types.is_date,
    }
    return next((name for name, test in tests.items() if test(arrow)), "VARCHAR")


if __name__ == "__main__":
    sys.exit(main())
