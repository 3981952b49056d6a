"""Replay: the rejected rows that are read again, and how they end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prefect import get_run_logger, task

from tasks.batch import KEYS_MAX, Keys
from tasks.extract import Extracted
from tasks.files.arrow import read_batches
from tasks.retries import RETRIES
from tasks.transform import Transformed
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render, text_literals

RELEASED, STILL_BAD, GONE, NO_KEY = "RELEASED", "STILL_BAD", "GONE", "NO_KEY"
STATUSES = (RELEASED, STILL_BAD, GONE, NO_KEY)


@dataclass(frozen=True)
class Waiting:
    """The open rejected rows: keys per region, and the number of rows without one."""

    keys: Mapping[str, Keys]
    without_key: Mapping[str, int]

    @property
    def is_cut(self) -> bool:
        """Whether a region may have more keys than a replay reads."""
        return any(len(keys.sale_ids) == KEYS_MAX for keys in self.keys.values())


@dataclass(frozen=True)
class Replayed:
    """How a replay ended: rows by region and status (STATUSES), and `unread` regions with the reason. `held_back` are
    the numbers of keys per region that stay out because they were rolled back, `not_found` says how many keys a region
    does not show, and why it may hold them; their rows are unchanged.

    `batch_id` is None when nothing was loaded.
    """

    batch_id: str | None
    rows: Mapping[tuple[str, str], int]
    unread: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    held_back: Mapping[str, int] = field(default_factory=dict)
    not_found: Mapping[str, str] = field(default_factory=dict)

    def total(self, status: str) -> int:
        return sum(rows for (_, of), rows in self.rows.items() if of == status)


def open_keys(session: Session, regions: Iterable[str]) -> Waiting:
    """Returns the open rejected rows of the regions, as `sale_id`s of their sources."""
    codes = text_literals(regions)
    found: dict[str, list[str]] = {}
    for region, sale_id in session.query(render("replay/open_keys", regions=codes, keys_max=f"{KEYS_MAX:d}")):
        found.setdefault(region, []).append(sale_id)
    without_key = session.query(render("replay/count_without_key", regions=codes))
    return Waiting(
        {region: Keys(tuple(sale_ids)) for region, sale_ids in found.items()},
        {region: int(rows) for region, rows in without_key},
    )


def lacking_keys(asked: Keys, extracted: Extracted) -> tuple[str, ...]:
    """The keys that were not found at the source, without those that stay out, which were not looked for."""
    found = {key for batch in read_batches(*extracted.paths) for key in batch["sale_id"].to_pylist()}
    found |= extracted.held_back
    return tuple(key for key in asked.sale_ids if key not in found)


def foreseen(
    waiting: Waiting, transformed: Sequence[Transformed], gone: Mapping[str, Sequence[str]], unread: Mapping[str, str]
) -> Replayed:
    """Returns how a replay would end for the rows that were read again; it counts keys, not their versions.

    Only publish finds keys of another region; here they count as released.
    """
    rows = {(region, NO_KEY): count for region, count in waiting.without_key.items()}
    for region in transformed:
        rows[region.region, STILL_BAD] = region.rejected.rows
        rows[region.region, RELEASED] = region.clean.rows
        rows[region.region, GONE] = len(gone[region.region])
    return Replayed(None, rows, unread, waiting.is_cut)


@task(name="read-open-keys", **RETRIES)
def read_open_keys(regions: Sequence[str], warehouse: str) -> Waiting:
    """Reads the keys of the rejected rows that are open."""
    logger = get_run_logger()
    with task_session(warehouse, "replay-rejected") as session:
        waiting = open_keys(session, regions)
    keys = sum(len(of_region.sale_ids) for of_region in waiting.keys.values())
    logger.info("step=read-open-keys keys=%d without_key=%d", keys, sum(waiting.without_key.values()))
    return waiting


@task(name="read-outcome", **RETRIES)
def read_outcome(
    batch_id: str, run_number: int, waiting: Waiting, unread: Mapping[str, str], warehouse: str
) -> Replayed:
    """Reads from the table of rejected rows how a published replay ended."""
    with task_session(warehouse, "replay-rejected") as session:
        counts = session.query(render("replay/outcome"), [run_number, run_number])
    rows = {(region, status): int(count) for region, status, count in counts}
    rows |= {(region, NO_KEY): count for region, count in waiting.without_key.items()}
    return Replayed(batch_id, rows, unread, waiting.is_cut)
