"""The database has to be named by the environment, as the server's is; a wrong one is an error of one line."""

from pathlib import Path

import pytest

from deployments.clean_prefect_database import SETTING, main


@pytest.mark.parametrize(
    ("url", "error"),
    [
        pytest.param("", f"{SETTING} is not set", id="none"),
        pytest.param("prefect.db", f"{SETTING} is no database URL", id="a-file"),
        pytest.param("postgresql://prefect@db/prefect", "begins with postgresql://", id="another-driver"),
        pytest.param("mysql+aiomysql://prefect:hunter2@db/prefect", "begins with mysql", id="another-engine"),
        pytest.param(
            "sqlite+aiosqlite:////nowhere/prefect.db", "/nowhere/prefect.db, which is not there", id="no-file"
        ),
        pytest.param("sqlite+aiosqlite:///:memory:", ":memory:, which is not there", id="in-memory"),
    ],
)
def test_what_is_no_database_of_a_server_is_one_line(url: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {SETTING: url} if url else {}) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert (printed.out, error in line, "hunter2" in line) == ("", True, False)


def test_no_file_is_made(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    assert main([], {SETTING: url}) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_slip_of_the_pen_removes_nothing() -> None:
    for wrong in ("--dryrun", "--dry", "dry-run"):
        with pytest.raises(SystemExit) as refused:
            main([wrong], {})
        assert refused.value.code == 2
