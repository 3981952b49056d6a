"""How runs end: the names of their final states, by which automations tell them apart."""

from prefect.states import Completed, Failed, State

from tasks.errors import NeedsPersonError
from tasks.lines import counted
from tasks.report import RunReport

PARTIALLY_LOADED = "PartiallyLoaded"
OVERTAKEN = "Overtaken"
YIELDED = "Yielded"
QUALITY_FAILED = "QualityFailed"


class QualityFailedError(NeedsPersonError):
    """The result of a run whose batch the quality gate refused; `report` has the details."""

    def __init__(self, message: str, report: RunReport) -> None:
        super().__init__(message, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


def final_state(report: RunReport) -> State:
    """Returns the run's state with a message; its data is the report, within an error when it failed."""
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
    """The report in a daily run's state; None when the run ended before there was one."""
    answer = state.result(raise_on_failure=False)
    if isinstance(answer, QualityFailedError):
        return answer.report
    return answer if isinstance(answer, RunReport) else None
