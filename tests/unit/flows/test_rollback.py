"""What a rollback reports: its message, and the rows of its artifacts."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from flows.rollback import in_words, to_sales, to_totals
from tasks.rollback.roll_back import ChangedRejected, ChangedSale, ChangedTotals, Changes, Rollback

NOW, BEFORE = datetime(2024, 1, 15, 9, tzinfo=UTC), datetime(2024, 1, 14, 9, tzinfo=UTC)
CHANGED = ChangedSale("EUROPE", "changed", "EUR", NOW, Decimal("3.00"), BEFORE, Decimal("0.00"))
INSERTED = ChangedSale("EUROPE", "inserted", "EUR", NOW, Decimal("2.50"), None, None)
TOTALS = ChangedTotals("EUROPE", "EUR", 2, Decimal("5.50"), 1, Decimal("0.00"))
CHANGES = Changes(
    ("20240115", "20240116"), (), (TOTALS,), ChangedRejected(brought=1, replaced=2, closed=3), (CHANGED, INSERTED)
)


def test_the_sales_have_both_versions_and_a_new_one_has_none_before() -> None:
    assert to_sales(CHANGES) == [
        {
            "region": "EUROPE",
            "sale_id": "changed",
            "currency": "EUR",
            "updated_at now": "2024-01-15 09:00:00+00:00",
            "updated_at before": "2024-01-14 09:00:00+00:00",
            "total_amount now": Decimal("3.00"),
            "total_amount before": Decimal("0.00"),
        },
        {
            "region": "EUROPE",
            "sale_id": "inserted",
            "currency": "EUR",
            "updated_at now": "2024-01-15 09:00:00+00:00",
            "updated_at before": "",
            "total_amount now": Decimal("2.50"),
            "total_amount before": "",
        },
    ]


def test_the_totals_end_with_the_rejected_rows() -> None:
    *sales, rejected = to_totals(CHANGES)
    assert [tuple(row.values()) for row in sales] == [("EUROPE", "EUR", 2, 1, Decimal("5.50"), Decimal("0.00"))]
    assert (rejected["region"], rejected["rows now"], rejected["rows after"]) == ("rejected rows", 1, 5)


@pytest.mark.parametrize(
    ("rolled_back", "dry_run", "message"),
    [
        pytest.param(
            Rollback("20240115", 42, CHANGES),
            False,
            "rolled back 20240115, 20240116: 1 sale removed, 1 restored, 1 rejected row removed, 5 reopened",
            id="done",
        ),
        pytest.param(
            Rollback("20240115", None, CHANGES),
            True,
            "would roll back 20240115, 20240116: 1 sale removed, 1 restored, 1 rejected row removed, 5 reopened",
            id="dry-run",
        ),
        pytest.param(
            Rollback("20240115", None, None, "by run 42 at 2024-01-16 09:00 UTC (wrong prices)"),
            False,
            "batch 20240115 was rolled back before, by run 42 at 2024-01-16 09:00 UTC (wrong prices): nothing to do",
            id="rolled-back-before",
        ),
        pytest.param(
            Rollback("20240115", 42, None, batches=("20240115", "20240116")),
            False,
            "rolled back 20240115, 20240116 as run 42, in an earlier try, whose figures are lost",
            id="by-an-earlier-try",
        ),
    ],
)
def test_the_message_has_the_figures(rolled_back: Rollback, dry_run: bool, message: str) -> None:
    assert in_words(rolled_back, dry_run) == message
