"""`make runs`: what it prints where the server cannot be asked."""

import pytest

from deployments import runs
from deployments.run_list import ServerRuns


def test_a_server_that_cannot_be_asked_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse() -> ServerRuns:
        raise RuntimeError("Failed to reach API at https://somebody:hunter2@prefect.example.com/api/")

    monkeypatch.setattr(runs, "missing_server", lambda: "")
    monkeypatch.setattr(runs, "read_server_runs", refuse)
    assert runs.main() == 1
    assert capsys.readouterr().err == (
        "runs: the Prefect server cannot be asked: Failed to reach API at https://***@prefect.example.com/api/\n"
    )
