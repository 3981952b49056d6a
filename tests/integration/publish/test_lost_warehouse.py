"""The network to the warehouse is cut in the middle of a publish."""

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from tasks import publish as publish_steps
from tasks.errors import TransientError
from tasks.publish import publish_manifest
from tasks.warehouse import session as warehouse
from tasks.warehouse.session import open_session
from tasks.warehouse.statements import render
from tests.integration.conftest import World, good_sale
from tests.integration.proxy import Loss, proxy_to
from tests.integration.publish.harness import begin, fates, load, stage_attempt
from tests.integration.publish.statements import stepping_session


@pytest.mark.parametrize(
    "lost_at",
    ["CREATE TRANSIENT TABLE STAGING.CLEAN", "load/copy_files", "load/copy_files #2", "load/count_staged"],
)
def test_a_session_that_is_lost_while_it_loads_is_followed_by_another_and_no_row_is_lost_or_doubled(
    world: World, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost_at: str
) -> None:
    """The warehouse has run the statement; its answer is lost, and the session with it."""
    monkeypatch.setattr(warehouse, "RESEND_DELAYS_S", (0, 0, 0))
    noon = good_sale("EUROPE", day)
    world.insert("EUROPE", *(noon | {"sale_id": f"again-{lost_at}-{number}"} for number in range(3)))
    world.insert("EUROPE", noon | {"sale_id": f"again-{lost_at}-bad", "quantity": 0})
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    said: list[str] = []
    with proxy_to(int(world.environment["SNOWFLAKE_PORT"])) as proxy:

        def lose(name: str) -> None:
            if name == lost_at:
                proxy.lose_next(Loss.ANSWER_FOR_GOOD)

        with stepping_session(dict(world.environment), lose, proxy.port) as session:
            publication = publish_manifest(session, staged, world.session, said.append)
    assert proxy.losses == [Loss.ANSWER_FOR_GOOD]
    assert [line.partition(":")[0] for line in said if " try " in line] == ["step=load try 1 of 3"]
    assert fates(publication) == {"EUROPE": {"inserted": 3}}
    batch = (f"{day:%Y%m%d}",)
    assert world.sql("SELECT COUNT(*), COUNT(DISTINCT SALE_ID) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", batch) == [
        (3, 3)
    ]
    assert world.sql("SELECT COUNT(*) FROM SALES_REJECTIONS WHERE ETL_BATCH_ID = ?", batch) == [(1,)]
    published = "SELECT COUNT(*) FROM ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED'"
    assert world.sql(published, batch) == [(1,)]


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

    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"inserted": 1}}, "the next run waits and goes on"
