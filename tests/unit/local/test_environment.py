"""The directory of the stack: whose it is, and that it can be written. No stack."""

import errno
import os
import pwd
import shlex
from pathlib import Path

import pytest

from local import __main__ as command_line
from local import mails, register, run, sql, stack

"""Of no account on this machine."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that another user's stack has left."""
    directory = tmp_path / "of another"
    directory.mkdir()
    (directory / "stack.env").write_text("PREFECT_API_URL=http://127.0.0.1:9/api\n")
    monkeypatch.setenv("RETAIL_SALES_LOCAL_DIR", str(directory))
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    return directory


COMMANDS = {
    "up": command_line.main,
    "down": command_line.main,
    "clean": command_line.main,
    "status": command_line.main,
    "serve": command_line.main,
    "2017-12-23": run.main,
    "select 1": sql.main,
    "": mails.main,
    "register": register.main,
}


@pytest.mark.parametrize("argument", COMMANDS)
def test_the_directory_of_another_user_is_refused_in_one_line_and_left_alone(
    directory: Path, argument: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["program", argument])
    assert COMMANDS[argument]() == 1
    owner = directory.owner()
    assert capsys.readouterr().err == (
        f"{directory} belongs to user {owner}: use it as {owner}, or remove it: "
        f"sudo -u {owner} env {shlex.quote(f'RETAIL_SALES_LOCAL_DIR={directory}')} make clean\n"
    )
    assert [path.name for path in directory.iterdir()] == ["stack.env"]


def test_a_user_without_a_name_is_named_by_number(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    owner = directory.stat().st_uid
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("sys.argv", ["program", "up"])
    assert command_line.main() == 1
    assert capsys.readouterr().err.startswith(f"{directory} belongs to user #{owner}: use it as #{owner}, or remove")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(errno.ENOSPC, "(No space left on device): make room on its disk", id="full"),
        pytest.param(errno.EACCES, "(Permission denied): let its owner write in all of it", id="closed"),
    ],
)
def test_a_directory_that_cannot_be_written_is_one_line_with_what_to_do(
    number: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def write(_file: Path, _text: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(stack, "write_private", write)
    monkeypatch.setenv("RETAIL_SALES_LOCAL_DIR", str(tmp_path))
    for main, argument in ((command_line.main, "up"), (run.main, "2017-12-23")):
        monkeypatch.setattr("sys.argv", ["program", argument])
        assert main() == 1
        assert capsys.readouterr().err == (
            f"{tmp_path} cannot be used {text}, or choose another directory with RETAIL_SALES_LOCAL_DIR\n"
        )
