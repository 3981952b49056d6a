"""The real local stack, started once for all integration tests of a process, and helpers to work with it."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg2
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_EXPERIMENTAL_EVENTS,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.states import State
from prefect.variables import Variable
from xdist.scheduler import LoadFileScheduling

from blocks import names
from blocks.project import NO_PAGES, REPORTS_OF_SHELL
from blocks.register import register, warehouse_blocks
from expectations.regions import REGIONS
from flows.daily_sales import daily_sales
from flows.setup_warehouse import setup_warehouse
from flows.support.states import report_of
from local import generator, postgres, stack
from local.environment import HOST, read_stack_env
from tasks.begin import begin
from tasks.extract import extract
from tasks.report import RegionReport, RunReport
from tasks.warehouse.session import Row, Session, open_session
from tests.integration.account import (
    CALLER,
    account_settings,
    administrator,
    drop,
    environment_on,
    headline,
    is_asked,
    open_to_the_load,
    random_database,
)
from tests.integration.keeper import MARK, kept_directory, sweep
from tests.integration.server import POLL_S
from tests.reporting import keep_logs

STOP_S_MAX = 15
WAIT_S_MAX = 600
PORTS_PER_WORKER = 1000
IMPATIENT = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
"""Workers and runners poll every second, not every tenth."""
WITHOUT_PAGES = {REPORTS_OF_SHELL: NO_PAGES}
"""Tests of pages turn them on; every run of all tests would write its page and the history."""


@dataclass(frozen=True)
class Run:
    """How a daily run ended."""

    state: State
    report: RunReport | None

    def region(self, code: str) -> RegionReport:
        """The report of one region."""
        assert self.report is not None, self.state.message
        return next(region for region in self.report.regions if region.region == code)


@dataclass(frozen=True)
class World:
    """The stack as a test uses it: inserts into sources, runs, queries of the warehouse."""

    environment: Mapping[str, str]
    asking: Session
    """A session for the queries of tests, as opening one takes as long as a query. It has an administrator's rights."""

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which opens its own sessions."""
        return World, (self.environment, None)

    def source(self, region: str) -> Any:
        """A psycopg2 connection as the owner of a region's database."""
        return psycopg2.connect(self.environment[f"PG_{region}_OWNER_URL"])

    def insert(self, region: str, *sales: Mapping[str, Any]) -> None:
        """Inserts rows, given by the columns that differ from a good sale."""
        with self.source(region) as connection, connection.cursor() as cursor:
            for sale in sales:
                row = good_sale(region) | dict(sale)
                columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
                cursor.execute(f"INSERT INTO sales_transactions ({columns}) VALUES ({places})", list(row.values()))
        connection.close()

    def change(self, region: str, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Runs one statement as the owner of a region's database."""
        with self.source(region) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
        connection.close()

    def fill(
        self,
        day: date,
        rows: int = 50,
        regions: tuple[str, ...] = tuple(REGIONS),
        dirt: generator.Dirt = generator.CLEAN,
    ) -> dict[str, Any]:
        """Loads generated rows of `day` into each region; returns what the generator expects per region."""
        expected = {}
        for region in regions:
            generated = generator.generate(region, day, rows, seed=1, dirt=dirt)
            generator.load(self.environment[f"PG_{region}_OWNER_URL"], [generated.table])
            expected[region] = generated.expected
        return expected

    def run(self, day: date | str | int, regions: list[str] | None = None, engine: str = "pandas") -> Run:
        """Runs the daily flow."""
        value = day.isoformat() if isinstance(day, date) else day
        state = daily_sales(date=value, regions=regions, engine=engine, return_state=True)
        return Run(state, report_of(state))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A new session of the warehouse."""
        with session_of(self.environment) as session:
            yield session

    def sql(self, statement: str, values: tuple[Any, ...] = ()) -> list[Row]:
        """Queries the warehouse, in the thread of the test."""
        return self.asking.query(statement, values)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of a query, `in_order`."""
        return in_order(self.sql(statement, values))

    def contents(self, query: str, values: tuple[Any, ...] = ()) -> tuple[int, int]:
        """The number of a query's rows and a fingerprint of all their cells, whatever their order: for tables as a
        whole, which hold the rows of other tests too."""
        ((rows, fingerprint),) = self.sql(f"SELECT COUNT(*), HASH_AGG(*) FROM ({query}) AS CONTENTS", values)
        return rows, fingerprint

    def end_transactions(self) -> None:
        """Aborts the transactions that lost clients have left open, as an operator would who does not want to wait.

        On an account only those that hold a lock in this database, as others work there too.
        """
        with self.session() as session:
            if self.environment["SNOWFLAKE_PROTOCOL"] == "http":
                left = {row[0] for row in session.query("SHOW TRANSACTIONS")}
            else:
                own = f"{self.environment['SNOWFLAKE_DATABASE']}."
                left = {row[2] for row in session.query("SHOW LOCKS") if str(row[0]).startswith(own)}
            for transaction_id in left:
                session.query(f"SELECT SYSTEM$ABORT_TRANSACTION({transaction_id})")
            session.query("UPDATE ETL_LOCK SET TOKEN = NULL")

    def set_up(self, **parameters: Any) -> State:
        """Sets the warehouse up; on an account, with roles for this database alone."""
        database = self.environment["SNOWFLAKE_DATABASE"]
        roles = {"analyst_role": f"{database}_ANALYST"} if database.startswith("RETAIL_TEST_") else {}
        return setup_warehouse(**roles | parameters, return_state=True)

    def tidy(self) -> None:
        """Removes what other tests leave on purpose: sales outside the real year, rejected rows of keys of two regions,
        attempts without an end.
        """
        for region in REGIONS:
            of_the_year = "updated_at >= '2017-01-01' AND updated_at < '2018-01-03'"
            self.change(region, f"DELETE FROM sales_transactions WHERE ({of_the_year}) IS NOT TRUE")
        self.sql("DELETE FROM SALES_REJECTIONS WHERE RULES LIKE '%cross_region_sale_id%'")
        self.sql("DELETE FROM ETL_BATCHES WHERE STATUS = 'STARTED'")

    def forget_staged(self) -> None:
        """Drops the tables in STAGING, which other tests leave as they publish without the sweep."""
        for (name,) in self.sql("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STAGING'"):
            self.sql(f"DROP TABLE STAGING.{name}")

    def forget_rejected(self) -> None:
        """Deletes all rejected rows; other tests leave some on purpose."""
        for table in ("SALES_REJECTIONS", "SALES_REJECTION_CLOSINGS"):
            self.sql(f"DELETE FROM {table}")

    def forget(self, *days: date) -> None:
        """Deletes these days from ledger and fact table."""
        for day in days:
            self.sql("DELETE FROM ETL_BATCHES WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",))
            self.sql("DELETE FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))

    def ledger(self, batch_id: str) -> dict[str, str]:
        """The newest status per region of a batch."""
        return dict(self.sql("SELECT REGION, STATUS FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ?", (batch_id,)))

    @contextmanager
    def warehouse_with(self, **settings: str) -> Iterator[None]:
        """Gives the warehouse's block other settings within the body."""
        try:
            _save_warehouse({**self.environment, **settings})
            yield
        finally:
            _save_warehouse(self.environment)

    @contextmanager
    def variable(self, name: str, value: str) -> Iterator[None]:
        """Gives a variable another value within the body."""
        before = Variable.get(name)
        Variable.set(name, value, overwrite=True)
        try:
            yield
        finally:
            Variable.set(name, before.value, overwrite=True)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows sorted by all their cells: the engine's order of rows with equal keys differs between queries."""
    return sorted(rows, key=repr)


def _save_warehouse(environment: Mapping[str, str]) -> None:
    credentials, connector = warehouse_blocks(environment)
    credentials.save(names.WAREHOUSE_CREDENTIALS, overwrite=True)
    connector.save(names.WAREHOUSE, overwrite=True)


@contextmanager
def session_of(environment: Mapping[str, str]) -> Iterator[Session]:
    """A session of the warehouse, from the environment: loading a block takes longer than a statement."""
    _, connector = warehouse_blocks(environment)
    with open_session(connector, environment["SNOWFLAKE_WAREHOUSE"], "test") as session:
        yield session


def ports_of_worker(worker: str) -> range:
    """A worker's part of the stack's ports, so that no two choose the same."""
    number = int(worker.removeprefix("gw"))
    return stack.PORTS[number * PORTS_PER_WORKER : (number + 1) * PORTS_PER_WORKER]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def stop(worker: "subprocess.Popen[bytes]") -> None:
    """Terminates a worker that leads its own process group; kills it when it does not end in time."""
    worker.terminate()
    try:
        worker.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def good_sale(region: str, day: date = date(2024, 1, 1)) -> dict[str, Any]:
    """A sale that breaks no rule."""
    noon = datetime.combine(day, time(12), tzinfo=UTC)
    return {
        "sale_id": f"{region}-good",
        "sale_date": noon,
        "store_id": "7",
        "customer_id": "42",
        "customer_email": "somebody@example.com",
        "product_id": "1001",
        "product_category": "BREAD",
        "quantity": 2,
        "unit_price": "1.500000",
        "discount_amount": "0.50",
        "tax_amount": "0.10",
        "total_amount": "3.00",
        "currency": "USD",
        "payment_method": "cash",
        "region": REGIONS[region].name,
        "updated_at": noon,
    }


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """The directory of all stacks, which end with the tests, even when these are killed."""
    with kept_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(directory))
        yield directory


