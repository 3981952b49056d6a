"""The message of a reconcile."""

from datetime import UTC, date, datetime

from flows.support.reconciled import Reconciled, in_words
from tasks.batch import DateRange
from tasks.reconcile.compare import RegionCompared

DAY = date(2024, 1, 15)


def test_what_was_rolled_back_before_and_after_the_comparison_is_counted_together() -> None:
    compared = RegionCompared("EUROPE", datetime(2024, 1, 16, tzinfo=UTC), (), {DAY: 2}, 1, ())
    found = Reconciled(DateRange(DAY, DAY), (compared,), {}, heal="H20240116T091500Z", loaded={}, held_since=4)
    message = in_words(found, heal=True, heal_deleted=False, dry_run=False)
    assert message.endswith(
        "H20240116T091500Z: nothing to load any more; 7 held back, their dates or heals were rolled back"
    )
