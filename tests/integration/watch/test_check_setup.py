"""check-setup on the real stack: all ok, and each fault has a line of its own that says how to mend it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prefect import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import State
from prefect.utilities.asyncutils import sync_compatible
from prefect_aws import S3Bucket
from prefect_email import EmailServerCredentials
from sqlalchemy import make_url

from blocks import names
from blocks.register import database_block
from deployments.apply import apply
from expectations.regions import REGIONS
from flows.check_setup import ARTIFACT_KEY, SetupNotReadyError, check_setup
from tasks.setup_checks.check import Finding, Outcome, SetupFaultError, run_checks
from tasks.setup_checks.prefect_server import SERVER, prefect_checks
from tasks.setup_checks.sources import source_checks
from tasks.warehouse.statements import SQL_DIRECTORY
from tests.integration.conftest import World, good_sale
from tests.integration.processes import run_python


@dataclass(frozen=True)
class Ended:
    """How the program ended."""

    code: int
    output: str
    errors: str

    @property
    def bad(self) -> dict[str, str]:
        """The messages of the BAD checks by name."""
        lines = [line.removeprefix("BAD ") for line in self.output.splitlines() if line.startswith("BAD ")]
        return dict(line.split(": ", 1) for line in lines)


def run_program(**environment: str) -> Ended:
    quiet = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    ran = run_python("-m", "flows.check_setup", "--here", environment=os.environ | quiet | environment)
    return Ended(ran.returncode, ran.stdout, ran.stderr)


def test_everything_is_ok_on_a_healthy_stack(deployed: World) -> None:
    ended = run_program()
    lines = ended.output.splitlines()
    assert [line for line in lines[:-1] if not line.startswith("ok  ")] == []
    assert (ended.code, lines[-1]) == (0, f"Completed: {len(lines) - 1} checks are ok")
    assert len({line.split(":")[0] for line in lines}) == len(lines)


def test_without_a_server_one_line_says_so(deployed: World) -> None:
    ended = run_program(PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (ended.code, "Traceback" in ended.errors) == (1, False)
    (line,) = ended.output.splitlines()
    assert line.startswith("BAD prefect server: http://127.0.0.1:9/api does not answer")
    assert "start the server, or correct PREFECT_API_URL. The driver says: " in line


# Faults


@contextmanager
def source_address(world: World, region: str, **changed: Any) -> Iterator[None]:
    """Gives a region's block another address within the body."""
    url = make_url(world.environment[f"PG_{region}_URL"]).set(**changed).render_as_string(hide_password=False)
    database_block({f"PG_{region}_URL": url}, region).save(REGIONS[region].block, overwrite=True)
    yield
    database_block(world.environment, region).save(REGIONS[region].block, overwrite=True)


@contextmanager
def changed(change: Callable[[str], object], there: str, back: str) -> Iterator[None]:
    """Runs one statement before the body and one after it."""
    change(there)
    yield
    change(back)


@contextmanager
def block_field(block: Any, name: str, **fields: Any) -> Iterator[None]:
    """Gives a block other fields within the body."""
    stored = block.load(name)
    stored.copy(update=fields).save(name, overwrite=True)
    yield
    stored.save(name, overwrite=True)


@sync_compatible
async def spoil_server() -> None:
    """Removes an automation, switches another one off, changes both queues, moves a deployment."""
    async with get_client() as client:
        automations = {automation.name: automation for automation in await client.read_automations()}
        await client.delete_automation(automations["retail-sales: anomaly"].id)
        await client.pause_automation(automations["retail-sales: never started"].id)
        await set_queue(client, "ops", is_paused=True)
        await set_queue(client, "load", concurrency_limit=3)
        await move_deployment(client, "alert-drill/production", "load")


@sync_compatible
async def mend_server() -> None:
    """Restores what `deploy` leaves to people: pauses, and the queue of a deployment."""
    async with get_client() as client:
        automations = {automation.name: automation for automation in await client.read_automations()}
        await client.resume_automation(automations["retail-sales: never started"].id)
        await set_queue(client, "ops", is_paused=False)
        await move_deployment(client, "alert-drill/production", "ops")


async def set_queue(client: PrefectClient, name: str, **fields: Any) -> None:
    queue = await client.read_work_queue_by_name(name, work_pool_name="retail-sales")
    await client.update_work_queue(queue.id, **fields)


async def move_deployment(client: PrefectClient, name: str, queue: str) -> None:
    deployment = await client.read_deployment_by_name(name)
    answer = await client._client.patch(f"/deployments/{deployment.id}", json={"work_queue_name": queue})
    answer.raise_for_status()


