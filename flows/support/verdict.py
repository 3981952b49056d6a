"""The verdict on a daily run: what its end means for the figures of its date."""

from collections.abc import Sequence

from prefect.states import State

from expectations.regions import REGIONS, expected_on
from flows.support.states import OVERTAKEN, PARTIALLY_LOADED, QUALITY_FAILED
from tasks.lines import DRIVER_SAYS, public_line
from tasks.pages.run_page import Outcome, Tone
from tasks.report import Findings
from tasks.warehouse.states import Status

MESSAGE_LENGTH_MAX = 2000
AGREED = (
    "Rows and exact money were counted in the source and in each step, then by other queries in the fact table: they "
    "agree."
)


def to_outcome(state: State, found: Findings | None) -> Outcome:
    """Returns the verdict. `found` is None when the run ended before its regions were read."""
    tone, headline, meaning = _judge(state, found)
    return Outcome(tone, headline, meaning, without_driver(state.message or "", MESSAGE_LENGTH_MAX))


def without_driver(text: str, length_max: int) -> str:
    """Our own words in one line: a driver's may quote values of rows."""
    return public_line(text.partition(DRIVER_SAYS)[0].rstrip(" ."), length_max)


def _judge(state: State, found: Findings | None) -> tuple[Tone, str, str]:
    if state.name == QUALITY_FAILED:
        return Tone.BAD, "Refused", "The data broke a quality limit. Nothing was loaded; what was in production stays."
    if state.name == OVERTAKEN:
        return Tone.WARN, "Overtaken", "A newer run has published or rolled back this date. This run changed nothing."
    if state.is_completed() and found:
        return _judge_published(state, found)
    if found and found.verification:
        return (
            Tone.WARN,
            "Published, then failed",
            f"{_in_production(found)} {AGREED} The run failed afterwards.",
        )
    return (
        Tone.BAD,
        "Cancelled" if state.is_cancelling() or state.is_cancelled() else "Failed",
        "The run ended before its batch was verified. What the ledger lists as published is in production, and "
        "nothing else.",
    )


def _judge_published(state: State, found: Findings) -> tuple[Tone, str, str]:
    published, partly = _published(found), _read_too_early(found)
    clauses = [
        _in_production(found),
        _list("Missing", [entry.region for entry in found.plan.missing]),
        _list("Closed", [entry.region for entry in found.plan.left_out if entry.status is Status.EMPTY]),
        _list("Left to a newer run", found.publication.overtaken if found.publication else ()),
        _list("Read before all of the day was there, and still a gap", partly),
    ]
    meaning = " ".join(filter(None, clauses))
    if state.name == PARTIALLY_LOADED:
        return Tone.WARN, "Partly published", meaning
    if not published:
        return (
            Tone.GOOD,
            "Closed day",
            "The regions had no sales, and the variable closed_days says that they are closed.",
        )
    if partly:
        return Tone.WARN, "Published, not over", meaning
    return Tone.GOOD, "Published", f"{meaning} {AGREED}"


def _published(found: Findings) -> list[str]:
    return [of_region.region for of_region in found.publication.regions] if found.publication else []


def _read_too_early(found: Findings) -> list[str]:
    end, published = found.batch.window.end, _published(found)
    return [
        extracted.region
        for extracted in found.plan.present
        if extracted.region in published and (extracted.behind or extracted.snapshot_at < end)
    ]


def _in_production(found: Findings) -> str:
    names = _published(found)
    if {*names} == {*expected_on(found.batch.date, REGIONS)}:
        return "All regions are in production."
    return _list("In production", names)


def _list(what: str, names: Sequence[str]) -> str:
    return f"{what}: {', '.join(names)}." if names else ""
