"""The command of check-setup waits for all checks of a worker, and ends in a line when the server goes away."""

import httpx
import pytest

from flows import check_setup
from tasks.setup_checks.check import Check, Finding, Outcome, limit_s
from tasks.setup_checks.prefect_server import SERVER


def test_a_worker_may_take_as_long_as_its_checks_one_after_the_other() -> None:
    checks = {check.name: check for check in check_setup.all_checks()}

    def until_ended(check: Check) -> float:
        return check.time_limit_s + max((until_ended(checks[name]) for name in check.needs), default=0)

    assert limit_s(list(checks.values())) >= max(map(until_ended, checks.values()))


def test_a_server_that_goes_away_meanwhile_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object) -> None:
        raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(check_setup, "run_checks", lambda *_: [Finding(SERVER, Outcome.OK, "")])
    monkeypatch.setattr(check_setup, "check_through_worker", lost)
    assert check_setup.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("check-setup: PREFECT_API_URL is ")
    assert "no Prefect server answers there (ConnectError: All connection attempts failed)" in line
