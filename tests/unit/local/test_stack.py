"""The supervisor's processes and files, with a program that does nothing in place of the parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import stack
from local.stack import Part, Plan, Running

HOUR_S = 3600


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Part]:
    """A part that runs."""
    monkeypatch.setenv("RETAIL_SALES_LOCAL_DIR", str(tmp_path))
    part = Part("X", "a program", lambda _: ["sleep", "1000"], lambda _: True, lambda _: {})
    for directory in (part.log.parent, part.run_file.parent):
        directory.mkdir()
    process = psutil.Process(stack._spawn(part, Plan({"X": 1}, {})).pid)
    yield part
    if process.is_running():
        process.kill()
        process.wait()


def set_clock(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """As it shows in the start times of processes."""
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: before(process) + step_s)


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_a_part_is_found_and_stopped_whatever_the_clock_says(
    part: Part, step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = stack._find(part)
    set_clock(monkeypatch, step_s)
    assert started is not None
    assert stack._find(part) == started
    said: list[str] = []
    stack._stop([part], said.append)
    assert [line.split() for line in said] == [["a", "program", "stopped"]]
    assert (started.is_alive(), part.run_file.exists()) == (False, False)


def change_record(part: Part, **values: object) -> Running | None:
    """The process that is found after its record is changed."""
    recorded = json.loads(part.run_file.read_text())
    part.run_file.write_text(json.dumps(recorded | values))
    return stack._find(part)


def test_another_process_with_the_same_id_is_not_the_part(part: Part) -> None:
    boot, _, ticks = json.loads(part.run_file.read_text())["started_after_boot"].partition(" ")
    assert change_record(part, started_after_boot=f"{boot} {int(ticks) - 1}") is None
    assert change_record(part, started_after_boot=f"another boot {ticks}") is None
    assert change_record(part, started_after_boot=f"{boot} {ticks}") is not None


def test_a_part_that_an_earlier_version_started_is_known_by_the_clock(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = json.loads(part.run_file.read_text())
    part.run_file.write_text(json.dumps({name: recorded[name] for name in ("pid", "started", "ports")}))
    assert stack._find(part) is not None
    set_clock(monkeypatch, HOUR_S)
    assert stack._find(part) is None
