"""`make shell`: a real bash, with a Python that prints what it is called with."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.shell import settings

PRINTING = f"""#!{sys.executable}
import os, sys
print(sys.argv[1:], os.environ["PYTHONPATH"])
"""
SERVER = {"PREFECT_API_URL": "https://user:secret@prefect.example.com:8443/api", "NO_PROXY": "127.0.0.1,localhost"}
OWN_SETTINGS = "export PREFECT_API_URL=http://elsewhere/api PATH=/usr/bin:/bin NO_PROXY= PS1='$ '; alias prefect=false"


@dataclass(frozen=True)
class Shell:
    """A home with a bashrc, and a project whose path has blanks and quotes."""

    home: Path
    project: Path

    @property
    def python(self) -> Path:
        return self.project / ".venv" / "bin" / "python"

    def run(self, *lines: str) -> "subprocess.CompletedProcess[str]":
        """What the lines print, typed into the shell."""
        file = self.home / "rc"
        file.write_text(settings(SERVER, self.python, self.project))
        return subprocess.run(
            ["bash", "--rcfile", file, "-i"],
            input="".join(f"{line}\n" for line in lines),
            env=os.environ | {"HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def opened(tmp_path: Path) -> Shell:
    found = Shell(tmp_path, tmp_path / "a project's $checkout")
    found.python.parent.mkdir(parents=True)
    found.python.write_text(PRINTING)
    found.python.chmod(0o755)
    (tmp_path / ".bashrc").write_text(OWN_SETTINGS)
    return found


def test_prefect_and_python_are_the_projects(opened: Shell) -> None:
    ended = opened.run("command -v python", "cd /; prefect deployment run 'a/b' -p \"reason=of the till\"")
    called = ["-m", "deployments.prefect_command", "deployment", "run", "a/b", "-p", "reason=of the till"]
    assert ended.stdout.splitlines() == [str(opened.python), f"{called} {opened.project}"]


def test_the_server_and_the_hosts_without_a_proxy_are_those_of_the_project(opened: Shell) -> None:
    ended = opened.run('echo "$PREFECT_API_URL $NO_PROXY"')
    assert ended.stdout.splitlines() == [f"{SERVER['PREFECT_API_URL']} {SERVER['NO_PROXY']}"]


def test_the_prompt_names_the_server_and_no_password(opened: Shell) -> None:
    ended = opened.run()
    assert "(retail-sales on prefect.example.com:8443) $ " in ended.stderr
    assert "secret" not in ended.stderr


def test_the_end_of_the_last_command_is_not_that_of_make(opened: Shell) -> None:
    assert opened.run("false").returncode == 0
