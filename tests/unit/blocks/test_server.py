"""A password in the address of the Prefect server reaches neither links nor messages."""

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from blocks.server import NoPrefectServerError, dashboard, speaking_to_prefect, without_password

WITH_PASSWORD = "https://somebody:hunter2@prefect.example.com/api"


@pytest.mark.parametrize(
    ("given", "link"),
    [
        pytest.param({PREFECT_API_URL: WITH_PASSWORD}, "https://prefect.example.com", id="derived-by-prefect"),
        pytest.param({PREFECT_API_URL: "http://127.0.0.1:4200/api"}, "http://127.0.0.1:4200", id="no-password"),
        pytest.param(
            {PREFECT_API_URL: WITH_PASSWORD, PREFECT_UI_URL: "https://a:b@flows.example.com:8443/prefect/"},
            "https://flows.example.com:8443/prefect",
            id="set-by-itself",
        ),
        pytest.param({PREFECT_API_URL: ""}, "", id="no-server"),
    ],
)
def test_the_dashboard_is_linked_without_user_and_password(given: dict[object, str], link: str) -> None:
    with temporary_settings(updates=given):
        assert dashboard() == link


def test_what_prefect_says_is_quoted_without_the_password() -> None:
    with (
        temporary_settings(updates={PREFECT_API_URL: WITH_PASSWORD}),
        pytest.raises(NoPrefectServerError) as caught,
        speaking_to_prefect(),
    ):
        raise RuntimeError(f"Failed to reach API at {WITH_PASSWORD}/")
    assert "Failed to reach API at https://***@prefect.example.com/api/" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("http://a:b@c/api", "http://***@c/api", id="address"),
        pytest.param("http://a:p@ss@c/api", "http://***@c/api", id="at-sign-in-the-password"),
        pytest.param("at http://a:b@c/api, http://d:e@f", "at http://***@c/api, http://***@f", id="two-in-a-text"),
        pytest.param("http://c/api or a@b", "http://c/api or a@b", id="no-password"),
        pytest.param("sqlite+aiosqlite:////home/a@b/prefect.db", "sqlite+aiosqlite:////home/a@b/prefect.db", id="file"),
    ],
)
def test_a_text_is_shown_without_passwords(text: str, shown: str) -> None:
    assert without_password(text) == shown
