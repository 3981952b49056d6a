"""Long work has a bar on a terminal and lines elsewhere; log lines stay whole."""

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local.environment import CHECKOUT
from tasks.progress import work as module
from tasks.progress.bars import Bars, label_of
from tasks.progress.pace import Pace
from tasks.progress.work import progressing

REGIONS = ("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC")
LONG_LINE = "x" * 150

BY_PREFECT = """
from prefect.logging import get_logger
say = get_logger("etl").info
"""
BY_PRINT = """
import sys
def say(line):
    sys.stderr.write(f"{line}\\n")
"""
PROGRAM = f"""
import threading, time
from tasks.progress import bars
from tasks.progress.work import progressing

bars.SHOWN_AFTER_S, bars.REFRESH_S = 0.0, 0.02
barrier = threading.Barrier({len(REGIONS)})

def read(region):
    with progressing(say, f"extract region={{region}}", "rows", 4000) as work:
        work.reached(1000)
        for number in range(10):
            time.sleep(0.02)
            say(f"line {{number}} of {{region}} {LONG_LINE}")
        work.reached(3000)
        barrier.wait()
        time.sleep(0.5)

threads = [threading.Thread(target=read, args=(region,)) for region in {REGIONS}]
with progressing(say, "backfill", "dates", 3) as work:
    work.add(failed=True)
    [thread.start() for thread in threads]
    time.sleep(0.3)
    print("a line on stdout")
    [thread.join() for thread in threads]
print("the result")
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NO_COLOR"))}
    return inherited | {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "INFO", "TERM": "xterm"} | more


def on_terminal(home: Path, say: str, **more: str) -> str:
    """Everything that PROGRAM writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "100", "LINES": "50"}
    process = subprocess.Popen(
        [sys.executable, "-c", say + PROGRAM],
        cwd=CHECKOUT,
        env=environment(home, **size, **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            read = os.read(ours, 65_536)
        except OSError:  # Linux: the other side is closed
            break
        written += read
    os.close(ours)
    assert process.wait(60) == 0, written.decode()
    return written.decode()


CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def left_on_screen(written: str) -> list[str]:
    """The lines that a terminal of endless width shows at the end."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(written):
        if control := CONTROL.match(written, at):
            number, kind = control.groups()
            if kind == "A":
                row = max(row - int(number or 1), 0)
            elif kind == "K":
                assert number == "2"
                lines[row] = ""
            else:
                assert kind in "mhl", kind
            at = control.end()
            continue
        sign = written[at]
        at += 1
        if sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + sign + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_shows_a_bar_for_each_work_and_keeps_log_lines_whole(tmp_path: Path) -> None:
    written = on_terminal(tmp_path, BY_PREFECT)
    assert "━" in written
    for shown in ("1 of 3 dates, 1 failed", "3,000 of 4,000 rows", *(f"extract {region}" for region in REGIONS)):
        assert shown in written, shown

    left = left_on_screen(written)
    expected = {f"line {number} of {region} {LONG_LINE}" for region in REGIONS for number in range(10)}
    assert {line.partition(" - ")[2] for line in left if " - " in line} == expected
    assert [line for line in left if " - " not in line] == ["a line on stdout", "the result"]


def test_without_colours_there_is_a_bar_all_the_same(tmp_path: Path) -> None:
    written = on_terminal(tmp_path, BY_PRINT, NO_COLOR="1")
    assert "3,000 of 4,000 rows" in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", written)


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"TTY_INTERACTIVE": "0"}], ids=["dumb", "not-interactive"])
def test_a_terminal_that_cannot_move_its_cursor_has_no_bar(more: dict[str, str], tmp_path: Path) -> None:
    written = on_terminal(tmp_path, BY_PRINT, **more)
    assert "line 9 of EUROPE" in written
    assert "of 4,000 rows" not in written


@pytest.mark.parametrize("more", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "colours-forced"])
def test_without_a_terminal_there_are_lines_and_no_control_characters(more: dict[str, str], tmp_path: Path) -> None:
    program = f"from tasks.progress import work\nwork.LOG_EVERY_S = 0.0\n{BY_PRINT}{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=environment(tmp_path, **more), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "a line on stdout\nthe result\n"), done.stderr
    assert re.search(r"step=extract region=EUROPE rows=3000 of=4000 seconds=\d\.\d seconds_left=\d\n", done.stderr)
    assert "step=backfill dates=1 of=3 failed=1 seconds=" in done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f]|━", done.stderr)


class Clock:
    """A clock that tests set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_lines_are_ten_seconds_apart_and_short_work_has_none(clock: Clock) -> None:
    lines: list[str] = []
    with progressing(lines.append, "extract region=EUROPE", "rows", 1000) as work:
        for clock.now in (0.0, 4.0, 9.9):
            work.reached(int(clock.now * 10))
        assert lines == []
        for clock.now in (10.0, 15.0, 19.9, 21.0):
            work.reached(int(clock.now * 10))
    assert lines == [
        "step=extract region=EUROPE rows=100 of=1000 seconds=10.0 seconds_left=90",
        "step=extract region=EUROPE rows=210 of=1000 seconds=21.0 seconds_left=79",
    ]


def test_work_that_is_usually_long_begins_with_its_estimate(clock: Clock) -> None:
    lines: list[str] = []
    for usual_s in (9.0, 120.0):
        with progressing(lines.append, "backfill", "dates", 10, usual_s):
            pass
    assert lines == ["step=backfill dates=0 of=10 seconds=0.0 seconds_left=120"]


def test_what_the_body_raises_ends_the_work() -> None:
    with pytest.raises(ValueError, match="refused"), progressing(print, "stage", "rows", 1):
        raise ValueError("refused")


def test_bars_that_cannot_be_drawn_fail_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Semaphore(0)

    class Broken:
        step = "extract"

        def pace(self) -> Pace:
            tried.release()
            raise OSError("the terminal is gone")

    monkeypatch.setattr("tasks.progress.bars.REFRESH_S", 0.001)
    bars, work = Bars(), Broken()
    bars.begin(work)
    for _ in range(3):
        assert tried.acquire(timeout=30)
    bars.end(work)
    assert not bars.are_drawn()


def test_a_label_has_no_field_names() -> None:
    assert label_of("extract region=ASIA_PACIFIC") == "extract ASIA_PACIFIC"
    assert label_of("backfill") == "backfill"
