"""The daily run on real data, as a user sees it."""

from datetime import date

import pytest

from tests.integration.conftest import World

REAL_DAY = date(2017, 12, 16)
"""A day that no other test loads."""


@pytest.mark.usefixtures("year")
def test_a_real_day_is_published_and_a_second_run_changes_nothing(world: World) -> None:
    first = world.run(REAL_DAY)
    assert first.state.name == "Completed", first.state.message
    assert first.report is not None
    assert {r.region: (r.extracted, r.rejected, r.inserted) for r in first.report.regions} == {
        "US_EAST": (1832, 15, 1817),
        "US_WEST": (757, 8, 749),
        "EUROPE": (1275, 5, 1270),
        "ASIA_PACIFIC": (1171, 8, 1163),
    }
    before = world.sql("SELECT * FROM SALES_FACT WHERE ETL_BATCH_ID = '20171216' ORDER BY SALE_ID")
    assert len(before) == 4999

    second = world.run(20171216)
    assert second.state.name == "Completed"
    assert second.report is not None
    assert [(r.inserted, r.updated, r.unchanged) for r in second.report.regions] == [
        (0, 0, 1817),
        (0, 0, 749),
        (0, 0, 1270),
        (0, 0, 1163),
    ]
    assert world.sql("SELECT * FROM SALES_FACT WHERE ETL_BATCH_ID = '20171216' ORDER BY SALE_ID") == before
    assert set(world.ledger("20171216").values()) == {"PUBLISHED"}
