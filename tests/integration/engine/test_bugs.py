"""Deliberate bugs in what the engine does: each is caught before COMMIT, by the guard that catches it with pandas."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from tasks.engine import fates
from tests.integration.conftest import World, good_sale

pytestmark = pytest.mark.more

Change = Callable[[DataFrame], DataFrame]

FIRST = F.col("sale_id").startswith("first-")


def oldest_is_newest(judged: DataFrame) -> DataFrame:
    versions = F.count(F.lit(1)).over(Window.partitionBy("sale_id", F.col(fates.RULES_BROKEN) == ""))
    return judged.withColumn(fates.AGE, versions + 1 - F.col(fates.AGE))


BUGS = [
    pytest.param(
        "clean", lambda r: r.filter(~FIRST), "3 rows are kept for 4 keys, 1 lost their newest", id="a-row-lost"
    ),
    pytest.param("judged", oldest_is_newest, "4 rows are kept for 4 keys, 1 lost their newest", id="the-oldest-kept"),
    pytest.param("clean", lambda r: r.unionByName(r.filter(FIRST)), "5 rows are kept for 4 keys", id="a-row-twice"),
    pytest.param(
        "judged",
        lambda r: r.filter(~FIRST),
        "duplicates: .*rows 6 against 5",
        id="not-judged",
    ),
    pytest.param(
        "clean",
        lambda r: r.withColumn(
            "total_amount", F.when(FIRST, F.lit("2.10")).otherwise(F.col("total_amount")).cast("decimal(12,2)")
        ),
        "EUROPE staged: total_amount|_net_residual",
        id="an-amount-changed",
    ),
    pytest.param("clean", lambda r: r.withColumn("region", F.lit("US_EAST")), "on region is broken by", id="a-region"),
    pytest.param(
        "rejected",
        lambda r: r.withColumn("rules", F.split("rules", " ")[0]),
        "EUROPE rejected for",
        id="one-reason-only",
    ),
    pytest.param(
        "rejected", lambda r: r.filter(F.lit(False)), "EUROPE rejected: rows 1 against 0", id="no-rejected-row"
    ),
]


@pytest.mark.parametrize(("where", "change", "says"), BUGS)
def test_a_bug_on_the_engine_is_caught_before_commit(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch, where: str, change: Change, says: str
) -> None:
    noon = f"{day}T12:00:00+00"
    versions: list[dict[str, Any]] = [{"sale_id": f"first-{day}"}, *({"sale_id": f"{n}-{day}"} for n in range(3))]
    again = {"sale_id": f"0-{day}", "updated_at": f"{day}T13:00:00+00", "store_id": "newer"}
    bad = {"sale_id": f"bad-{day}", "quantity": 0}
    world.insert(
        "EUROPE",
        *(good_sale("EUROPE", day) | {"sale_date": noon, "updated_at": noon} | v for v in (*versions, again, bad)),
    )
    right = getattr(fates, where)
    monkeypatch.setattr(fates, where, lambda *arguments: change(right(*arguments)))
    with world.variable("max_rejected_percentage", "50"):
        run = world.run(day, ["EUROPE"], engine="spark")
    assert run.state.name in ("Failed", "QualityFailed"), run.state.message
    assert re.search(says, str(run.state.message)), run.state.message
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",)) == [(0,)]