@pytest.fixture(scope="module")
def unreachable(deployed: World) -> Ended:
    """The program's output with unreadable sources, a bad variable and a mail server that is down."""
    with ExitStack() as faults:
        add = faults.enter_context
        add(source_address(deployed, "US_EAST", port=9))
        add(source_address(deployed, "US_WEST", password="guessed-wrong"))
        add(
            changed(
                _owner(deployed, "EUROPE"),
                "ALTER TABLE sales_transactions RENAME COLUMN quantity TO units",
                "ALTER TABLE sales_transactions RENAME COLUMN units TO quantity",
            )
        )
        rights = "SELECT ON sales_transactions"
        add(
            changed(
                _owner(deployed, "ASIA_PACIFIC"),
                f"REVOKE {rights} FROM sales_reader",
                f"GRANT {rights} TO sales_reader",
            )
        )
        add(deployed.variable("min_record_count", "many"))
        add(block_field(EmailServerCredentials, names.ALERT_MAIL, smtp_port=9))
        add(changed(deployed.sql, "DROP VIEW ANALYTICS.ETL_BATCHES_LATEST", _LATEST))
        return run_program()


_LATEST = next(
    statement
    for statement in (SQL_DIRECTORY / "setup" / "02_tables.sql").read_text().split(";")
    if "VIEW ANALYTICS.ETL_BATCHES_LATEST" in statement
)


_COLLIDED = """
INSERT INTO SALES_REJECTIONS (
    REGION_CODE, SALE_KEY, RULES, ETL_BATCH_ID, ETL_RUN_NUMBER, ETL_SNAPSHOT_AT, FIRST_SEEN_AT
)
SELECT 'EUROPE', 'collided-1', 'cross_region_sale_id', '20171223', 10000000, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()
"""


def _owner(world: World, region: str) -> Callable[[str], None]:
    return lambda statement: world.change(region, statement)


