"""Tries everything that a run needs and prints a line for each. Changes nothing.

    python -m flows.check_setup [--here] [--wait SECONDS]

The checks run on a worker, whose machine has to reach everything; in this process with `--here`, or when no worker
starts them in time.
"""

import sys
from argparse import ArgumentParser

from prefect import flow, get_run_logger, tags
from prefect.states import Completed, Failed, State

from blocks.server import NoPrefectServerError, speaking_to_prefect
from blocks.waits import logged_if_slow
from flows.support.command_line import to_stderr
from flows.support.run_names import by_minute
from tasks.errors import NeedsPersonError
from tasks.pages.artifacts import data, write_artifacts
from tasks.retention.periods import TAG
from tasks.retries import ONCE
from tasks.setup_checks.bucket import bucket_checks
from tasks.setup_checks.check import TIME_LIMIT_S, Check, Finding, Outcome, limit_s, run_checks
from tasks.setup_checks.engine import engine_checks
from tasks.setup_checks.mail_server import mail_checks
from tasks.setup_checks.prefect_server import SERVER, prefect_checks
from tasks.setup_checks.run_history import history_checks
from tasks.setup_checks.sources import source_checks
from tasks.setup_checks.through_worker import ARTIFACT_KEY, NOT_READY, START_S_MAX, check_through_worker
from tasks.setup_checks.warehouse import warehouse_checks


class SetupNotReadyError(NeedsPersonError):
    """The result of a check-setup that found something wrong; `findings` holds all findings."""

    def __init__(self, message: str, findings: list[Finding]) -> None:
        super().__init__(message, findings)
        self.findings = findings

    def __str__(self) -> str:
        return str(self.args[0])


def all_checks() -> list[Check]:
    """All checks, in the order of the report."""
    return [
        *prefect_checks(),
        *history_checks(),
        *source_checks(),
        *bucket_checks(),
        *engine_checks(),
        *warehouse_checks(),
        *mail_checks(),
    ]


@flow(name="check-setup", flow_run_name=by_minute("check-setup"), **ONCE)
def check_setup(mail: bool = True) -> State:
    """Tries every connection, permission, bucket, stage, table, variable, deployment, automation and clock, and looks
    for sale ids that two regions share. Each check is a line: ok, or what is wrong and how to mend it.

    Ends as Failed when something is wrong.

    Args:
        mail: Mail it when something is wrong. Off, the run ends as NotReady instead, and nobody is mailed.
    """
    logger = get_run_logger()
    findings = run_checks(all_checks(), logger.warning)
    for finding in findings:
        (logger.error if finding.outcome is Outcome.BAD else logger.info)(str(finding))
    rows = [{"check": f.name, "outcome": str(f.outcome), "what": f.message} for f in findings]
    write_artifacts([data(rows, key=ARTIFACT_KEY, description="What check-setup tried, and what it found.")])
    return final_state(findings, "Failed" if mail else NOT_READY)


def final_state(findings: list[Finding], not_ready: str) -> State:
    """Completed, or Failed under the name `not_ready` with the checks that are BAD."""
    bad = [finding.name for finding in findings if finding.outcome is Outcome.BAD]
    if bad:
        message = f"{len(bad)} of {len(findings)} checks are BAD: {', '.join(bad)}"
        return Failed(name=not_ready, message=message, data=SetupNotReadyError(message, findings))
    return Completed(message=f"{len(findings)} checks are ok", data=findings)


def check(here: bool, wait_s: float) -> list[Finding]:
    """Returns a worker's findings, or those of this process with the reason why no worker ran."""
    if here:
        return check_here()
    answer = check_through_worker(to_stderr, limit_s(all_checks()), wait_s)
    return [answer.worker, *(answer.findings if answer.worker.ok else check_here())]


def check_here() -> list[Finding]:
    """Returns this process's findings, in a run without a deployment."""
    with tags(TAG), logged_if_slow(to_stderr, "check-setup", "its checks", TIME_LIMIT_S):
        state = check_setup(mail=False, return_state=True)
    found = state.result(raise_on_failure=False)
    if isinstance(found, SetupNotReadyError):
        return found.findings
    if not isinstance(found, list):
        return [Finding("checks", Outcome.BAD, f"{state.name}: {state.message}")]
    return found


def main(arguments: list[str]) -> int:
    """Prints the findings; returns 1 when something is wrong. Without a server, or when it goes away, one line says
    so."""
    parser = ArgumentParser("python -m flows.check_setup", description="Tries everything that a run needs.")
    parser.add_argument("--here", action="store_true", help="in this process, through no worker")
    parser.add_argument("--wait", type=float, default=START_S_MAX, metavar="SECONDS", help="for a worker to start it")
    given = parser.parse_args(arguments)
    (server,) = run_checks([check for check in all_checks() if check.name == SERVER], to_stderr)
    if not server.ok:
        print(server)
        return 1
    try:
        with speaking_to_prefect():
            findings = check(given.here, given.wait)
    except NoPrefectServerError as error:
        print(f"check-setup: {error}", file=sys.stderr)
        return 1
    for finding in findings:
        print(finding)
    state = final_state(findings, NOT_READY)
    print(f"{state.name}: {state.message}", file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
