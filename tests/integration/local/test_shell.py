"""A shell full of other people's settings: the blocks decide, what was ignored is named, and no proxy stands before a
server on this machine."""

import subprocess
import sys
from datetime import date

import pytest

from local.environment import CHECKOUT
from tests.integration.commands import COMMAND_S_MAX, here
from tests.integration.conftest import World

NOWHERE = "http://127.0.0.1:9"
PROXIES = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE) | {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "NO_PROXY": "example.com",
    "no_proxy": "",
}
OVERRULING = {
    "PGSSLMODE": "require",
    "PGOPTIONS": "-c search_path=nowhere",
    "PGHOSTADDR": "127.0.0.9",
    "PGPASSFILE": "/nowhere",
    "AWS_PROFILE": "nobody",
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_SESSION_TOKEN": "of somebody else",
}


def run_module(world: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m ...` in such a shell, in a process of its own: it is looked at when the first block is imported."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=here(**{**world.environment, **PROXIES, **OVERRULING}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
    )


def test_a_run_is_that_of_its_blocks_and_names_what_it_has_ignored(world: World, day: date) -> None:
    world.fill(day, regions=("EUROPE",))
    done = run_module(world, "flows.daily_sales", str(day), "EUROPE")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ignored from the shell, the blocks decide: {', '.join(sorted(OVERRULING))}" in done.stdout + done.stderr
    assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "PUBLISHED"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("local", "status"), "Prefect server          is up"),
        (("local.sql", "select count(*) as sales from sales_fact"), "1 row"),
        (("blocks.register",), "registered at"),
        (("flows.list_rejected",), "Completed: "),
        (("local.mails",), "\n"),
        (("deployments.runs",), "Running: "),
        (("flows.show_ledger",), "date"),
        (("deployments.prefect_command", "--line", "variable inspect 'min_record_count'"), "value='100'"),
    ],
)
def test_a_command_reaches_what_runs_here(world: World, command: tuple[str, ...], says: str) -> None:
    done = run_module(world, *command)
    assert (done.returncode, says in done.stdout) == (0, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, "a mail may quote one"
