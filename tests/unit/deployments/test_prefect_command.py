"""`make prefect`: a line becomes the words of a command, and a server that does not answer is one line."""

import sys

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import prefect_command, shell
from deployments.prefect_command import main, needs_server, split_line

NOWHERE = "http://127.0.0.1:9/api"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("variable ls", ["variable", "ls"], id="words"),
        pytest.param("prefect variable ls", ["variable", "ls"], id="prefect-itself-is-left-out"),
        pytest.param(
            "deployment run 'a/b' -p 'reason=of the till'",
            ["deployment", "run", "a/b", "-p", "reason=of the till"],
            id="blanks-in-quotes",
        ),
        pytest.param("""-p 'regions=["EUROPE"]'""", ["-p", 'regions=["EUROPE"]'], id="quotes-in-quotes"),
        pytest.param("""-p "regions=[\\"EUROPE\\"]" """, ["-p", 'regions=["EUROPE"]'], id="escaped-quotes"),
        pytest.param("-p 'reason=$HOME `date`'", ["-p", "reason=$HOME `date`"], id="nothing-is-expanded"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_a_line_becomes_the_words_that_a_shell_would_make_of_it(line: str, words: list[str]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize("line", ["", "--help", "version", "config view", "deployment run --help"])
def test_some_commands_need_no_server(line: str) -> None:
    assert not needs_server(line.split())


@pytest.mark.parametrize("line", ["deployment run a/b", "flow-run ls"])
def test_the_others_do(line: str) -> None:
    assert needs_server(line.split())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param(
            NOWHERE,
            f"no Prefect server answers at PREFECT_API_URL={NOWHERE}: start it, or correct the address\n",
            id="no-server-there",
        ),
        pytest.param(
            "",
            "PREFECT_API_URL is not set: give it as http://<host>:4200/api, or run `make up` first\n",
            id="no-address",
        ),
    ],
)
def test_without_a_server_one_line_says_so(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prefect", "--line", "deployment run 'daily-sales/production'"])
    with temporary_settings(updates={PREFECT_API_URL: url}):
        ends = [main(), shell.main()]
    assert ends == [1, 1]
    assert capsys.readouterr() == ("", f"prefect: {says}shell: {says}")


def test_a_quote_that_is_not_closed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prefect", prefect_command.LINE, "deployment run 'daily"])
    assert main() == 1
    said = capsys.readouterr().err
    assert said.startswith("prefect: deployment run 'daily: No closing quotation; write ARGS=")
    assert said.count("\n") == 1
