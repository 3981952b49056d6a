"""Old flow runs are removed with everything that belongs to them; young, live, newest and foreign ones stay."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import PrefectClient, get_client

from local.environment import state_dir
from tasks.retention.old_runs import remove_runs
from tasks.retention.periods import TAG, Kind
from tasks.retention.staged import Removal
from tasks.setup_checks.check import Outcome, run_checks
from tasks.setup_checks.run_history import history_checks
from tests.integration.conftest import World

DAYS = 30
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Server:
    """The stack's server, with runs of any age. Each test names its own artifacts."""

    world: World

    def ask(self, do: Callable[[PrefectClient], Coroutine[Any, Any, Any]]) -> Any:
        async def ask() -> Any:
            async with get_client() as client:
                return await do(client)

        return asyncio.run(ask())

    def post(self, path: str, body: dict[str, Any]) -> Any:
        async def post(client: PrefectClient) -> Any:
            return (await client._client.post(path, json=body)).json()

        return self.ask(post)

    def run(
        self,
        flow: str,
        days: float,
        state: str = "COMPLETED",
        tags: tuple[str, ...] = (TAG,),
        deployment: str | None = None,
        parent: str | None = None,
        artifact: str | None = None,
    ) -> str:
        """Creates a run that was due and got its state so long ago, with a task run and its result as an artifact."""
        body = {
            "flow_id": self.post("/flows/", {"name": flow})["id"],
            "tags": tags,
            "deployment_id": deployment,
            "parent_task_run_id": parent and self.task_run(parent),
            "state": {"type": "PENDING"},
        }
        run: str = self.post("/flow_runs/", body)["id"]
        self.task_run(run)
        for step in ("RUNNING", state) if state in OVER else (state,):
            self.post(f"/flow_runs/{run}/set_state", {"state": {"type": step}, "force": state not in OVER})
        self.post("/artifacts/", {"type": "result", "flow_run_id": run, "data": "{}"})
        if artifact:
            self.post("/artifacts/", {"key": artifact, "type": "table", "flow_run_id": run, "data": "[]"})
        self.age(run, days)
        return run

    def task_run(self, run: str) -> str:
        body = {"flow_run_id": run, "task_key": "step", "dynamic_key": str(uuid4()), "state": {"type": "COMPLETED"}}
        found: str = self.post("/task_runs/", body)["id"]
        return found

    def age(self, run: str, days: float) -> None:
        """Makes a run older in the database, because no API does."""
        back = f"-{days * 24 * 3600:.0f} seconds"
        columns = ("expected_start_time", "start_time", "end_time")
        changes = ", ".join(f"{name} = strftime('%Y-%m-%d %H:%M:%f000', {name}, ?)" for name in columns)
        with closing(sqlite3.connect(state_dir() / "prefect" / "prefect.db", timeout=60)) as database, database:
            database.execute(f"UPDATE flow_run SET {changes} WHERE id = ?", (back, back, back, run))

    def remove(self, dry_run: bool = False, runs_max: int = 5_000) -> dict[str, int]:
        """Returns the numbers of removed runs by kind."""
        removals: list[Removal] = self.ask(lambda c: remove_runs(c, DAYS, datetime.now(UTC), dry_run, runs_max))
        return {removal.what: removal.count for removal in removals}

    def delete(self, run: str) -> None:
        self.ask(lambda client: client.delete_flow_run(UUID(run)))

    def left(self, runs: dict[str, str]) -> set[str]:
        """The names of the runs that are still there."""
        found = self.post("/flow_runs/filter", {"flow_runs": {"id": {"any_": list(runs.values())}}})
        there = {run["id"] for run in found}
        return {name for name, run in runs.items() if run in there}

    def artifacts(self, *runs: str) -> list[str | None]:
        """Keys of the artifacts of these runs; None for results."""
        found = self.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": runs}}})
        return sorted((artifact["key"] for artifact in found), key=str)

    def foreign_deployment(self) -> str:
        """Creates another project's deployment of a flow with our name."""
        flow = self.post("/flows/", {"name": "backfill"})["id"]
        found: str = self.post("/deployments/", {"name": "of another project", "flow_id": flow, "tags": [TAG]})["id"]
        return found


@pytest.fixture
def server(world: World) -> Server:
    server = Server(world)
    server.remove()
    return server


