"""How a daily run ends: the names of its states, which automations tell apart."""

from prefect.states import Completed, Failed, State

from tasks.report import RunReport

PARTIALLY_LOADED = "PartiallyLoaded"
OVERTAKEN = "Overtaken"
QUALITY_FAILED = "QualityFailed"


def final_state(report: RunReport) -> State:
    """The run's state with a message that says what happened; its data is the report."""
    loaded = [region for region in report.regions if region.status == "PUBLISHED"]
    if report.checks_failed:
        message = f"nothing was loaded for {report.date}: {'; '.join(report.checks_failed)}"
        return Failed(name=QUALITY_FAILED, message=message, data=report)
    if report.missing:
        return Completed(name=PARTIALLY_LOADED, message=report.missing, data=report)
    if report.overtaken and not loaded:
        message = f"a newer run has published {report.date}; this one changed nothing"
        return Completed(name=OVERTAKEN, message=message, data=report)
    rows = sum(region.clean for region in loaded)
    what = f"{rows} clean rows of {len(loaded)} regions" if loaded else "a closed day without rows"
    return Completed(message=f"{report.date}: {what}", data=report)
