"""The supervisor: starts, watches and stops the parts of the local stack.

Each part is a separate process, detached from the terminal. What belongs here: processes, ports, passwords and
`stack.env`. Each part has its own module.
"""

import fcntl
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import psutil

from local import postgres
from local.console import print_line, sign_of_life
from local.environment import (
    CHECKOUT,
    HOST,
    REGION_CODES,
    STAGING_BUCKET,
    StackError,
    in_usable_directory,
    refuse_other_owner,
    state_dir,
    write_private,
    write_stack_env,
)
from tasks.progress.work import Work, progressing
from tasks.stopwatch import Say, Stopwatch

START_S_MAX = 180
STOP_S_MAX = 30
ANSWER_S_MAX = 5
POLL_S = 0.1
CLOCK_STEP_S = 60
"""How far setting the clock may move a start that only the clock tells; no process id is reused that soon."""
PORTS = range(20_000, 30_000)
"""Below the ports of outgoing connections, one of which could take ours while a part is starting."""
SECRETS = ("PG_OWNER_PASSWORD", "PG_READER_PASSWORD", "PII_TOKEN_KEY", "SNOWFLAKE_PASSWORD")


@dataclass(frozen=True)
class Plan:
    """The settings of a start: the port of each part, and the secrets by name."""

    ports: dict[str, int]
    secrets: dict[str, str]


@dataclass(frozen=True)
class Part:
    """A process of the stack. Its port can be set by `<name>_PORT`."""

    name: str
    title: str
    command: Callable[[Plan], list[str]]
    answers: Callable[[int], bool]
    environment: Callable[[Plan], dict[str, str]]
    needs: tuple[str, ...] = ()
    """Parts whose ports it gets at its start."""
    prepare: Callable[[Plan], None] = lambda _: None
    finish: Callable[[Plan, Say], None] = lambda _plan, _say: None
    is_finished: Callable[[], bool] = lambda: True
    """Whether `finish` has nothing left to do."""
    stop_signal: signal.Signals = signal.SIGTERM
    as_postgres: bool = False

    @property
    def log(self) -> Path:
        return state_dir() / "logs" / f"{self.name.lower()}.log"

    @property
    def run_file(self) -> Path:
        return state_dir() / "run" / f"{self.name.lower()}.pid"

    def ports(self, plan: Plan) -> dict[str, int]:
        """The ports that the running process has to know."""
        return {name: plan.ports[name] for name in (self.name, *self.needs)}


