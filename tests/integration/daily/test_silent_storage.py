"""S3 that accepts connections and never answers: given up soon, logged meanwhile, and tried again on one level only."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from urllib.parse import urlsplit

import pytest

from blocks import names, storage, waits
from blocks.register import storage_blocks
from tasks.stage import stage
from tests.integration.conftest import World
from tests.integration.log_lines import Lines
from tests.integration.proxy import Proxy, proxy_to

TRIES = 4


@contextmanager
def bucket_behind(world: World, proxy: Proxy) -> Iterator[None]:
    """Gives the blocks of the bucket the proxy as their endpoint during the body."""

    def save(environment: dict[str, str]) -> None:
        credentials, bucket = storage_blocks(environment)
        credentials.save(names.STAGING_CREDENTIALS, overwrite=True)
        bucket.save(names.STAGING_BUCKET, overwrite=True)

    try:
        save({**world.environment, "S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"})
        yield
    finally:
        save(dict(world.environment))


@pytest.fixture
def proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(storage, "ANSWER_S_MAX", 1)
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.3)
    monkeypatch.setattr(stage, "retry_delay_seconds", 1)
    port = urlsplit(world.environment["S3_ENDPOINT_URL"]).port
    assert port is not None
    with proxy_to(port) as proxy, bucket_behind(world, proxy):
        yield proxy


class Waits(Lines):
    """Keeps the log lines of task runs."""

    def of_waits(self, step: str) -> list[str]:
        return [line for line in self.lines if line.startswith(f"step={step}") and " still waiting for " in line]


@pytest.fixture
def logged() -> Iterator[Waits]:
    lines, logger = Waits(), logging.getLogger("prefect.task_runs")
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)


def test_a_silent_bucket_stops_the_run_before_anything_is_read(
    world: World, day: date, proxy: Proxy, logged: Waits
) -> None:
    proxy.stall()
    run = world.run(day, ["EUROPE"])
    assert run.state.name == "Failed"
    assert "cannot be reached: " in str(run.state.message)
    assert "The driver says: Read timeout on endpoint URL" in str(run.state.message)
    assert proxy.accepted == TRIES
    lines = logged.of_waits("begin")
    assert len(lines) >= TRIES
    assert lines[0].startswith(f"step=begin still waiting for s3://{world.environment['S3_STAGING_BUCKET']} after ")
    assert lines[0].endswith(" s (limit 1 s)")


def test_a_bucket_that_falls_silent_while_rows_are_staged_is_given_up_and_nothing_is_published(
    world: World, day: date, proxy: Proxy, logged: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, rows=120, regions=("EUROPE",))
    monkeypatch.setattr(storage, "ANSWER_S_MAX", 60)
    staged = stage.fn

    def stage_in_silence(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(storage, "ANSWER_S_MAX", 1)
        proxy.stall()
        return staged(*args, **kwargs)

    monkeypatch.setattr(stage, "fn", stage_in_silence)
    run = world.run(day, ["EUROPE"])
    assert run.state.name == "Failed"
    assert "Read timeout on endpoint URL" in str(run.state.message)
    assert logged.of_waits("stage")[0].startswith("step=stage region=EUROPE still waiting for its files at s3://")
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",)) == [(0,)]
