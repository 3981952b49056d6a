"""How a process ends by a signal, and a Prefect server that does not say whether its run was cancelled."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.prefect_server import stopping
from tasks.prefect_server.stopping import (
    STOP,
    EndedBySignal,
    StoppedError,
    finished_first,
    is_cancelled,
    refuse_stopped,
    signals_in_order,
)
from tests.signals import signals_forgotten


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    with signals_forgotten():
        yield


def tell(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "by"), [(signal.SIGTERM, "a signal"), (signal.SIGINT, "Ctrl-C")], ids=lambda value: str(value)
)
def test_a_flow_that_has_changed_nothing_ends_at_once(number: signal.Signals, by: str) -> None:
    with pytest.raises(EndedBySignal, match=f"{by}.*: nothing was changed$"), signals_in_order():
        tell(number)


def test_what_was_committed_is_finished_first() -> None:
    done: list[str] = []

    def publish_and_look() -> None:
        with signals_in_order(), finished_first(42):
            STOP.enter(42)
            tell()
            done.append("the second look")

    with pytest.raises(EndedBySignal, match="what it had changed stays$"):
        publish_and_look()
    assert done == ["the second look"]


def test_a_second_signal_does_not_wait() -> None:
    def publish_and_look() -> None:
        with signals_in_order(), finished_first(42):
            STOP.enter(42)
            tell()
            tell()

    with pytest.raises(EndedBySignal, match="whether its batch was published stands in the ledger$"):
        publish_and_look()


def test_what_an_earlier_date_has_changed_stays() -> None:
    def load_two_dates() -> None:
        with signals_in_order():
            with finished_first(42):
                STOP.enter(42)
            with finished_first(43):
                tell()

    with pytest.raises(EndedBySignal, match="what was changed before stays, nothing more was changed$"):
        load_two_dates()


def test_after_a_signal_nothing_is_committed_in_another_thread_either() -> None:
    refused: list[StoppedError] = []

    def commit() -> None:
        try:
            refuse_stopped(str(uuid4()), 42, print)
        except StoppedError as error:
            refused.append(error)

    with temporary_settings({PREFECT_API_URL: ""}):
        with pytest.raises(EndedBySignal), signals_in_order():
            tell()
        thread = threading.Thread(target=commit)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with signals_in_order():
        STOP.enter(42)  # another flow in this process


def test_an_error_is_not_hidden_by_the_signal_that_has_waited() -> None:
    def publish_and_look() -> None:
        with signals_in_order(), finished_first(42):
            STOP.enter(42)
            tell()
            raise ValueError("the second look found a difference")

    with pytest.raises(ValueError, match="the second look"):
        publish_and_look()


def test_a_server_that_never_answers_stops_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "ANSWER_S_MAX", 0.2)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            assert not is_cancelled(str(uuid4()), said.append)
    assert said == [
        "step=commit the Prefect server did not say whether the run was cancelled, it goes on: no answer within 0.2 s"
    ]
