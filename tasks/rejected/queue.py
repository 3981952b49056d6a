"""The queue of rejected rows: the open ones by rule, region and age."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger, task

from tasks.retries import RETRIES
from tasks.transform import RULE_SEPARATOR
from tasks.warehouse.session import Row, task_session
from tasks.warehouse.statements import render

WEEK_DAYS = 7


@dataclass(frozen=True)
class OpenRows:
    """Open rejected rows of one rule and region by the days since their key was first rejected.

    A row that broke several rules counts for each. `no_key` are those without a `sale_id`, which only a rerun of their
    date closes.
    """

    rule: str
    region: str
    rows: int
    no_key: int
    today: int
    this_week: int
    older: int
    oldest_days: int


@dataclass(frozen=True)
class OpenRejections:
    """All open rows: their number, each counted once, and their groups by rule and region, largest first."""

    rows: int
    oldest_days: int
    by_rule: tuple[OpenRows, ...]


def to_queue(counts: Iterable[Row]) -> OpenRejections:
    """Adds up rows (region, rules, days, count, count without a key) of `sql/rejected/open_rows.sql`."""
    found = [(region, rules, int(days), int(rows), int(no_key)) for region, rules, days, rows, no_key in counts]
    groups: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for region, rules, days, rows, no_key in found:
        for rule in rules.split(RULE_SEPARATOR):
            groups.setdefault((rule, region), []).append((days, rows, no_key))
    by_rule = (_open_rows(rule, region, ages) for (rule, region), ages in groups.items())
    return OpenRejections(
        rows=sum(rows for *_, rows, _ in found),
        oldest_days=max((days for _, _, days, _, _ in found), default=0),
        by_rule=tuple(sorted(by_rule, key=lambda group: (-group.rows, group.rule, group.region))),
    )


def _open_rows(rule: str, region: str, ages: list[tuple[int, int, int]]) -> OpenRows:
    return OpenRows(
        rule=rule,
        region=region,
        rows=sum(rows for _, rows, _ in ages),
        no_key=sum(no_key for *_, no_key in ages),
        today=sum(rows for days, rows, _ in ages if days < 1),
        this_week=sum(rows for days, rows, _ in ages if 1 <= days < WEEK_DAYS),
        older=sum(rows for days, rows, _ in ages if days >= WEEK_DAYS),
        oldest_days=max(days for days, *_ in ages),
    )


def queue_rows(queue: OpenRejections) -> list[dict[str, Any]]:
    """The queue as a table; a row that broke several rules counts for each."""
    return [
        {
            "rule": group.rule,
            "region": group.region,
            "rows": group.rows,
            "without key": group.no_key,
            "today": group.today,
            "1 to 6 days": group.this_week,
            "7 days and more": group.older,
            "oldest, days": group.oldest_days,
        }
        for group in queue.by_rule
    ]


@task(name="read-rejected", **RETRIES)
def read_rejected(warehouse: str) -> OpenRejections:
    """Reads the queue from the warehouse."""
    with task_session(warehouse, "list-rejected") as session:
        queue = to_queue(session.query(render("rejected/open_rows")))
    get_run_logger().info("step=read-rejected rows=%d oldest_days=%d", queue.rows, queue.oldest_days)
    return queue
