"""`python -m flows.daily_sales` ends in one line and an exit code."""

import subprocess
import sys

import pytest

from tests.integration.conftest import World


@pytest.mark.parametrize(
    ("arguments", "code", "last_line"),
    [
        pytest.param(["2017-12-24", "EUROPE"], 0, "Completed: 2017-12-24: ", id="completed"),
        pytest.param(["2017-12-25", "EUROPE"], 1, "Failed: ", id="no-region-left"),
        pytest.param(["yesterday"], 1, "'yesterday'", id="no-date"),
        pytest.param(["2017-12-24", "ATLANTIS"], 1, "'ATLANTIS'", id="no-region"),
    ],
)
def test_its_end_is_one_line_and_an_exit_code(world: World, arguments: list[str], code: int, last_line: str) -> None:
    command = [sys.executable, "-m", "flows.daily_sales", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    # The message of a refused parameter takes several lines; before them stands Prefect's log.
    end = (ended.stdout if code == 0 else ended.stderr).splitlines()[-4:]
    assert any(last_line in line for line in end)
    assert not any(line.startswith("Traceback") for line in end)
