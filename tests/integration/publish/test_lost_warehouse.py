"""The network to the warehouse is cut in the middle of a publish."""

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from tasks import publish as publish_steps
from tasks import warehouse
from tasks.errors import TransientError
from tasks.publish import publish_manifest
from tasks.statements import render
from tasks.warehouse import open_session
from tests.integration.conftest import World, good_sale
from tests.integration.proxy import proxy_to
from tests.integration.publish.harness import begin, load, stage_attempt


def test_a_warehouse_lost_before_the_merge_is_named_and_nothing_is_published(
    world: World, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"lost-{day}"})
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    monkeypatch.setattr(warehouse, "RESEND_DELAYS_S", (0, 0, 0))
    connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    said: list[str] = []
    with proxy_to(int(world.environment["SNOWFLAKE_PORT"])) as proxy:
        connector.port = proxy.port

        def render_and_cut(name: str, **values: str) -> str:
            if name == "publish/merge_sales_fact":
                proxy.cut()
            return render(name, **values)

        monkeypatch.setattr(publish_steps, "render", render_and_cut)
        through_proxy = partial(open_session, connector, "ETL_WH", "test", said.append)
        lost = pytest.raises(
            TransientError,
            match="^nothing was published: warehouse 127.0.0.1 cannot be reached .*; run the date again. The driver ",
        )
        with lost, through_proxy() as session:
            publish_manifest(session, staged, through_proxy, said.append)
    tries = [line for line in said if line.startswith("step=publish try ")]
    assert [line.partition(":")[0] for line in tries] == [f"step=publish try {number} of 3" for number in (1, 2)]
    assert {line for line in said if line not in tries} == {"warehouse 127.0.0.1 does not answer, asking again in 0 s"}
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE SALE_ID = ?", (f"lost-{day}",)) == [(0,)]

    assert load(world, day, tmp_path, "EUROPE").regions[0].inserted.rows == 1, "the next run waits and goes on"
