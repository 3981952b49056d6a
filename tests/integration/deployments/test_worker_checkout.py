"""Runs take the code of their worker's own checkout, whatever its path; a worker without one raises an alert."""

import mailbox
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.check_setup import main as check_setup
from flows.watchdog import main as watch_outside
from local.environment import CHECKOUT, state_dir
from tests.integration.conftest import World, stop, wait_for
from tests.integration.deployments.conftest import Operator
from tests.integration.server import events_enabled
from tests.integration.watch.conftest import body_of

CAUSE = "RETAIL_SALES_HOME: is not set where this worker runs: start it by make worker"
CODE = ("blocks", "deployments", "docs", "expectations", "flows", "sql", "tasks")
LIST, SEND_ALERT = "list-rejected/production", "send-alert/production"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project somewhere else, in a path with blanks, with its interpreter."""
    place = tmp_path_factory.mktemp("another place") / "retail sales"
    for folder in CODE:
        shutil.copytree(CHECKOUT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "prefect.yaml", place)
    (place / ".venv").symlink_to(Path(sys.prefix))
    (place / "scratch of ours").mkdir()
    return place


@contextmanager
def worker_at(place: Path, operator: Operator, command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    operator.clear_the_way()
    with (operator.directory / "worker-of-another-place.log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=place,
            env={**operator.environment, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            stop(process)


def test_without_a_worker_that_is_bad_and_the_rest_is_tried_from_here(
    operator: Operator, capfd: pytest.CaptureFixture[str]
) -> None:
    operator.clear_the_way()
    with events_enabled():
        assert check_setup(["--wait", "1"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("BAD worker: no worker has started ")
    assert [line for line in lines[1:] if not line.startswith("ok  ")] == []
    assert f"ok  version: {operator.deployment(LIST)['version']}, at {CHECKOUT}" in lines
    which = {"deployments": {"name": {"any_": ["production"]}}, "flows": {"name": {"any_": ["check-setup"]}}}
    waiting = operator.filter("flow_runs", **which, flow_runs={"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}})
    assert [run["name"] for run in waiting] == []


def test_a_worker_without_its_checkout_is_told_by_the_server_and_its_mails_come_from_outside(
    operator: Operator, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.forget_alert_runs()
    monkeypatch.setenv("WATCHDOG_DIR", str(tmp_path))
    venv = Path(sys.executable).parent
    command = [str(venv / "prefect"), "worker", "start", "--pool", "retail-sales", "--type", "process"]
    with worker_at(tmp_path, operator, command, {"PATH": f"{venv}:{os.environ['PATH']}"}):
        lost = operator.finished(operator.start(LIST))
        assert lost["state_name"] == "Failed"
        assert CAUSE in log_of(operator, lost["id"])
        wait_for(lambda: states_of_alerts(operator) == {"Failed"}, "the end of send-alert")
        wait_for(lambda: any("alert not mailed" in m["subject"] for m in operator.sink.messages), "the notification")
    mailbox.Maildir(state_dir() / "mail").clear()
    watch_outside(os.environ)
    assert states_of_alerts(operator) == {"MailedLater"}
    assert len(mails_about(lost["id"])) == 1
    watch_outside(os.environ)
    (mail,) = mails_about(lost["id"])
    assert CAUSE in mail
    operator.forget_alert_runs()


@pytest.fixture(scope="module")
def worker_elsewhere(operator: Operator, checkout: Path) -> Iterator[None]:
    command = [str(checkout / ".venv/bin/python"), "-m", "deployments.worker"]
    with worker_at(checkout, operator, command, {"TMPDIR": str(checkout / "scratch of ours")}):
        yield


@pytest.mark.usefixtures("worker_elsewhere")
def test_a_run_takes_the_code_of_a_checkout_whose_path_has_blanks(operator: Operator) -> None:
    run = operator.finished(operator.start(LIST))
    assert run["state_name"] == "Completed", run["state"]["message"]


@pytest.mark.usefixtures("worker_elsewhere")
def test_check_setup_says_what_the_worker_found_and_that_its_version_is_another(
    operator: Operator, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = len(operator.alert_runs())
    assert check_setup(["--wait", "120"]) == 1
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("ok  worker: ")
    (bad,) = [line for line in lines if line.startswith("BAD ")]
    assert bad.startswith("BAD version: ")
    assert f"the checkout here, {checkout}, is not-from-git" in bad
    assert said.err.splitlines()[-1] == f"NotReady: 1 of {len(lines)} checks are BAD: version"
    assert len(operator.alert_runs()) == before, "the command shows it, and no mail is sent"


def states_of_alerts(operator: Operator) -> set[str]:
    runs = operator.filter("flow_runs", deployments={"id": {"any_": [operator.deployment(SEND_ALERT)["id"]]}})
    return {run["state_name"] for run in runs}


def log_of(operator: Operator, flow_run_id: str) -> str:
    lines = operator.filter("logs", logs={"flow_run_id": {"any_": [flow_run_id]}})
    return "\n".join(line["message"] for line in lines)


def mails_about(flow_run_id: str) -> list[str]:
    """The texts of the mails that name the run; a long line of theirs may be broken."""
    texts = [" ".join(body_of(mail).split()) for mail in mailbox.Maildir(state_dir() / "mail")]
    return [text for text in texts if flow_run_id in text]
