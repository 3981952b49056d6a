"""`make prefect ARGS="..."`: the `prefect` command of this project, against the server that is configured.

    python -m deployments.prefect_command deployment run 'daily-sales/production' -p date=2024-01-15
    python -m deployments.prefect_command --line "deployment run 'daily-sales/production' -p date=2024-01-15"

Where no server answers, Prefect would start an empty one for seconds, or end in a stack trace. Here that is one line.
"""

import os
import shlex
import sys
from collections.abc import Sequence

from prefect.settings import PREFECT_API_URL

from blocks.shell import as_given
from tasks.lines import hide_values
from tasks.watch.runs import server_answers

LINE = "--line"
NEED_NO_SERVER = frozenset({"--help", "--version", "-v", "cloud", "config", "profile", "profiles", "server", "version"})
"""First words of commands that need no server."""


def split_line(line: str) -> list[str]:
    """Splits a command, which may begin with `prefect`, into words as a shell does. Raises ValueError for a quote that
    is not closed."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f'{line}: {error}; write ARGS="..." with single quotes inside') from None
    return words[1:] if words[:1] == ["prefect"] else words


def needs_server(words: Sequence[str]) -> bool:
    """Whether the command needs a server."""
    return bool(words) and words[0] not in NEED_NO_SERVER and "--help" not in words


def missing_server() -> str:
    """Returns a line that names the server that does not answer and what to do; empty when one answers."""
    if server_answers():
        return ""
    if url := PREFECT_API_URL.value():
        return f"no Prefect server answers at PREFECT_API_URL={hide_values(url)}: start it, or correct the address"
    return "PREFECT_API_URL is not set: give it as http://<host>:4200/api, or run `make up` first"


def main() -> int:
    """Runs the command in this process; returns 1 after a line on stderr where no server answers."""
    arguments = sys.argv[1:]
    try:
        words = split_line(" ".join(arguments[1:])) if arguments[:1] == [LINE] else arguments
    except ValueError as error:
        print(f"prefect: {error}", file=sys.stderr)
        return 1
    if needs_server(words) and (fault := missing_server()):
        print(f"prefect: {fault}", file=sys.stderr)
        return 1
    os.environ.update(as_given())
    from prefect.cli import app

    sys.argv = ["prefect", *words]
    app(prog_name="prefect")
    return 0


if __name__ == "__main__":
    sys.exit(main())
