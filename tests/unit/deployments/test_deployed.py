"""`prefect deploy --all` that does not end, and one that names the server."""

import asyncio
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import deployed
from deployments.applied import DeployError


def deploy(directory: Path, lines: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of a `prefect` that does this."""
    prefect = directory / "prefect"
    prefect.write_text(f"#!{sys.executable}\n{lines}")
    prefect.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(directory / "python"))
    with temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(DeployError) as caught:
        asyncio.run(deployed._prefect_deploy(None))
    return str(caught.value)


def test_one_that_exceeds_its_time_is_ended_and_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "DEPLOY_S_MAX", 1)
    assert deploy(tmp_path, "import time; time.sleep(600)", monkeypatch) == (
        "`prefect deploy --all` had not ended after 1 s and was stopped: "
        "run `make deploy` again, or it by itself to see more"
    )


def test_one_that_fails_is_quoted_without_the_password_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "print('deploying'); raise SystemExit('Failed to reach API at https://somebody:hunter2@prefect/api/')"
    assert deploy(tmp_path, said, monkeypatch) == (
        "`prefect deploy --all` failed: Failed to reach API at https://***@prefect/api/; run it by itself to see more"
    )