@pytest.fixture(scope="session")
def world(directory: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """The stack with empty source tables, registered and set up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETAIL_SALES_LOCAL_DIR", str(directory / "stack"))
        patch.setenv("RETAIL_SALES_SAMPLE_DATA", "none")
        patch.setenv("SNOWFLAKE_IDLE_HOLDER_S", "8")
        patch.setenv("SNOWFLAKE_PROFILES", str(directory / "profiles"))
        for name in [name for name in os.environ if name.endswith("_PORT")]:
            # Set in a shell that has sourced another stack's environment.
            patch.delenv(name)
        # Stacks that start at the same time could otherwise take the port that another has just found free.
        patch.setattr(stack, "PORTS", ports_of_worker(os.environ.get("PYTEST_XDIST_WORKER", "gw0")))
        is_up = False
        try:
            stack.up()
            account = account_settings(CALLER) if is_asked(request.config) else None
            database = random_database()
            of_account = environment_on(account, CALLER, database) if account else {}
            environment = read_stack_env() | IMPATIENT | WITHOUT_PAGES | of_account
            for name, value in environment.items():
                patch.setenv(name, value)
            updates = {
                PREFECT_API_URL: environment["PREFECT_API_URL"],
                PREFECT_LOGGING_TO_API_ENABLED: False,
                PREFECT_EXPERIMENTAL_EVENTS: False,
            }
            with temporary_settings(updates=updates):
                register(os.environ)
                with ExitStack() as ends:
                    if account:
                        ends.callback(drop, environment, database)
                    with administrator(environment) as asking:
                        world = World(environment, asking)
                        assert world.set_up().is_completed()
                        asking.query(f"USE SCHEMA {environment['SNOWFLAKE_DATABASE']}.ANALYTICS")
                        if account:
                            open_to_the_load(asking, account, database)
                        is_up = True
                        yield world
        finally:
            if request.session.testsfailed or not is_up:
                keep_logs(directory / "stack")


@pytest.fixture(scope="session")
def year(world: World) -> None:
    """The real year in the stack's databases, and nothing else."""

    def fill(region: str) -> None:
        world.change(region, "TRUNCATE sales_transactions")
        postgres.fill(region, world.environment[f"PG_{region}_OWNER_URL"], lambda _: None)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(REGIONS)) as pool:
        patch.delenv("RETAIL_SALES_SAMPLE_DATA")
        list(pool.map(fill, REGIONS))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the delay of retries: tests assert that they happen, not how long they wait."""
    for task in (extract, begin):
        # The server keeps whole seconds, and divides by them when there is jitter.
        monkeypatch.setattr(task, "retry_delay_seconds", 1)


@pytest.fixture
def day(request: pytest.FixtureRequest) -> date:
    """A business date of this test alone."""
    days = request.config.stash.setdefault(_DAYS, [])
    days.append(request.node.nodeid)
    return date(2019, 1, 1) + timedelta(days=7 * len(days))


_DAYS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--account", action="store_true", help="run on the account that SNOWFLAKE_TEST_* names, if any")


def pytest_report_header(config: pytest.Config) -> str | None:
    return headline(CALLER) if is_asked(config) else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Sweeps what killed test runs have left, once for all workers."""
    if not hasattr(session.config, "workerinput"):
        sweep()


