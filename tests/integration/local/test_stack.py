"""The local stack as a user meets it on the command line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from local.environment import CHECKOUT, read_stack_env
from tests.integration.commands import Ended
from tests.integration.conftest import World
from tests.integration.processes import run_python

REGIONS = ("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC")
PROMISED = (
    "PREFECT_API_URL",
    *(f"PG_{region}_URL" for region in REGIONS),
    *(f"PG_{region}_OWNER_URL" for region in REGIONS),
    "S3_ENDPOINT_URL",
    "S3_STAGING_BUCKET",
    "SNOWFLAKE_HOST",
    "SNOWFLAKE_PORT",
    "SNOWFLAKE_DATABASE",
    "SMTP_PORT",
)


def call(module: str, *arguments: str, directory: Path | str, **environment: str) -> Ended:
    """`python -m <module> ...` for the stack of a directory."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_PORT")}
    own = {"RETAIL_SALES_LOCAL_DIR": str(directory), "RETAIL_SALES_SAMPLE_DATA": "none"}
    return run_python("-m", module, *arguments, environment=inherited | own | environment)


def addresses(directory: Path) -> dict[str, str]:
    """The variables of the stack of a directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETAIL_SALES_LOCAL_DIR", str(directory))
        return read_stack_env()


@pytest.fixture
def other(directory: Path) -> Path:
    """A second stack beside the tests' own, without rows; started anew when a test has removed it."""
    other = directory / "other"
    if not other.exists():
        started = call("local", "up", directory=other)
        assert started.returncode == 0, started.stderr
    return other


def test_every_promised_address_is_written_and_private(world: World) -> None:
    assert [name for name in PROMISED if not world.environment.get(name)] == []
    file = Path(world.environment["PREFECT_HOME"]).parent / "stack.env"
    assert file.stat().st_mode & 0o777 == 0o600


def test_everything_listens_on_this_machine_alone(world: World) -> None:
    listening = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True).stdout
    ports = json.loads((Path(world.environment["PREFECT_HOME"]).parent / "ports.json").read_text())
    mine = {f"{int(port):04X}" for port in ports.values()}
    addresses = {
        fields[1].split(":")[0]
        for fields in map(str.split, listening.splitlines())
        if len(fields) > 3 and fields[3] == "0A" and fields[1].split(":")[-1] in mine
    }
    assert addresses == {"0100007F"}


