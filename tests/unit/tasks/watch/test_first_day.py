"""From which date on a date is expected in production."""

from datetime import UTC, date, datetime

import pytest

from tasks.watch.first_day import days_before, is_expected

DAY = date(2024, 1, 15)
BEFORE_ITS_START = datetime(2024, 1, 16, 5, 59, tzinfo=UTC)
AFTER_ITS_START = datetime(2024, 1, 16, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("deployed_at", "known", "expected"),
    [
        pytest.param(BEFORE_ITS_START, [], True, id="deployed-before-its-start"),
        pytest.param(AFTER_ITS_START, [], False, id="deployed-after-its-start"),
        pytest.param(None, [], False, id="server-unknown-and-ledger-empty"),
        pytest.param(AFTER_ITS_START, [date(2024, 1, 14)], True, id="the-day-before-was-begun"),
        pytest.param(None, [date(2024, 1, 8)], True, id="a-week-before-was-begun"),
        pytest.param(AFTER_ITS_START, [date(2024, 1, 7)], False, id="nothing-within-a-week"),
        pytest.param(AFTER_ITS_START, [date(2017, 12, 23)], False, id="a-sample-of-years-ago"),
        pytest.param(AFTER_ITS_START, [DAY], False, id="its-own-attempt-is-no-history"),
    ],
)
def test_a_date_is_expected_since_the_deployment_or_where_the_ledger_goes_on(
    deployed_at: datetime | None, known: list[date], expected: bool
) -> None:
    assert is_expected(DAY, deployed_at, known) is expected


def test_the_dates_before_are_those_of_a_week() -> None:
    assert days_before(DAY) == (date(2024, 1, 8), date(2024, 1, 14))