UNREACHABLE = {
    "source US_EAST connection": ("Connection refused", "check block sqlalchemy-connector/sales-us-east"),
    "source US_WEST connection": ("password authentication failed", "check block sqlalchemy-connector/sales-us-west"),
    "source EUROPE table": ("column sales_transactions.quantity is missing", "add it"),
    "source ASIA_PACIFIC table": ("no right to read sale_id, sale_date", "GRANT SELECT ON sales_transactions"),
    "variable min_record_count": ("is 'many'", "expected a whole number"),
    "mail server": ("Connection refused", "check SMTP_HOST"),
    "view ETL_BATCHES_LATEST": ("does not exist", "run `python -m flows.setup_warehouse`"),
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_fault_has_its_own_line_that_says_how_to_mend_it(unreachable: Ended, name: str) -> None:
    what, mend = UNREACHABLE[name]
    assert what in unreachable.bad[name]
    assert mend in unreachable.bad[name]


BAD_TABLES = ("EUROPE", "ASIA_PACIFIC")


def test_nothing_else_is_bad_and_what_rests_on_it_is_not_tried(unreachable: Ended) -> None:
    assert set(unreachable.bad) == set(UNREACHABLE)
    not_tried = [line for line in unreachable.output.splitlines() if line.startswith("--  ")]
    rests_on = {"table": "connection", "dates": "table", "server": "connection", "clock": "connection"}
    without_connection = [
        f"--  source {region} {what}: not tried, see source {region} {needed}"
        for region in ("US_EAST", "US_WEST")
        for what, needed in rests_on.items()
    ]
    without_table = [f"--  source {region} dates: not tried, see source {region} table" for region in BAD_TABLES]
    without_view = [
        "--  view DATA_STATUS: not tried, see view ETL_BATCHES_LATEST",
        "--  regions of the views for analysts: not tried, see view DATA_STATUS",
    ]
    assert not_tried == without_connection + without_table + without_view


def test_the_program_fails_without_traceback_or_secret(unreachable: Ended) -> None:
    assert unreachable.code == 1
    assert unreachable.errors.strip().endswith("checks are BAD: " + ", ".join(unreachable.bad))
    printed = unreachable.output + unreachable.errors
    assert "Traceback" not in printed
    assert "guessed-wrong" not in printed


@pytest.fixture(scope="module")
def lacking(deployed: World) -> State:
    """The flow's state with things missing on the server, in the warehouse and in S3, and with shared sale ids."""
    with ExitStack() as faults:
        add = faults.enter_context
        add(block_field(S3Bucket, names.STAGING_BUCKET, bucket_name="no-such-bucket"))
        add(deployed.variable("s3_staging_bucket", "no-such-bucket"))
        add(
            changed(
                deployed.sql,
                "ALTER TABLE ANALYTICS.SALES_FACT_UNDO RENAME TO ANALYTICS.ASIDE",
                "ALTER TABLE ANALYTICS.ASIDE RENAME TO ANALYTICS.SALES_FACT_UNDO",
            )
        )
        add(changed(deployed.sql, _COLLIDED, "DELETE FROM SALES_REJECTIONS WHERE SALE_KEY = 'collided-1'"))
        for region in ("US_EAST", "EUROPE"):
            deployed.insert(region, good_sale(region) | {"sale_id": "shared-1"})
            faults.callback(deployed.change, region, "DELETE FROM sales_transactions WHERE sale_id = 'shared-1'")
        add(
            changed(
                _owner(deployed, "ASIA_PACIFIC"),
                "ALTER TABLE sales_transactions RENAME TO aside",
                "ALTER TABLE aside RENAME TO sales_transactions",
            )
        )
        spoil_server()
        faults.callback(apply, os.environ, lambda _: None)
        faults.callback(mend_server)
        state = check_setup(return_state=True)
    assert isinstance(state, State)
    return state


LACKING = {
    "work queue load": ("has the limit 3 and needs 1", "run `make deploy`"),
    "work queue ops": ("is paused", "prefect work-queue resume ops"),
    "deployment alert-drill/production": ("belongs to retail-sales/ops", "run `make deploy`"),
    "automation anomaly": ("is missing", "run `make deploy`"),
    "automation never started": ("is switched off", "prefect automation resume 'retail-sales: never started'"),
    "bucket": ("Not Found", "check that the bucket exists"),
    "stage SALES_STAGE": ("points at s3://retail-sales-staging/", "run `python -m flows.setup_warehouse`"),
    "sale ids across regions, as loaded": ("1 row was rejected", "EUROPE collided-1 among them"),
    "table SALES_FACT_UNDO": ("does not exist", "run `python -m flows.setup_warehouse`"),
    "sale ids across regions": ("US_EAST, EUROPE use the same sale_id", "need prefix_keys = true"),
    "source ASIA_PACIFIC table": ("table sales_transactions is missing", "create it, grant its reader access"),
}


def findings_of(state: State) -> list[Finding]:
    answer = state.result(raise_on_failure=False)
    assert isinstance(answer, SetupNotReadyError)
    return answer.findings


@pytest.mark.parametrize("name", LACKING)
def test_what_is_missing_has_its_own_line(lacking: State, name: str) -> None:
    (finding,) = [finding for finding in findings_of(lacking) if finding.name == name]
    assert finding.outcome is Outcome.BAD
    assert all(text in finding.message for text in LACKING[name]), finding.message


def test_the_flow_fails_and_names_what_is_bad(lacking: State) -> None:
    bad = [finding.name for finding in findings_of(lacking) if finding.outcome is Outcome.BAD]
    assert set(bad) == set(LACKING)
    assert (lacking.name, lacking.message) == (
        "Failed",
        f"{len(bad)} of {len(findings_of(lacking))} checks are BAD: {', '.join(bad)}",
    )


@sync_compatible
async def read_artifact_rows() -> str:
    async with get_client() as client:
        answer = await client._client.get(f"/artifacts/{ARTIFACT_KEY}/latest")
    return str(answer.json()["data"])


def test_the_findings_are_in_an_artifact(lacking: State) -> None:
    rows = read_artifact_rows()
    assert all(finding.name in rows for finding in findings_of(lacking))


def look_at_connections() -> str:
    (check,) = [check for check in source_checks() if check.name == "connections of sources"]
    return check.look()


def test_regions_that_several_connections_read_are_tried_with_as_many(deployed: World) -> None:
    assert look_at_connections() == "1 for each region"
    database = make_url(deployed.environment["PG_EUROPE_URL"]).database
    with deployed.variable("extract_slices", "3"):
        assert look_at_connections() == "3 for each region"
        with changed(
            _owner(deployed, "EUROPE"),
            f"ALTER DATABASE {database} CONNECTION LIMIT 2",
            f"ALTER DATABASE {database} CONNECTION LIMIT -1",
        ):
            assert why_few().startswith("region=EUROPE is read by 2 of 3 connections: ")


def why_few() -> str:
    with pytest.raises(SetupFaultError) as caught:
        look_at_connections()
    return str(caught.value)


def test_a_missing_server_address_is_reported() -> None:
    with temporary_settings(updates={PREFECT_API_URL: ""}):
        (finding,) = run_checks([check for check in prefect_checks() if check.name == SERVER])
    assert (finding.outcome, "PREFECT_API_URL is not set" in finding.message) == (Outcome.BAD, True)
