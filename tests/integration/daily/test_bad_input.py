"""Bad input and missing services: one clear error that names the thing and what to do, and nothing is loaded."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from prefect import Flow, get_client
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.states import State
from prefect.utilities.asyncutils import sync_compatible
from prefect.variables import Variable

from blocks import names
from blocks.register import storage_blocks, token_key_block
from flows.backfill import backfill
from flows.daily_sales import daily_sales
from flows.reconcile import reconcile
from flows.rollback import rollback
from tasks.begin import begin
from tests.integration.conftest import World


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tomorrow", "date 'tomorrow' is not understood: write it as 2024-01-15 or 20240115"),
        (True, "date True is not understood: write it as 2024-01-15 or 20240115"),
        ("2999-01-01", "date 2999-01-01 is in the future"),
        (20230229, "date 20230229 is no day of the calendar"),
    ],
)
def test_a_date_that_cannot_be_is_refused(world: World, value: str | int, message: str) -> None:
    run = world.run(value)
    assert run.state.is_failed()
    assert message in run.state.message


TO_COME = {"start_date": "2999-01-01", "end_date": "2999-01-02"}


@pytest.mark.parametrize(
    ("flow", "parameters", "name"),
    [
        pytest.param(daily_sales, {"date": "2999-01-01"}, "daily-sales-2999-01-01", id="daily-sales"),
        pytest.param(rollback, {"date": "2999-01-01", "reason": "a slip"}, "rollback-29990101", id="rollback"),
        pytest.param(backfill, TO_COME, "backfill-2999-01-01-to-02", id="backfill"),
        pytest.param(reconcile, TO_COME, "reconcile-2999-01-01-to-02", id="reconcile"),
    ],
)
def test_every_flow_refuses_a_date_to_come_and_is_called_by_it(
    world: World, flow: Flow[Any, Any], parameters: dict[str, str], name: str
) -> None:
    del world
    state = flow(**parameters, return_state=True)
    assert (state.is_failed(), state.name) == (True, "Refused")
    today = datetime.now(UTC).date()
    assert state.message == f"date 2999-01-01 is in the future (today is {today} UTC): choose {today} or an earlier day"
    assert name_of(state) == name


@sync_compatible
async def name_of(state: State[Any]) -> str:
    """The name of the run that ended in this state."""
    async with get_client() as client:
        return str((await client.read_flow_run(state.state_details.flow_run_id)).name)


def test_an_unknown_region_is_refused_with_the_known_ones(world: World, day: date) -> None:
    run = world.run(day, regions=["ATLANTIS"])
    assert run.state.is_failed()
    assert "region 'ATLANTIS' is unknown: choose from US_EAST, US_WEST, EUROPE, ASIA_PACIFIC" in run.state.message


def test_a_missing_block_is_named_before_anything_is_read(world: World, day: date) -> None:
    Secret.delete(names.TOKEN_KEY)
    try:
        run = world.run(day)
    finally:
        token_key_block(world.environment).save(names.TOKEN_KEY, overwrite=True)
    assert run.state.is_failed()
    assert f"block secret/{names.TOKEN_KEY} is missing" in run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == {}


async def delete_variable(name: str) -> None:
    async with get_client() as client:
        await client.delete_variable_by_name(name)


def test_a_missing_variable_is_named_with_a_command_that_mends_it(world: World, day: date) -> None:
    asyncio.run(delete_variable("min_record_count"))
    try:
        run = world.run(day)
    finally:
        Variable.set("min_record_count", "100")
    assert run.state.is_failed()
    assert "variable min_record_count is missing" in run.state.message
    assert "python -m blocks.variables min_record_count" in run.state.message


def test_an_unusable_variable_is_named_with_its_value(world: World, day: date) -> None:
    with world.variable("max_null_percentage", "five"):
        run = world.run(day)
    assert run.state.is_failed()
    assert "variable max_null_percentage is 'five': expected a percentage from 0 to 100, like 5.0" in run.state.message


def save(*blocks: tuple[str, Block]) -> None:
    for name, block in blocks:
        block.save(name, overwrite=True)


def test_an_unreachable_bucket_is_named(world: World, day: date) -> None:
    with world.variable("s3_staging_bucket", "no-such-bucket"):
        run = world.run(day)
    assert run.state.is_failed()
    assert "bucket no-such-bucket cannot be reached" in run.state.message
    assert "variable s3_staging_bucket" in run.state.message


def test_an_s3_that_does_not_answer_is_named(world: World, day: date) -> None:
    try:
        aws, bucket = storage_blocks({**world.environment, "S3_ENDPOINT_URL": "http://127.0.0.1:1"})
        save((names.STAGING_CREDENTIALS, aws), (names.STAGING_BUCKET, bucket))
        run = world.run(day)
    finally:
        aws, bucket = storage_blocks(world.environment)
        save((names.STAGING_CREDENTIALS, aws), (names.STAGING_BUCKET, bucket))
    assert run.state.is_failed()
    assert "cannot be reached" in run.state.message
    assert "http://127.0.0.1:1" in run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == {}


def test_a_warehouse_that_does_not_answer_is_named_and_nothing_is_read(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begin, "retries", 0)
    monkeypatch.setattr("tasks.warehouse.session.LOGIN_TIMEOUT_S", 3)
    with world.warehouse_with(SNOWFLAKE_PORT="1"):
        run = world.run(day)
    assert run.state.is_failed()
    assert "warehouse 127.0.0.1 cannot be reached" in run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == {}
