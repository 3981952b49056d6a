"""The daily run on real data, as a user sees it."""

from datetime import date

from tests.integration.conftest import World

REAL_DAY = date(2017, 12, 23)


def test_a_real_day_is_published_and_a_second_run_changes_nothing(world: World) -> None:
    first = world.run(REAL_DAY)
    assert first.state.name == "Completed", first.state.message
    assert first.report is not None
    assert {r.region: (r.extracted, r.rejected, r.inserted) for r in first.report.regions} == {
        "US_EAST": (2140, 9, 2131),
        "US_WEST": (1247, 16, 1231),
        "EUROPE": (1933, 14, 1919),
        "ASIA_PACIFIC": (1790, 7, 1783),
    }
    before = world.sql("SELECT * FROM SALES_FACT WHERE ETL_BATCH_ID = '20171223' ORDER BY SALE_ID")
    assert len(before) == 7064

    second = world.run(20171223)
    assert second.state.name == "Completed"
    assert second.report is not None
    assert [(r.inserted, r.updated, r.unchanged) for r in second.report.regions] == [
        (0, 0, 2131),
        (0, 0, 1231),
        (0, 0, 1919),
        (0, 0, 1783),
    ]
    assert world.sql("SELECT * FROM SALES_FACT WHERE ETL_BATCH_ID = '20171223' ORDER BY SALE_ID") == before
    assert set(world.ledger("20171223").values()) == {"PUBLISHED"}
