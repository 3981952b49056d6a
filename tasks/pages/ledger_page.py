"""Reads the ledger as a grid, and keeps its page in the dashboard up to date."""

from expectations.regions import REGIONS
from tasks.pages.artifacts import write_page_if_changed
from tasks.pages.figures import read_ledger_range
from tasks.pages.ledger_grid import Grid, shown_range, to_grid
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session

ARTIFACT_KEY = "ledger"


def read_grid(session: Session) -> Grid:
    """Reads the newest dates of the ledger. Raises NeedsPersonError when the tables are of another version."""
    whole = read_ledger_range(session)
    shown = shown_range(whole)
    return to_grid(whole, known_states(session, shown.first, shown.last) if shown else [], tuple(REGIONS))


def keep_page(session: Session) -> bool:
    """Writes the artifact `ledger` if the grid has changed; returns whether it did."""
    grid = read_grid(session)
    return write_page_if_changed(grid.markdown(), key=ARTIFACT_KEY, description="The newest dates of the ledger")
