"""`python -m flows.daily_sales` ends in one line and an exit code."""

import os

import pytest

from tests.integration.conftest import World
from tests.integration.processes import run_python


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize(
    ("arguments", "code", "last_line"),
    [
        pytest.param(["2017-12-24", "EUROPE"], 0, "Completed: 2017-12-24: ", id="completed"),
        pytest.param(["2017-12-25", "EUROPE"], 1, "Failed: ", id="no-region-left"),
        pytest.param(["tomorrow"], 1, "'tomorrow'", id="no-date"),
        pytest.param(["2999-01-01"], 1, "Refused: date 2999-01-01 is in the future", id="date-to-come"),
        pytest.param(["2017-12-24", "ATLANTIS"], 1, "'ATLANTIS'", id="no-region"),
    ],
)
def test_its_end_is_one_line_and_an_exit_code(world: World, arguments: list[str], code: int, last_line: str) -> None:
    ended = run_python("-m", "flows.daily_sales", *arguments)
    assert ended.returncode == code, ended.stderr
    # The message of a refused parameter has several lines, after Prefect's log.
    end = (ended.stdout if code == 0 else ended.stderr).splitlines()[-4:]
    assert any(last_line in line for line in end)
    assert not any(line.startswith("Traceback") for line in end)


def test_without_a_server_it_ends_in_one_line_that_says_so(world: World) -> None:
    nowhere = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    ended = run_python("-m", "flows.daily_sales", "2017-12-24", "EUROPE", environment=nowhere)
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "daily-sales: PREFECT_API_URL is 'http://127.0.0.1:9/api': no Prefect server answers"
    )
    assert len(ended.stderr.splitlines()) == 1
