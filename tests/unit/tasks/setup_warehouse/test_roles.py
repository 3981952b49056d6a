"""Set-up grants rights to named roles, and adopts none silently."""

import pytest

from tasks.setup_warehouse.roles import ANALYST_COMMENT, SYSTEM_ROLES, check_role, refuse_adoption


@pytest.mark.parametrize("name", ["etl_role", "ETL_ROLE", "_r2$"])
def test_a_role_is_named_plainly(name: str) -> None:
    assert check_role(name, "the loads") == name.upper()


@pytest.mark.parametrize("name", [*sorted(SYSTEM_ROLES), "public", "SysAdmin"])
def test_a_role_of_snowflake_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"role {name} of the loads is one of Snowflake's own"):
        check_role(name, "the loads")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("my role", id="blank"),
        pytest.param('x"; DROP TABLE y', id="injection"),
        pytest.param("a-b", id="hyphen"),
        pytest.param("1role", id="digit-first"),
        pytest.param("röle", id="umlaut"),
        pytest.param("x" * 256, id="too-long"),
    ],
)
def test_no_role_and_one_that_needs_quotes_are_refused_by_name(name: str | None) -> None:
    with pytest.raises(
        ValueError, match=f"role {name!r} of the loads is no plain name" if name else "no role of the loads"
    ):
        check_role(name, "the loads")


def test_a_role_that_others_have_created_is_adopted_only_on_request() -> None:
    refuse_adoption("SALES_ANALYST", [], adopt=False)
    refuse_adoption("SALES_ANALYST", [ANALYST_COMMENT], adopt=False)
    refuse_adoption("SALES_ANALYST", ["of the auditors"], adopt=True)
    for comment in ("of the auditors", ""):
        with pytest.raises(ValueError, match="role SALES_ANALYST exists, and who has it would read the sales"):
            refuse_adoption("SALES_ANALYST", [comment], adopt=False)
