"""The recovery commands of the runbook do what they are for."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from prefect.variables import Variable

from blocks.variables import set_for_now
from deployments.clean_prefect_database import SETTING
from flows.setup_warehouse import setup_warehouse
from local.environment import state_dir
from tasks.alerts.book import new_entry
from tasks.alerts.request import AlertRequest
from tasks.alerts.variable_book import VariableBook
from tasks.errors import NeedsPersonError, TransientError
from tests.integration.commands import here, run_command
from tests.integration.conftest import World
from tests.runbook import ABORT, COVERED, LOCK, STACK, read_commands

COMMANDS = [command for command in read_commands() if COVERED.get(command.text) == STACK]


CHANGED = {
    "min_record_count": "100",
    "closed_days": '{"US_WEST": ["2023-12-25"], "EUROPE": ["2023-12-25"]}',
    "extra_columns": '{"weight": "plain", "loyalty_tier": "plain"}',
    "undo_retention_days": "35",
}
"""The variables that commands change, as they are before each."""
SHELL = {
    "DATE": "2024-01-15",
    "REGION": "EUROPE",
    "VARIABLE": "min_record_count",
    "VALUE": "40",
    "COLUMN": "loyalty_tier",
}
"""As the page exports them."""


@pytest.fixture(scope="module")
def run_id(world: World) -> str:
    """The id of some flow run."""
    return str(setup_warehouse(return_state=True).state_details.flow_run_id)


@pytest.fixture
def _as_found(world: World) -> Iterator[None]:
    """Puts back the variables that a command changes, and gives one an alert to delete. No run is alive."""
    world.tidy()
    request = AlertRequest("failed", None, "2024-01-15")
    book = VariableBook()
    book.claim(new_entry("20240115 all failed", request, datetime.now(UTC)))
    with ExitStack() as stack:
        for name, value in CHANGED.items():
            stack.enter_context(world.variable(name, value))
        yield
    if entry := book.find("20240115 all failed"):
        book.remove(entry)


EXPECTED = {
    '$VARIABLE "$VALUE"': "40",
    '--for-now $VARIABLE "$VALUE"': "40",
    "--back $VARIABLE": "100",
    r'''--add closed_days "{\"$REGION\": [\"$DATE\"]}"''': (
        '{"US_WEST": ["2023-12-25"], "EUROPE": ["2023-12-25", "2024-01-15"]}'
    ),
    r'''--add extra_columns "{\"$COLUMN\": \"personal\"}"''': '{"weight": "plain", "loyalty_tier": "personal"}',
    "--remove extra_columns $COLUMN": '{"weight": "plain"}',
    "undo_retention_days 35": "35",
}
"""What the variable holds after each command of `python -m blocks.variables`."""


@pytest.mark.usefixtures("_as_found")
@pytest.mark.parametrize("command", [c.text for c in COMMANDS if c.language == "sh"])
def test_a_command_of_the_shell(world: World, run_id: str, command: str) -> None:
    if "--back" in command:
        set_for_now("min_record_count", "60")
        set_for_now("min_record_count", "40")
    database = {SETTING: f"sqlite+aiosqlite:///{state_dir() / 'prefect' / 'prefect.db'}"}
    done = run_command(command, here(**world.environment, **SHELL, **database, RUN=run_id))
    assert done.returncode == 0, done.stdout + done.stderr
    if command.startswith("python -m blocks.variables"):
        name, value = done.stdout.removeprefix("variable ").strip().split(" = ", 1)
        assert repr(Variable.get(name).value) == value
        assert value == repr(EXPECTED[command.removeprefix("python -m blocks.variables ")])
    if command.startswith("prefect variable delete"):
        assert VariableBook().find("20240115 all failed") is None


@pytest.mark.parametrize("statement", [c.text for c in COMMANDS if c.language == "sql"])
def test_a_statement_of_the_warehouse(world: World, statement: str) -> None:
    """It is taken, and finds nothing of a date that nobody has loaded, nor marks, which other tests leave."""
    world.sql("DELETE FROM SALES_FACT WHERE IS_DELETED")
    assert world.sql(statement) == []


def test_who_holds_a_lock_is_seen_and_ended(world: World) -> None:
    assert {text for text, where in COVERED.items() if where == LOCK} == {
        "SHOW LOCKS IN ACCOUNT",
        "SHOW TRANSACTIONS IN ACCOUNT",
        ABORT.format(1705302000000000000),
    }
    with world.session() as holder:
        holder.query("BEGIN TRANSACTION")
        holder.query("UPDATE ETL_LOCK SET RUN_NUMBER = RUN_NUMBER")
        ((table, _, transaction, *_),) = world.sql("SHOW LOCKS IN ACCOUNT")
        assert table == "RETAIL.ANALYTICS.ETL_LOCK"
        assert transaction in [row[0] for row in world.sql("SHOW TRANSACTIONS IN ACCOUNT")]

        world.sql(ABORT.format(transaction))
        assert world.sql("SHOW LOCKS IN ACCOUNT") == []
        world.sql("UPDATE ETL_LOCK SET RUN_NUMBER = RUN_NUMBER")
        with pytest.raises(TransientError, match=f"Transaction {transaction} was aborted"):
            holder.query("COMMIT")
    with pytest.raises(NeedsPersonError, match=f"{transaction} is not running"):
        world.sql(ABORT.format(transaction))