@dataclass(frozen=True)
class Running:
    """A started process. Its start distinguishes it from a later process with the same id."""

    pid: int
    started: float
    """By the clock, in seconds since 1970."""
    ports: dict[str, int]
    started_after_boot: str = ""
    """The boot and the clock ticks since then, which setting the clock does not change; empty where only the clock is
    known: outside Linux, and in files of earlier versions."""

    def is_alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            if self.started_after_boot:
                same = _started_after_boot(self.pid) == self.started_after_boot
            else:
                same = abs(process.create_time() - self.started) < CLOCK_STEP_S
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def _started_after_boot(pid: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    # Field 22 is the start; field 2, the name in brackets, may contain anything.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


# The parts


def _module(name: str) -> Callable[[Plan], list[str]]:
    return lambda _: [sys.executable, "-m", f"local.{name}"]


def _postgres_part(region_code: str) -> Part:
    name = f"PG_{region_code}"
    return Part(
        name=name,
        title=f"PostgreSQL {region_code}",
        command=lambda plan: postgres.command(region_code, plan.ports[name]),
        answers=partial(_postgres_answers, region_code),
        environment=lambda _: _without_prefect(),
        prepare=lambda plan: postgres.create_cluster(
            region_code, plan.secrets["PG_OWNER_PASSWORD"], plan.secrets["PG_READER_PASSWORD"]
        ),
        finish=lambda plan, say: postgres.fill(region_code, stack_env(plan)[f"{name}_OWNER_URL"], say),
        is_finished=partial(postgres.is_filled, region_code),
        stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown: SIGTERM would wait for clients to leave
        as_postgres=True,
    )


def _prefect_command(plan: Plan) -> list[str]:
    """The process that `prefect server start` starts; the command itself would stay as a second process."""
    server = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    return [*server, "--host", HOST, "--port", str(plan.ports["PREFECT"]), "--timeout-graceful-shutdown", "5"]


def _prefect_environment(plan: Plan) -> dict[str, str]:
    port = plan.ports["PREFECT"]
    return _without_prefect() | {
        "PREFECT_HOME": str(state_dir() / "prefect"),
        "PREFECT_API_SSL_CERT_FILE": str(_authority_file()),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_EXPERIMENTAL_EVENTS": "true",
        "PREFECT_EXPERIMENTAL_WARN": "false",
        # Not in Prefect's package, where two servers that start at once overwrite each other's files.
        "PREFECT_UI_STATIC_DIRECTORY": str(state_dir() / "prefect" / "ui"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "true",
        # Only runs that pause, and notifications of the kind that automations replaced, need these loops.
        "PREFECT_API_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
        "PREFECT_API_SERVICES_FLOW_RUN_NOTIFICATIONS_ENABLED": "false",
        # A task that waits for a slot of a concurrency limit asks again after two seconds, not thirty.
        "PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
        # It would write each event to the log too, which nothing reads.
        "PREFECT_API_SERVICES_EVENT_LOGGER_ENABLED": "false",
    }


def _without_prefect() -> dict[str, str]:
    """The environment without the caller's Prefect settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _stack_environment(plan: Plan) -> dict[str, str]:
    return _without_prefect() | stack_env(plan) | {"S3_PORT": str(plan.ports["S3"])}


def _http_answers(path: str, port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _smtp_answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=ANSWER_S_MAX) as connection:
            return connection.recv(4).startswith(b"220")
    except OSError:
        return False


def _postgres_answers(region_code: str, port: int) -> bool:
    """Whether the server takes connections, as the last line of postmaster.pid says."""
    try:
        lines = (postgres.cluster_dir(region_code) / "postmaster.pid").read_text().splitlines()
        with socket.create_connection((HOST, port), timeout=ANSWER_S_MAX):
            return len(lines) == 8 and lines[-1].strip() == "ready"
    except OSError:
        return False


OTHER_PREFECT_API_URL = os.environ.get("RETAIL_SALES_PREFECT_API_URL")
"""An existing Prefect server, in place of which the stack starts none."""

ALL_PARTS = (
    *(_postgres_part(code) for code in REGION_CODES),
    Part("S3", "S3 (moto)", _module("s3"), partial(_http_answers, "/moto-api/"), _stack_environment),
    Part(
        "SNOWFLAKE",
        "Snowflake (fakesnow)",
        _module("snowflake"),
        partial(_http_answers, "/"),
        _stack_environment,
        needs=("S3",),
    ),
    Part("SMTP", "mail (SMTP)", _module("smtp"), _smtp_answers, _stack_environment),
    Part("PREFECT", "Prefect server", _prefect_command, partial(_http_answers, "/api/health"), _prefect_environment),
)
PARTS = tuple(part for part in ALL_PARTS if part.name != "PREFECT" or not OTHER_PREFECT_API_URL)


# Commands


def up(say: Say = print_line) -> None:
    """Starts the parts that are down, waits until every part answers, finishes what an earlier start has not, writes
    `stack.env`."""
    missing: list[Part] = []
    with sign_of_life(say, lambda: _starting(missing)) as output, _locked(output.say):
        running = {part.name: process for part in PARTS if (process := _find(part))}
        plan = Plan(_choose_ports(running), _keep_secrets())
        down = [part for part in PARTS if not _is_up(part, running.get(part.name), plan)]
        missing += [part for part in PARTS if part in down or not part.is_finished()]
        for part in PARTS:
            if part not in missing:
                output.say(_line(part, "is up", plan.ports[part.name]))
        _stop([part for part in down if part.name in running], output.say)
        write_stack_env(stack_env(plan))
        _write_authority()
        if missing:
            _start([*missing], plan, output.say, missing)


def serve(say: Say = print_line) -> None:
    """Starts the parts that are down, and stops all on SIGTERM or SIGINT: the main process of a container."""
    stop = {signal.SIGTERM, signal.SIGINT}
    up(say)
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    signal.sigwait(stop)
    down(say)


def down(say: Say = print_line) -> None:
    """Stops every running part. The data stay."""
    if not state_dir().exists():
        return
    with _locked(say):
        _stop([part for part in PARTS if _find(part)], say)


@in_usable_directory()
def clean(say: Say = print_line) -> None:
    """Stops everything and removes the state directory."""
    down(say)
    directory = state_dir()
    if not directory.exists():
        return
    if not (directory / "ports.json").exists():
        raise StackError(f"{directory} does not look like the local stack's directory: remove it yourself")
    shutil.rmtree(directory)
    say(f"removed {directory}")


@in_usable_directory()
def status(say: Say = print_line) -> bool:
    """Prints the state of each part; returns whether all are up."""
    refuse_other_owner()
    remembered = _read_json(state_dir() / "ports.json")
    all_up = True
    for part in PARTS:
        process = _find(part)
        port = remembered.get(part.name)
        if process is None or port is None:
            state = "is down"
        else:
            state = "is up" if part.answers(process.ports[part.name]) else f"does not answer, see {part.log}"
        say(_line(part, state, port if process else None))
        all_up = all_up and state == "is up"
    return all_up


def stack_env(plan: Plan) -> dict[str, str]:
    """Returns the variables with which programs reach the stack."""
    api = OTHER_PREFECT_API_URL or f"http://{HOST}:{plan.ports['PREFECT']}/api"
    return {
        "PREFECT_API_URL": api,
        "PREFECT_UI_URL": api.removesuffix("/api"),
        "PREFECT_HOME": str(state_dir() / "prefect"),
        "PREFECT_EXPERIMENTAL_EVENTS": "true",
        "PREFECT_EXPERIMENTAL_WARN": "false",
        **({} if OTHER_PREFECT_API_URL else {"PREFECT_API_SSL_CERT_FILE": str(_authority_file())}),
        **{f"PG_{code}_URL": _postgres_url(plan, code, "reader") for code in REGION_CODES},
        **{f"PG_{code}_OWNER_URL": _postgres_url(plan, code, "owner") for code in REGION_CODES},
        "S3_ENDPOINT_URL": f"http://{HOST}:{plan.ports['S3']}",
        "S3_STAGING_BUCKET": STAGING_BUCKET,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SNOWFLAKE_ACCOUNT": "local",
        "SNOWFLAKE_USER": "etl",
        "SNOWFLAKE_PASSWORD": plan.secrets["SNOWFLAKE_PASSWORD"],
        "SNOWFLAKE_HOST": HOST,
        "SNOWFLAKE_PORT": str(plan.ports["SNOWFLAKE"]),
        "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_DATABASE": "RETAIL",
        "SNOWFLAKE_SCHEMA": "ANALYTICS",
        "SNOWFLAKE_WAREHOUSE": "ETL_WH",
        "SNOWFLAKE_ROLE": "ETL_ROLE",
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(plan.ports["SMTP"]),
        "PII_TOKEN_KEY": plan.secrets["PII_TOKEN_KEY"],
        "RETAIL_SALES_REPORTS": str(state_dir() / "reports"),
    }


def _authority_file() -> Path:
    return state_dir() / "authority.pem"


def _write_authority() -> None:
    """Writes a bundle of one certificate authority: Prefect loads the bundle for every client that it makes, dozens a
    run, and the usual 150 authorities take longer than all its other work. Nothing here uses TLS."""
    first, end, _ = Path(certifi.where()).read_text(encoding="ascii").partition("-----END CERTIFICATE-----\n")
    _authority_file().write_text(first[first.index("-----BEGIN CERTIFICATE-----") :] + end, encoding="ascii")


def _postgres_url(plan: Plan, region_code: str, role: str) -> str:
    password = plan.secrets[f"PG_{role.upper()}_PASSWORD"]
    return f"postgresql://sales_{role}:{password}@{HOST}:{plan.ports[f'PG_{region_code}']}/sales"


# Processes


def _find(part: Part) -> Running | None:
    """Returns the part's process, or None if it has ended."""
    recorded = _read_json(part.run_file)
    running = Running(**recorded) if recorded else None
    return running if running and running.is_alive() else None


def _is_up(part: Part, running: Running | None, plan: Plan) -> bool:
    return running is not None and running.ports == part.ports(plan) and part.answers(plan.ports[part.name])


def _starting(missing: list[Part]) -> str:
    if not missing:
        return "looking for running parts"
    titles = ", ".join(part.title for part in missing)
    return f"starting {titles}; {len(PARTS) - len(missing)} of {len(PARTS)} parts are up"


def _start(parts: list[Part], plan: Plan, say: Say, missing: list[Part]) -> None:
    """Starts or finishes parts in parallel; each is removed from `missing` when it is ready or has failed."""
    for name in ("logs", "run", "postgres", "prefect"):
        (state_dir() / name).mkdir(exist_ok=True)
    if any(part.as_postgres for part in parts):
        postgres.prepare_account()
    known, watch = _read_json(_seconds_file()), Stopwatch()
    are_filled = all(postgres.is_filled(code) for code in REGION_CODES)
    usual_s = known.get(str(len(parts))) if are_filled else None
    with (
        progressing(say, "start", "parts", len(parts), usual_s, steady_from=None) as work,
        ThreadPoolExecutor(len(parts)) as pool,
    ):
        # Every part is tried: the next `up` has only the failed ones to start.
        started = [pool.submit(_bring_up, part, plan, say, missing, work) for part in parts]
    for future in started:
        future.result()
    if are_filled:
        write_private(_seconds_file(), json.dumps(known | {str(len(parts)): watch.seconds()}))


def _seconds_file() -> Path:
    """The seconds of the last start of so many parts, by their number."""
    return state_dir() / "start-seconds.json"


def _bring_up(part: Part, plan: Plan, say: Say, missing: list[Part], work: Work) -> None:
    has_failed = True
    try:
        if not _is_up(part, _find(part), plan):
            part.prepare(plan)
            _wait_for_answer(part, _spawn(part, plan))
        part.finish(plan, say)
        has_failed = False
    except StackError:
        raise
    except Exception as error:
        raise StackError(f"{part.title} could not be set up: {_one_line(error)}; its log is {part.log}") from error
    finally:
        missing.remove(part)
        work.add(failed=has_failed)
    say(_line(part, "is up", plan.ports[part.name]))


def _spawn(part: Part, plan: Plan) -> Running:
    with part.log.open("ab") as log:
        process = subprocess.Popen(
            part.command(plan),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/" if part.as_postgres else CHECKOUT,
            env=part.environment(plan) | {"RETAIL_SALES_LOCAL_DIR": str(state_dir())},
            user=postgres.system_user() if part.as_postgres else None,
            start_new_session=True,
        )
    started = psutil.Process(process.pid).create_time()
    running = Running(process.pid, started, part.ports(plan), _started_after_boot(process.pid))
    write_private(part.run_file, json.dumps(asdict(running)))
    return running


def _wait_for_answer(part: Part, running: Running) -> None:
    give_up = time.monotonic() + START_S_MAX
    while not part.answers(running.ports[part.name]):
        if not running.is_alive():
            raise StackError(f"{part.title} did not start: {_last_line(part.log)} (the log is {part.log})")
        if time.monotonic() > give_up:
            raise StackError(f"{part.title} did not answer within {START_S_MAX} s (the log is {part.log})")
        time.sleep(POLL_S)


def _stop(parts: list[Part], say: Say) -> None:
    """Signals all, then waits for each; one that does not end in time is killed with its children."""
    processes = [(part, process) for part in parts if (process := _find(part))]
    for part, process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, part.stop_signal)
    for part, process in processes:
        try:
            psutil.Process(process.pid).wait(STOP_S_MAX)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        part.run_file.unlink()
        say(_line(part, "stopped"))


# Ports and secrets, kept from start to start


def _choose_ports(running: Mapping[str, Running]) -> dict[str, int]:
    """The port of each part: set by its variable, else in use, else remembered if free, else a new one."""
    file = state_dir() / "ports.json"
    remembered = _read_json(file)
    ports: dict[str, int] = {}
    for part in PARTS:
        used = running[part.name].ports[part.name] if part.name in running else None
        if asked := os.environ.get(f"{part.name}_PORT"):
            ports[part.name] = _asked_port(part, asked, used)
        elif used:
            ports[part.name] = used
        elif (port := remembered.get(part.name)) and _is_free(port):
            ports[part.name] = port
        else:
            ports[part.name] = _new_port({*remembered.values(), *ports.values()})
    write_private(file, json.dumps(ports, indent=1))
    return ports


def _asked_port(part: Part, text: str, used: int | None) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise StackError(f"{part.name}_PORT={text} is not a port number")
    if int(text) != used and not _is_free(int(text)):
        raise StackError(
            f"port {text} for {part.name} is taken by another program: "
            f"stop it, or choose another with {part.name}_PORT=..."
        )
    return int(text)


def _new_port(taken: set[int]) -> int:
    for port in random.sample(PORTS, len(PORTS)):
        if port not in taken and _is_free(port):
            return port
    raise StackError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _keep_secrets() -> dict[str, str]:
    file = state_dir() / "secrets.json"
    kept = _read_json(file)
    complete = {name: kept.get(name) or secrets.token_hex(32) for name in SECRETS}
    if complete != kept:
        write_private(file, json.dumps(complete, indent=1))
    return complete


# Helpers


@contextmanager
def _locked(say: Say) -> Iterator[None]:
    """One supervisor at a time, as the owner of the directory."""
    with in_usable_directory():
        refuse_other_owner()
        state_dir().mkdir(parents=True, exist_ok=True, mode=0o711)
        with (state_dir() / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another start or stop of this stack is under way: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return content


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line(part: Part, state: str, port: int | None = None) -> str:
    return f"{part.title:<24}{state}" + (f" on {HOST}:{port}" if port else "")
