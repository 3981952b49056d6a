"""Where the local stack keeps its state, and how the rest of the project reads it. Imports nothing heavy."""

import errno
import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
"""The only address on which the stack listens."""
REGION_CODES = ("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC")
STAGING_BUCKET = "retail-sales-staging"


_ROOM, _RIGHTS = "make room on its disk", "let its owner write in all of it"
UNUSABLE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "make its disk writable",
}
"""Errors of reading and writing in the directory, and what to do."""


class StackError(Exception):
    """The local stack cannot do what was requested; the message is one line, with the next step."""


def state_dir() -> Path:
    """The directory that holds everything the stack writes: data, logs, process ids, `stack.env`."""
    return Path(os.environ.get("RETAIL_SALES_LOCAL_DIR") or CHECKOUT / ".local").resolve()


def refuse_other_owner() -> None:
    """Raises StackError if the directory belongs to another user: one's files would be closed to the other."""
    directory = state_dir()
    if not directory.exists() or (owner := directory.stat().st_uid) == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"  # as sudo takes a number
    remove = shlex.join(["sudo", "-u", name, "env", f"RETAIL_SALES_LOCAL_DIR={directory}", "make", "clean"])
    raise StackError(f"{directory} belongs to user {name}: use it as {name}, or remove it: {remove}")


@contextmanager
def in_usable_directory() -> Iterator[None]:
    """Raises StackError where the body cannot read or write in the directory."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        raise StackError(
            f"{state_dir()} cannot be used ({error.strerror}): {UNUSABLE[error.errno]}, "
            "or choose another directory with RETAIL_SALES_LOCAL_DIR"
        ) from error


@in_usable_directory()
def read_stack_env() -> dict[str, str]:
    """Returns the variables with which programs reach the running stack."""
    refuse_other_owner()
    file = state_dir() / "stack.env"
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        raise StackError(f"the local stack was never started ({file} is missing): run `make up`") from None
    return dict(_parse(line) for line in lines if line)


def write_stack_env(variables: dict[str, str]) -> None:
    """Writes `stack.env` so that a shell can source it; only its owner may read it, as it holds passwords."""
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_private(state_dir() / "stack.env", text)


def write_private(file: Path, text: str) -> None:
    """Replaces a file atomically, readable by its owner only."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)


def _parse(line: str) -> tuple[str, str]:
    name, _, value = shlex.split(line)[0].partition("=")
    return name, value
