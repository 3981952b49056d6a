"""List-rejected shows the open rows by rule, region and age, and no longer those that were mended."""

from datetime import date

import pytest
from prefect.artifacts import Artifact

from flows.list_rejected import ARTIFACT_KEY, list_rejected, print_table
from tasks.rejected.queue import OpenRejections, OpenRows
from tests.integration.conftest import World, good_sale

DAY = date(2016, 10, 4)
REGIONS = ("EUROPE", "US_WEST")


def rows_of(queue: OpenRejections, rule: str) -> list[OpenRows]:
    return [group for group in queue.by_rule if group.rule == rule]


def test_open_rows_are_listed_until_they_are_mended(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.forget_rejected()
    world.fill(DAY, rows=60, regions=REGIONS)
    for name in ("one", "two"):
        world.insert("EUROPE", good_sale("EUROPE", DAY) | {"sale_id": f"list-{name}", "quantity": 0})
    world.insert("US_WEST", good_sale("US_WEST", DAY) | {"sale_id": None})
    assert world.run(DAY, list(REGIONS)).state.name == "Completed"
    world.sql(
        "UPDATE SALES_REJECTIONS SET FIRST_SEEN_AT = DATEADD('day', -9, FIRST_SEEN_AT) WHERE SALE_KEY = 'list-one'"
    )

    state = list_rejected(return_state=True)
    assert state.message == "3 rejected rows are open, the oldest for 9 days"
    queue = state.result()
    assert rows_of(queue, "quantity_not_positive") == [
        OpenRows("quantity_not_positive", "EUROPE", 2, no_key=0, today=1, this_week=0, older=1, oldest_days=9)
    ]
    assert [(group.region, group.no_key) for group in rows_of(queue, "missing_sale_id")] == [("US_WEST", 1)]
    artifact = Artifact.get(ARTIFACT_KEY)
    assert artifact is not None
    assert "quantity_not_positive" in str(artifact.data)
    print_table(queue)
    printed = capsys.readouterr().out
    assert "quantity_not_positive" in printed
    assert "missing_sale_id" in printed

    world.change("EUROPE", "UPDATE sales_transactions SET quantity = 2 WHERE sale_id LIKE 'list-%%'")
    world.change("US_WEST", "DELETE FROM sales_transactions WHERE sale_id IS NULL")
    assert world.run(DAY, list(REGIONS)).state.name == "Completed"
    state = list_rejected(return_state=True)
    assert (state.message, state.result()) == ("no rejected row is open", OpenRejections(0, 0, ()))
