"""Production and staging on one server: whatever happens to staging, production is what it was."""

import mailbox
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from local.environment import CHECKOUT, state_dir
from tasks.stage import load_bucket
from tests.integration.conftest import World, stop, wait_for
from tests.integration.deployments.conftest import Operator

pytestmark = pytest.mark.more

EMPTY_DAY = date(2018, 3, 7)
OWN = {"SNOWFLAKE_DATABASE": "RETAIL_STAGING", "S3_STAGING_BUCKET": "retail-sales-of-staging"}


def as_program(module: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`python -m ...` in a process of its own: the environment is looked at when names are imported."""
    command = [sys.executable, "-m", module]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300)


def on_the_server(operator: Operator) -> dict[str, Any]:
    """What the server has, and when it was changed last, by kind and id; of runs, which there are."""
    things = {
        f"{kind} {thing['name']} {thing['id']}": thing
        for kind in ("variables", "block_documents", "automations")
        for thing in operator.filter(kind)
    }
    # Not `updated`: the server sets it when it finds a deployment without a worker, and with one again.
    chosen = ("tags", "parameters", "schedules", "version", "work_queue_name", "infra_overrides")
    for deployment in operator.filter("deployments"):
        things[f"deployment {deployment['id']}"] = {field: deployment[field] for field in chosen}
    for queue in operator.filter("work_pools/retail-sales/queues"):
        things[f"queue {queue['name']}"] = queue["concurrency_limit"]
    return things | {f"run {run['id']}": run["deployment_id"] for run in operator.filter("flow_runs")}


def changed_since(before: dict[str, Any], operator: Operator) -> dict[str, Any]:
    """What is gone or another one."""
    now = on_the_server(operator)
    return {name: now.get(name) for name, thing in before.items() if now.get(name) != thing}


@pytest.fixture(scope="module")
def staging(operator: Operator, world: World) -> Iterator[dict[str, str]]:
    """The environment variables of staging, deployed and set up; a worker of it is alive."""
    operator.clear_the_way()
    environment = {**operator.environment, "RETAIL_SALES_ENVIRONMENT": "staging", **OWN}
    bucket = load_bucket(world.environment["S3_STAGING_BUCKET"])
    bucket.credentials.get_s3_client().create_bucket(Bucket=OWN["S3_STAGING_BUCKET"])
    for module in ("deployments.apply", "flows.setup_warehouse"):
        done = as_program(module, environment)
        assert done.returncode == 0, done.stdout + done.stderr
    for deployment in operator.filter("deployments", deployments={"name": {"any_": ["staging"]}}):
        for schedule in deployment["schedules"]:
            operator.api.patch(f"/deployments/{deployment['id']}/schedules/{schedule['id']}", json={"active": False})
    with (operator.directory / "worker-of-staging.log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "deployments.worker"],
            cwd=CHECKOUT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        yield environment
        stop(worker)


@pytest.fixture(scope="module")
def before(operator: Operator) -> dict[str, Any]:
    """What production had before there was another environment."""
    return on_the_server(operator)


def test_the_warehouse_of_another_environment_is_refused(operator: Operator, before: dict[str, Any]) -> None:
    environment = {**operator.environment, "RETAIL_SALES_ENVIRONMENT": "staging"}
    done = as_program("deployments.apply", environment)
    assert done.returncode == 1
    assert "SNOWFLAKE_DATABASE is " in done.stderr
    assert "which environment production on this Prefect server uses" in done.stderr
    assert changed_since(before, operator) == {}


def test_a_failing_run_of_staging_is_told_as_staging(
    operator: Operator, before: dict[str, Any], staging: dict[str, str]
) -> None:
    mailbox.Maildir(state_dir() / "mail").clear()
    failed = operator.finished(operator.start("daily-sales/staging", "-p", f"date={EMPTY_DAY}"))
    assert failed["state_name"] == "QualityFailed", failed["state"]["message"]
    wait_for(lambda: "staging" in " ".join(subjects()), "the mail")
    (mail,) = [mail for mail in mailbox.Maildir(state_dir() / "mail") if "staging" in str(mail["Subject"])]
    assert "prefect deployment run 'daily-sales/staging'" in str(mail)
    assert {m["subject"].partition("]")[0] for m in operator.sink.about(failed["id"])} == {"[retail-sales staging"}


def test_what_is_staged_and_loaded_by_staging_is_its_own(
    operator: Operator, world: World, staging: dict[str, str], day: date
) -> None:
    world.fill(day)
    loaded = operator.finished(operator.start("daily-sales/staging", "-p", f"date={day}"))
    assert loaded["state_name"] == "Completed", loaded["state"]["message"]
    assert world.ledger(f"{day:%Y%m%d}") == {}
    cleaned = operator.finished(operator.start("clean-staging/staging"))
    assert cleaned["state_name"] == "Completed", cleaned["state"]["message"]


def test_a_pool_of_another_type_is_kept(operator: Operator, before: dict[str, Any]) -> None:
    own = {"SNOWFLAKE_DATABASE": "ELSEWHERE", "S3_STAGING_BUCKET": "retail-sales-elsewhere"}
    properties = {name: {"type": kind} for name, kind in (("command", "string"), ("env", "object"))}
    template = {
        "job_configuration": {name: f"{{{{ {name} }}}}" for name in properties},
        "variables": {"type": "object", "properties": properties},
    }
    pool = {"name": "retail-sales-elsewhere", "type": "docker", "base_job_template": template}
    operator.post("/work_pools/", pool)
    environment = {**operator.environment, "RETAIL_SALES_ENVIRONMENT": "elsewhere", **own}
    done = as_program("deployments.apply", environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "work pool retail-sales-elsewhere: unchanged (of type docker)" in done.stdout.splitlines()
    assert operator.api.get("/work_pools/retail-sales-elsewhere").json()["base_job_template"] == template


def test_production_is_what_it_was(operator: Operator, before: dict[str, Any], staging: dict[str, str]) -> None:
    assert changed_since(before, operator) == {}


def subjects() -> list[str]:
    return [" ".join(str(mail["Subject"]).split()) for mail in mailbox.Maildir(state_dir() / "mail")]
