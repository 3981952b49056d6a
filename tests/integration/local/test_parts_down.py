"""With a part of the stack down, every command of README, runbook and `make help` ends in words, not in a traceback."""

import json
import re
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import psutil
import pytest

from expectations.regions import REGIONS
from local import generator
from tests.integration.commands import Ended, here
from tests.integration.local.test_stack import addresses, call
from tests.integration.processes import run_python, start_python
from tests.runbook import read_commands

pytestmark = pytest.mark.more

SOURCES = ("PG_US_EAST", "PG_US_WEST", "PG_EUROPE", "PG_ASIA_PACIFIC")
ALL = ("PREFECT", "SNOWFLAKE", "S3", "SMTP", *SOURCES)
DAY = "2017-12-23"
KILLED_S_MAX = 60
SHELL = {
    "DATE": DAY,
    "REGION": "EUROPE",
    "VARIABLE": "min_record_count",
    "VALUE": "40",
    "COLUMN": "loyalty_tier",
    "RUN": "00000000-0000-0000-0000-000000000000",
    "SCHEDULE": "00000000-0000-0000-0000-000000000000",
}
"""As the runbook exports them."""

SET_UP = ("flows.setup_warehouse",)
"""Refuses while loads go on."""

NEEDS: dict[tuple[str, ...], set[str]] = {
    ("local", "status"): set(ALL),
    ("local.register",): {"PREFECT", "SNOWFLAKE"},
    ("local.mails",): set(),
    ("local.sql", "select count(*) from sales_fact"): {"SNOWFLAKE"},
    ("deployments.apply", "--set-up-warehouse"): {"PREFECT", "SNOWFLAKE"},
    ("deployments.shell",): {"PREFECT"},
    ("deployments.prefect_command", "--line", "deployment ls"): {"PREFECT"},
    ("deployments.runs",): {"PREFECT"},
    ("flows.show_ledger",): {"PREFECT", "SNOWFLAKE"},
    ("flows.check_setup", "--wait", "1"): set(ALL),
    ("flows.check_setup", "--here"): set(ALL),
    ("flows.list_rejected",): {"PREFECT", "SNOWFLAKE"},
    ("flows.daily_sales", DAY): {"PREFECT", "SNOWFLAKE", "S3"},
    ("flows.backfill", DAY, DAY): {"PREFECT", "SNOWFLAKE"},
    ("flows.rollback", DAY, "a test", "--dry-run"): {"PREFECT", "SNOWFLAKE"},
    ("flows.replay_rejected", "--dry-run"): {"PREFECT", "SNOWFLAKE"},
    ("flows.reconcile", "--dry-run"): {"PREFECT", "SNOWFLAKE"},
    ("flows.clean_staging", "--dry-run"): {"PREFECT", "SNOWFLAKE", "S3"},
    SET_UP: {"PREFECT", "SNOWFLAKE"},
    ("blocks.register",): {"PREFECT"},
    ("blocks.variables", "min_record_count", "40"): {"PREFECT"},
}
"""What a command cannot do without: it then exits with 1. A date that is loaded is no gap for a backfill."""
RUN_FLOWS = ("local.register", "deployments.apply")
"""Commands that run a flow, beside `flows.*`."""
WATCHDOG = ("flows.watchdog",)
"""What it cannot see it mails, and fails only where it cannot mail either: tests/integration/watch/test_watchdog.py."""


@pytest.fixture(scope="module")
def own(directory: Path) -> Iterator[dict[str, str]]:
    """A stack beside the tests' own, with a day that is loaded; its addresses, and where it stands."""
    directory = directory / "parts"
    assert call("local", "up", directory=directory).returncode == 0
    environment = here(**addresses(directory), RETAIL_SALES_LOCAL_DIR=str(directory), MIN_RECORD_COUNT="40", **SHELL)
    environment |= {"WATCHDOG_DIR": str(directory / "watchdog")}
    for region in REGIONS:
        generated = generator.generate(region, date.fromisoformat(DAY), 50, seed=1, dirt=generator.CLEAN)
        generator.load(environment[f"PG_{region}_OWNER_URL"], [generated.table])
    for command in (("local.register",), ("deployments.apply",), ("flows.daily_sales", DAY)):
        done = run_python("-m", *command, environment=environment)
        assert done.returncode == 0, done.stderr
    try:
        yield environment
    finally:
        call("local", "clean", directory=directory)


def kill(directory: Path, part: str) -> None:
    """Ends a part at once, with the processes that it has started."""
    process = psutil.Process(json.loads((directory / "run" / f"{part.lower()}.pid").read_text())["pid"])
    family = [*process.children(recursive=True), process]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=KILLED_S_MAX)


@contextmanager
def parts_down(environment: dict[str, str], parts: Sequence[str]) -> Iterator[None]:
    directory = Path(environment["RETAIL_SALES_LOCAL_DIR"])
    for part in parts:
        kill(directory, part)
    try:
        yield
    finally:
        assert call("local", "up", directory=directory).returncode == 0


def in_words(ended: Ended) -> bool:
    """Whether it ends in words: a flow's log, which stands before them, may hold the traceback of a task."""
    text = ended.stdout + ended.stderr
    end = "\n".join([*ended.stdout.splitlines()[-4:], *ended.stderr.splitlines()[-4:]])
    return "Traceback" not in (end if ended.args[1] in RUN_FLOWS or ended.args[1].startswith("flows.") else text)


@pytest.mark.parametrize(
    "down", [("PREFECT",), ("SNOWFLAKE",), ("S3",), ("SMTP",), ("PG_EUROPE",), ALL], ids=lambda parts: "+".join(parts)
)
def test_a_command_ends_in_words_and_fails_only_where_it_needs_the_part(
    own: dict[str, str], down: tuple[str, ...]
) -> None:
    with parts_down(own, down):
        together = [command for command in (*NEEDS, WATCHDOG) if command != SET_UP]
        started = {command: start_python("-m", *command, environment=own) for command in together}
        ended = {command: program.ended() for command, program in started.items()}
        ended[SET_UP] = run_python("-m", *SET_UP, environment=own)
    assert {" ".join(command): done.stdout + done.stderr for command, done in ended.items() if not in_words(done)} == {}
    codes = {" ".join(command): ended[command].returncode for command in NEEDS}
    assert codes == {" ".join(command): int(bool(NEEDS[command] & set(down))) for command in NEEDS}


def test_a_command_of_prefect_without_its_server_is_one_line(own: dict[str, str]) -> None:
    commands = [command.text for command in read_commands() if command.text.startswith("prefect ")]
    assert len(commands) > 30
    with parts_down(own, ["PREFECT"]):
        for text in commands:
            words = shlex.split(re.sub(r"\$(\w+)", lambda name: own[name[1]], text))[1:]
            done = run_python("-m", "deployments.prefect_command", *words, environment=own)
            if words[0] != "config":
                assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), text
                assert done.stderr.startswith("prefect: no Prefect server answers at PREFECT_API_URL="), text


def test_the_stack_starts_again_and_the_day_runs_whatever_was_down(own: dict[str, str]) -> None:
    directory = Path(own["RETAIL_SALES_LOCAL_DIR"])
    for part in ALL:
        kill(directory, part)
    done = run_python("-m", "local.run", DAY, environment=own)
    assert (done.returncode, "Completed: " in done.stdout) == (0, True), done.stdout + done.stderr
