"""Links to runs in the dashboard."""

from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.prefect_server.kin import link_of


def test_a_link_that_is_mailed_has_no_password() -> None:
    with temporary_settings(updates={PREFECT_API_URL: "https://somebody:hunter2@prefect.example.com/api"}):
        assert link_of("42") == "https://prefect.example.com/flow-runs/flow-run/42"
