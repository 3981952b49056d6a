"""Tries everything that a run needs and prints one line each: `python -m flows.check_setup`. Changes nothing."""

import sys

from prefect import flow, get_run_logger
from prefect.states import Completed, Failed, State

from tasks.artifacts import write_table
from tasks.errors import NeedsPersonError
from tasks.setup_checks.bucket import bucket_checks
from tasks.setup_checks.check import Check, Finding, Outcome, run_checks
from tasks.setup_checks.mail_server import mail_checks
from tasks.setup_checks.prefect_server import SERVER, prefect_checks
from tasks.setup_checks.sources import source_checks
from tasks.setup_checks.warehouse import warehouse_checks

ARTIFACT_KEY = "check-setup"


class SetupNotReadyError(NeedsPersonError):
    """Raised when the result of a check-setup is asked for that found something wrong; `findings` holds all."""

    def __init__(self, message: str, findings: list[Finding]) -> None:
        super().__init__(message, findings)
        self.findings = findings

    def __str__(self) -> str:
        return str(self.args[0])


def all_checks() -> list[Check]:
    """Everything that is tried, in the order in which it is told."""
    return [*prefect_checks(), *source_checks(), *bucket_checks(), *warehouse_checks(), *mail_checks()]


@flow(name="check-setup")
def check_setup() -> State:
    """Tries every connection, permission, bucket, stage, table, variable, deployment, automation and clock, and looks
    for sale ids that two regions both use. One line for each says ok, or what is wrong and how to mend it.

    Ends as Failed when something is wrong.
    """
    findings, logger = run_checks(all_checks()), get_run_logger()
    for finding in findings:
        (logger.error if finding.outcome is Outcome.BAD else logger.info)(str(finding))
    rows = [{"check": f.name, "outcome": str(f.outcome), "what": f.message} for f in findings]
    write_table(rows, key=ARTIFACT_KEY, description="What check-setup tried, and what it found.")
    return final_state(findings)


def final_state(findings: list[Finding]) -> State:
    """Failed, naming what is wrong, or Completed."""
    bad = [finding.name for finding in findings if finding.outcome is Outcome.BAD]
    if bad:
        message = f"{len(bad)} of {len(findings)} checks are BAD: {', '.join(bad)}"
        return Failed(message=message, data=SetupNotReadyError(message, findings))
    return Completed(message=f"{len(findings)} checks are ok", data=findings)


def main() -> int:
    """Prints the findings; 1 when something is wrong. Without a server there is no run, and one line says so."""
    (server,) = run_checks([check for check in all_checks() if check.name == SERVER])
    if not server.ok:
        print(server)
        return 1
    state = check_setup(return_state=True)
    answer = state.result(raise_on_failure=False)
    findings = answer.findings if isinstance(answer, SetupNotReadyError) else answer
    for finding in findings if isinstance(findings, list) else ():
        print(finding)
    print(f"{state.name}: {state.message}", file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