def test_what_is_old_goes_with_all_that_hangs_on_it_and_everything_else_stays(server: Server) -> None:
    key = f"of-{uuid4()}"
    parent, waiting = server.run("backfill", 31), server.run("backfill", 31)
    goes = {
        "completed": server.run("daily-sales", 31, artifact=key),
        "watchdog": server.run("watchdog", 8),
        "failed": server.run("reconcile", 91, "FAILED"),
        "crashed": server.run("daily-sales", 91, "CRASHED"),
        "cancelled": server.run("daily-sales", 91, "CANCELLED"),
        "backfill": parent,
        "child without tag": server.run("daily-sales", 31, tags=(), parent=parent),
        "of a deployment that is gone": server.run("rollback", 31, deployment=str(uuid4())),
    }
    stays = {
        "young": server.run("daily-sales", 29),
        "young watchdog": server.run("watchdog", 6),
        "failed lately": server.run("reconcile", 89, "FAILED"),
        "watchdog that failed": server.run("watchdog", 31, "FAILED"),
        "newest artifact": server.run("daily-sales", 31, artifact=key),
        "running": server.run("daily-sales", 400, "RUNNING"),
        "pending": server.run("daily-sales", 400, "PENDING"),
        "scheduled": server.run("daily-sales", 400, "SCHEDULED"),
        "paused": server.run("daily-sales", 400, "PAUSED"),
        "another flow": server.run("another project's", 400),
        "without tag": server.run("backfill", 400, tags=("another project",)),
        "another deployment": server.run("backfill", 400, deployment=server.foreign_deployment()),
        "backfill that waits": waiting,
        "its child": server.run("daily-sales", 400, "RUNNING", tags=(), parent=waiting),
    }
    runs = goes | stays
    expected = {Kind.ROUTINE: 1, Kind.COMPLETED: 4, Kind.UNSUCCESSFUL: 3, "artifacts of these runs": 9}
    assert server.remove(dry_run=True) == expected
    assert server.left(runs) == set(runs)
    assert server.remove() == expected
    assert server.left(runs) == set(stays)
    assert server.artifacts(*goes.values()) == []
    assert server.artifacts(stays["newest artifact"]) == [None, key]
    task_runs = server.post("/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": list(goes.values())}}})
    assert task_runs == []
    assert set(server.remove().values()) == {0}, "again, it finds nothing"
    for run in stays.values():
        server.delete(run)


def test_a_pass_is_bounded_takes_the_oldest_first_and_the_next_goes_on(server: Server) -> None:
    runs = {str(days): server.run("watchdog", days) for days in (40, 41, 42)}
    assert server.remove(runs_max=2)[Kind.ROUTINE] == 2
    assert server.left(runs) == {"40"}
    assert server.remove(runs_max=2)[Kind.ROUTINE] == 1
    assert server.left(runs) == set()


def test_two_passes_at_once_do_not_stumble_over_each_other(server: Server) -> None:
    runs = {str(number): server.run("watchdog", 40) for number in range(8)}

    async def twice(client: PrefectClient) -> None:
        now = datetime.now(UTC)
        await asyncio.gather(*(remove_runs(client, DAYS, now, dry_run=False) for _ in range(2)))

    server.ask(twice)
    assert server.left(runs) == set()


def test_check_setup_tells_of_runs_that_nobody_removes(server: Server) -> None:
    young = server.run("daily-sales", 1)
    (check,) = history_checks()

    def look() -> tuple[Outcome, str]:
        (finding,) = run_checks([replace(check, needs=())])
        return finding.outcome, finding.message

    outcome, message = look()
    assert outcome is Outcome.OK, message
    assert "completed ones are kept 30 days, the watchdog's 7, others 90" in message

    old = server.run("daily-sales", 40)
    for run in server.post("/flow_runs/filter", {"flows": {"name": {"any_": ["clean-staging"]}}}):
        server.age(run["id"], 10)
    outcome, message = look()
    assert outcome is Outcome.BAD, message
    assert "`prefect deployment run 'clean-staging/production'`" in message

    dry = server.run("clean-staging", 0)
    server.ask(lambda client: client.update_flow_run(UUID(dry), parameters={"dry_run": True}))
    assert look()[0] is Outcome.BAD, "a dry run removes nothing"
    server.run("clean-staging", 0)
    assert look()[0] is Outcome.OK, "it goes on with them"
    server.remove()
    assert server.left({"old": old, "young": young}) == {"young"}