YEAR = ("local/test_stack.py", "deployments/test_runs.py", "daily/test_command_line.py", "daily/test_daily_run.py")
"""Files that use the real year, which takes a while to load: all for one worker."""
LONGEST_FIRST = (
    *("warehouse/test_setup_warehouse.py", "deployments/test_environments.py"),
    *("publish/test_crashes.py", "deployments/test_kills.py", "reconcile/test_reconcile.py"),
    *YEAR,
)
"""So that no worker begins one of these when the others have finished."""


class Scopes(LoadFileScheduling):
    """Gives each worker one file at a time, as each worker has its own stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "year" if file.removeprefix("tests/integration/") in YEAR else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scopes:
    return Scopes(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The engine's tests import its packages, which `make test-more` installs: who does not ask for them needs none."""
    asked = config.option.markexpr == "more" or any("integration/engine" in word for word in config.args)
    return True if collection_path.name == "engine" and not asked else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0].removeprefix("tests/integration/")
        return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def wait_for(happened: Callable[[], Any], what: str) -> None:
    """Polls until `happened` returns true; fails naming `what`."""
    give_up = monotonic() + WAIT_S_MAX
    while not happened():
        assert monotonic() < give_up, f"not within {WAIT_S_MAX} s: {what}"
        sleep(POLL_S)
