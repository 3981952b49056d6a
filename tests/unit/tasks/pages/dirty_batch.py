"""A batch of two regions whose gate fails in every way that counts rows, with marked texts in its dirty rows."""

from datetime import UTC, datetime
from pathlib import Path

from expectations.thresholds import Thresholds
from tasks.pages.data_docs import Judged
from tasks.quality import judge
from tasks.transform import transform_region
from tests.unit.sales import Row, extract_of, extracted_table, sale, sales, unreadable

MARK = "Marker"
MARKED: Row = {
    "sale_id": f"K-{MARK}",
    "customer_id": f"C-{MARK}",
    "customer_email_token": f"{MARK}@example.com",
    "product_category": f"<b>{MARK}</b>",
    "payment_method": f"{MARK}-card",
}
DIRTY = (
    *(sale(**MARKED, store_id=None) for _ in range(4)),
    sale(**MARKED, quantity=-3),
    sale(**MARKED, currency=f"{MARK}"),
    sale(**{**MARKED, "region": f"R-{MARK}"}),
    sale(**MARKED, **unreadable(unit_price=f"{MARK}-NaN")),
)
THRESHOLDS = Thresholds(min_record_count=1000)
RUN = "20240115, run 3"


def judged_batch(directory: Path) -> Judged:
    """How the gate judges it; its files go to `directory`."""
    rows = {"EUROPE": (*sales(40), *DIRTY), "US_EAST": sales(60, region="us-east")}
    extracts = [extract_of(extracted_table(*of_region), directory, code) for code, of_region in rows.items()]
    transformed = [transform_region(extract, directory) for extract in extracts]
    verdict = judge(extracts, transformed, THRESHOLDS, with_floor=True)
    return Judged(RUN, datetime(2024, 1, 16, 6, 1, tzinfo=UTC), verdict.checks, THRESHOLDS)