def test_the_reader_may_only_read(world: World) -> None:
    with psycopg2.connect(world.environment["PG_EUROPE_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off; COMMIT; BEGIN")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("DELETE FROM sales_transactions")


@pytest.mark.usefixtures("year")
def test_the_four_databases_hold_the_real_year(world: World) -> None:
    rows = {}
    for region in REGIONS:
        with psycopg2.connect(world.environment[f"PG_{region}_URL"]) as connection, connection.cursor() as cursor:
            year = "sale_date >= '2017-01-01' AND sale_date < '2018-01-02'"
            cursor.execute(f"SELECT count(*) FROM sales_transactions WHERE {year}")
            (rows[region],) = cursor.fetchone()
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'sales_transactions'")
            indexes = str(cursor.fetchall())
        assert "(sale_date)" in indexes
        assert "(updated_at)" in indexes
    assert rows == {"US_EAST": 410_074, "US_WEST": 315_179, "EUROPE": 404_803, "ASIA_PACIFIC": 339_251}


def test_two_stacks_on_one_machine_do_not_collide(world: World, other: Path) -> None:
    mine = json.loads((Path(world.environment["PREFECT_HOME"]).parent / "ports.json").read_text())
    theirs = json.loads((other / "ports.json").read_text())
    assert not set(mine.values()) & set(theirs.values())


def test_up_again_starts_nothing_and_a_half_started_stack_is_completed(other: Path) -> None:
    pids = {path.name: path.read_text() for path in (other / "run").iterdir()}
    assert call("local", "up", directory=other).returncode == 0
    assert {path.name: path.read_text() for path in (other / "run").iterdir()} == pids

    smtp = next(path for path in (other / "run").iterdir() if "smtp" in path.name)
    os.kill(int(json.loads(smtp.read_text())["pid"]), 9)
    again = call("local", "up", directory=other)
    assert again.returncode == 0, again.stderr
    changed = {path.name for path in (other / "run").iterdir() if path.read_text() != pids.get(path.name)}
    assert changed == {smtp.name}


def test_a_source_that_is_up_without_its_table_gets_it(other: Path) -> None:
    """As a first start leaves it that was killed while it loaded the sample."""
    run_file, filled = other / "run" / "pg_europe.pid", other / "postgres" / "EUROPE.filled"
    url = addresses(other)["PG_EUROPE_OWNER_URL"]
    before = run_file.read_text()
    filled.unlink()
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE sales_transactions")
    again = call("local", "up", directory=other)
    assert again.returncode == 0, again.stderr
    assert (filled.read_text(), run_file.read_text()) == ("table", before)
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sales_transactions")
        assert cursor.fetchone() == (0,)


def test_a_taken_port_is_one_clear_line(other: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = call("local", "up", directory=other, PG_EUROPE_PORT=port)
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        f"port {port} for PG_EUROPE is taken by another program: stop it, or choose another with PG_EUROPE_PORT=..."
    )
    assert call("local", "status", directory=other).returncode == 0


def test_down_keeps_the_data_and_clean_removes_them(other: Path) -> None:
    ask = "create table if not exists kept (a number); insert into kept values (1)"
    for statement in ask.split("; "):
        assert call("local.sql", statement, directory=other).returncode == 0
    assert call("local", "down", directory=other).returncode == 0
    assert call("local", "status", directory=other).returncode == 1
    stopped = call("local.sql", "select 1", directory=other)
    assert stopped.returncode == 1
    assert "Traceback" not in stopped.stderr

    assert call("local", "up", directory=other).returncode == 0
    assert "1 row" in call("local.sql", "select * from kept", directory=other).stdout
    assert call("local", "clean", directory=other).returncode == 0
    assert not other.exists()


@pytest.mark.usefixtures("year")
def test_sql_asks_the_warehouse_and_the_staged_files(world: World) -> None:
    directory = Path(world.environment["PREFECT_HOME"]).parent
    world.run("2017-12-22")
    counted = call(
        "local.sql", "select count(*) as n from sales_fact where etl_batch_id = '20171222'", directory=directory
    )
    staged = call("local.sql", "select count(*) as n from staged_clean", directory=directory)
    assert counted.returncode == 0, counted.stderr
    assert counted.stdout == staged.stdout
    rejected = call("local.sql", "select distinct region_code from staged_rejected order by 1", directory=directory)
    assert "EUROPE" in rejected.stdout
    quoted = call("local.sql", """select '[red]"5 $"[/red]' as "Text" """, directory=directory)
    assert '[red]"5 $"[/red]' in quoted.stdout
    wrong = call("local.sql", "select nonsense from nowhere", directory=directory)
    assert wrong.returncode == 1
    assert len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("value", ["yesterday", "2999-01-01", "2017-02-30"])
def test_a_date_that_cannot_be_stops_before_anything_is_started(tmp_path: Path, value: str) -> None:
    refused = call("local.run", value, directory=tmp_path)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert value in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("year")
def test_make_run_prints_the_tables_and_writes_them_as_json(world: World) -> None:
    directory = Path(world.environment["PREFECT_HOME"]).parent
    # A process of its own, as `make` starts it: one that has to load all that others have loaded.
    own = os.environ | {"RETAIL_SALES_LOCAL_DIR": str(directory)}
    command = [sys.executable, "-m", "local.run", "20171221"]
    done = subprocess.run(command, cwd=CHECKOUT, env=own, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Daily sales 2017-12-21: rows" in done.stdout
    for word in ("extracted", "superseded", "Rejected by rule", "Money as extracted", "Seconds per step", "dashboard"):
        assert word in done.stdout
    outcome = json.loads((directory / "last-run.json").read_text())
    assert outcome["state"] == "Completed"
    assert outcome["date"] == "2017-12-21"
    regions = {region["region"]: region for region in outcome["regions"]}
    assert set(regions) == set(REGIONS)
    europe = regions["EUROPE"]
    fates = ("inserted", "updated", "unchanged", "superseded", "duplicates", "rejected")
    assert europe["extracted"] == sum(europe[fate] for fate in fates) > 0
    assert set(europe["money"]) == {"EUR"}
    assert {"quality-gate", "load", "publish", "verify"} <= set(outcome["seconds"])


@pytest.mark.usefixtures("year")
def test_make_run_of_some_regions_loads_these_alone(world: World) -> None:
    directory = Path(world.environment["PREFECT_HOME"]).parent
    done = call("local.run", "2017-12-20", "EUROPE US_WEST", directory=directory)
    assert done.returncode == 0, done.stderr
    outcome = json.loads((directory / "last-run.json").read_text())
    assert [region["region"] for region in outcome["regions"]] == ["US_WEST", "EUROPE"]
    assert world.ledger("20171220") == {"US_WEST": "PUBLISHED", "EUROPE": "PUBLISHED"}


@pytest.mark.usefixtures("year")
def test_make_run_shows_the_tables_of_a_refused_batch(world: World) -> None:
    directory = Path(world.environment["PREFECT_HOME"]).parent
    with world.variable("max_rejected_percentage", "0"):
        done = call("local.run", "2017-12-19", "EUROPE", directory=directory)
    assert done.returncode == 1
    assert "Daily sales 2017-12-19: rows" in done.stdout
    assert "QualityFailed: nothing was loaded for 2017-12-19: " in done.stdout
