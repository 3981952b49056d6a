"""`make shell`: an interactive shell in which `prefect` and `python` are the project's.

The server is that of PREFECT_API_URL, which the prompt names; this machine is reached without a proxy. Bash reads the
user's own settings first.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from prefect.settings import PREFECT_API_URL

from blocks.project import HOME
from blocks.shell import NO_PROXY, as_given
from deployments.prefect_command import missing_server

KEPT = ("PREFECT_API_URL", "PREFECT_EXPERIMENTAL_EVENTS", "PREFECT_EXPERIMENTAL_WARN", *NO_PROXY)
"""Variables that the user's own settings do not override: the shell was opened for this server."""


def settings(environment: Mapping[str, str], python: Path, project: Path) -> str:
    """Returns what the shell reads before its first prompt."""
    programs, url = shlex.quote(str(python.parent)), environment["PREFECT_API_URL"]
    prompt = f"(retail-sales on {urlsplit(url).hostname or url}{_port(url)}) "
    command = f"PYTHONPATH={shlex.quote(str(project))} {shlex.quote(str(python))} -m deployments.prefect_command"
    return "\n".join(
        (
            "[ ! -f ~/.bashrc ] || . ~/.bashrc",
            *(f"export {name}={shlex.quote(environment[name])}" for name in KEPT if name in environment),
            f'export PATH={programs}:"$PATH"',
            "unalias prefect python 2>/dev/null",
            f'prefect() {{ {command} "$@"; }}',
            f'PS1={shlex.quote(prompt)}"$PS1"',
            "trap 'exit 0' EXIT  # or `make` takes the last command's end for its own",
            "",
        )
    )


def _port(url: str) -> str:
    port = urlsplit(url).port
    return f":{port}" if port else ""


def main() -> int:
    """Becomes the shell; returns 1 after a line on stderr where no server answers."""
    if fault := missing_server():
        print(f"shell: {fault}", file=sys.stderr)
        return 1
    environment = as_given() | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    with tempfile.NamedTemporaryFile("w", prefix="retail-sales-shell-", delete=False) as file:
        file.write(settings(environment, Path(sys.executable), HOME) + f"rm -f {shlex.quote(file.name)}\n")
    print("`prefect` and `python` are this project's until `exit`", flush=True)
    return _become_bash(file.name, environment)


def _become_bash(file: str, environment: Mapping[str, str]) -> int:
    os.execvpe("bash", ["bash", "--rcfile", file, "-i"], environment)  # noqa: S606, S607 (a shell was asked for)


if __name__ == "__main__":
    sys.exit(main())
