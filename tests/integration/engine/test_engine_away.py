"""An engine that is away, or dies while a run uses it: a clear state, nothing published, and the next run loads."""

import os
import signal
from datetime import date
from typing import Any

import pytest

from flows.support import engines
from tasks.engine import files, quality, server, session, stage
from tasks.engine.files import Place
from tasks.errors import NeedsPersonError
from tasks.stage import FileKind
from tests.integration.conftest import World, free_port
from tests.integration.engine.servers import MINUTES, NO_BUCKET
from tests.integration.processes import run_python

pytestmark = pytest.mark.more


def published(world: World, day: date) -> list[Any]:
    return world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))


def test_an_engine_that_is_not_there_fails_the_run_and_names_what_to_do(world: World, day: date) -> None:
    world.fill(day, rows=150)
    port = free_port()
    with world.variable("spark_remote", f"sc://127.0.0.1:{port}"):
        run = world.run(day, engine="spark")
    assert run.state.name == "Failed"
    assert f"no engine listens at 127.0.0.1:{port}" in str(run.state.message)
    assert "correct the variable spark_remote, or run with engine pandas" in str(run.state.message)
    assert published(world, day) == [(0,)]


@pytest.mark.parametrize("step", ["transform", "quality-gate"])
@pytest.mark.parametrize(
    ("sign", "fault"),
    [
        pytest.param(signal.SIGKILL, " failed (", id="dies"),
        pytest.param(signal.SIGSTOP, " did not finish within 30 s: look at its log", id="stops-answering"),
    ],
)
def test_an_engine_that_is_lost_publishes_nothing_and_the_next_run_loads(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals, fault: str, step: str
) -> None:
    world.fill(day, rows=150)
    started, popen, write, input_of = [], server.subprocess.Popen, files.write_rows, quality.input_frame
    later: list[Any] = []

    def remembered(*arguments: Any, **settings: Any) -> Any:
        started.append(popen(*arguments, **settings))
        return started[-1]

    def lost_in_transform(rows: Any, kind: FileKind, *place: Any) -> None:
        if kind == "rejected":
            os.kill(started[0].pid, sign)
        write(rows, kind, *place)

    def lost_in_gate(rows: Any) -> Any:
        os.kill(started[0].pid, sign)
        return input_of(rows)

    with monkeypatch.context() as patch:
        patch.setattr(server.subprocess, "Popen", remembered)
        patch.setattr(session, "RETRIES_MAX", 3)
        # A lost engine is found by the step that lost it, not by the next one.
        patch.setattr(stage, "stage", lambda *arguments: later.append(arguments))
        patch.setattr(engines, "engine_address", lambda remote, bucket, _: server.engine_address(remote, bucket, 0.5))
        if step == "transform":
            patch.setattr("tasks.engine.transform.write_rows", lost_in_transform)
        else:
            patch.setattr(quality, "input_frame", lost_in_gate)
        run = world.run(day, engine="spark")
    assert run.state.name == "Failed"
    assert "the engine at sc://127.0.0.1" in str(run.state.message)
    assert fault in str(run.state.message)
    assert later == []
    assert published(world, day) == [(0,)]

    again = world.run(day, engine="spark")
    assert again.state.name == "Completed", again.state.message
    assert published(world, day) == [(600,)]


def test_files_that_a_given_up_task_of_the_engine_left_behind_are_not_rows(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, rows=150, regions=("EUROPE",))
    write = files.write_rows

    def littering(rows: Any, kind: FileKind, region: str, place: Place) -> None:
        write(rows, kind, region, place)
        client, bucket = place.bucket.credentials.get_s3_client(), place.bucket.bucket_name
        folder = f"{place.prefix}/{kind}/{region}"
        for listed in client.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/").get("Contents", ()):
            for part in ("_temporary/0", ".hive-staging"):
                key = f"{folder}/{part}/{listed['Key'].rsplit('/', 1)[1]}"
                client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": listed["Key"]})

    monkeypatch.setattr("tasks.engine.transform.write_rows", littering)
    run = world.run(day, ["EUROPE"], engine="spark")
    assert run.state.name == "Completed", run.state.message
    assert published(world, day) == [(150,)]


def test_an_engine_that_answers_after_the_lease_when_another_run_has_loaded_the_date_changes_nothing(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, rows=150, regions=("EUROPE",))
    write, others = files.write_rows, []

    def late(rows: Any, kind: FileKind, *place: Any) -> None:
        write(rows, kind, *place)
        if kind == "rejected":
            with world.session() as session:
                session.query(
                    "UPDATE ETL_BATCHES SET LEASE_UNTIL = '2000-01-01' WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",)
                )
            world.change("EUROPE", "UPDATE sales_transactions SET store_id = 'corrected'")
            others.append(run_python("-m", "flows.daily_sales", str(day), "EUROPE").stdout.splitlines()[-1])

    monkeypatch.setattr("tasks.engine.transform.write_rows", late)
    run = world.run(day, ["EUROPE"], engine="spark")
    (other,) = others
    assert other.startswith("Completed: "), other
    assert run.state.name == "Failed"
    assert "150 clean rows are gone from s3://" in str(run.state.message)
    assert "another run of the date has removed them, because the lease of this one was over" in str(run.state.message)
    corrected = "SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ? AND STORE_ID = 'corrected'"
    assert world.sql(corrected, (f"{day:%Y%m%d}",)) == published(world, day) == [(150,)]


def test_without_its_packages_an_engine_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PACKAGES", ("pyspark", "no_such_package"))
    with (
        pytest.raises(
            NeedsPersonError, match=r"not installed \(no_such_package\): run `pip install -r requirements-spark"
        ),
        server.engine_address("sc://127.0.0.1", NO_BUCKET, MINUTES),
    ):
        pass
