"""How runs end: the names of their states, which automations tell apart."""

from prefect.states import Completed, Failed, State

from tasks.errors import NeedsPersonError
from tasks.lines import counted
from tasks.report import RunReport

PARTIALLY_LOADED = "PartiallyLoaded"
OVERTAKEN = "Overtaken"
YIELDED = "Yielded"
QUALITY_FAILED = "QualityFailed"


class QualityFailedError(NeedsPersonError):
    """Raised when the result of a run is asked for whose batch the quality gate refused; `report` says more."""

    def __init__(self, message: str, report: RunReport) -> None:
        super().__init__(message, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


def final_state(report: RunReport) -> State:
    """The run's state with a message that says what happened; its data is the report, in an error when it failed."""
    loaded = [region for region in report.regions if region.status == "PUBLISHED"]
    if report.checks_failed:
        message = f"nothing was loaded for {report.date}: {'; '.join(report.checks_failed)}"
        return Failed(name=QUALITY_FAILED, message=message, data=QualityFailedError(message, report))
    if report.missing:
        return Completed(name=PARTIALLY_LOADED, message=report.missing, data=report)
    if report.overtaken and not loaded:
        message = f"a newer run has published or rolled back {report.date}; this one changed nothing"
        return Completed(name=OVERTAKEN, message=message, data=report)
    rows = sum(region.clean for region in loaded)
    what = (
        f"{counted(rows, 'clean row')} of {counted(len(loaded), 'region')}" if loaded else "a closed day without rows"
    )
    return Completed(message=f"{report.date}: {what}", data=report)


def report_of(state: State) -> RunReport | None:
    """The report that a daily run left with its state; None when it ended before there was one."""
    answer = state.result(raise_on_failure=False)
    if isinstance(answer, QualityFailedError):
        return answer.report
    return answer if isinstance(answer, RunReport) else None
