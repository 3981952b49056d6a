"""A benchmark that is ended by a signal leaves no stack, and no run that it has started. No stack."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import work
from benchmarks.flow_run import ended_too
from tests.signals import signals_forgotten


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    with signals_forgotten():
        yield


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done with the stack."""
    done: list[str] = []
    monkeypatch.setattr(work, "STATE_DIR", tmp_path / "benchmark")
    for name in ("RETAIL_SALES_LOCAL_DIR", "RETAIL_SALES_SAMPLE_DATA", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setattr(work.stack, "up", lambda: done.append("up"))
    monkeypatch.setattr(work.stack, "clean", lambda: done.append("clean"))
    monkeypatch.setattr(work, "read_stack_env", dict)
    return done


def tell() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_the_stack(done: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), work.fresh_stack("none"):
        tell()
    assert done == ["clean", "up", "clean"]


def test_a_signal_ends_a_stack_that_is_starting(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work.stack, "up", tell)
    with pytest.raises(KeyboardInterrupt), work.fresh_stack("none"):
        done.append("started")
    assert done == ["clean", "clean"]


@pytest.mark.usefixtures("done")
def test_a_signal_ends_the_run_that_is_timed() -> None:
    with (
        subprocess.Popen(["sleep", "1000"], text=True) as process,
        pytest.raises(KeyboardInterrupt),
        work.fresh_stack("none"),
        ended_too(process),
    ):
        tell()
    assert process.returncode == -signal.SIGTERM
