"""A word when something takes long, and none when it does not."""

import threading

from tasks.stopwatch import said_when_slow


def test_a_long_wait_is_said_once() -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    with said_when_slow(say, "waiting", after_s=0):
        assert heard.wait(10)
    assert said == ["waiting"]


def test_a_short_one_is_not_said() -> None:
    said: list[str] = []
    with said_when_slow(said.append, "waiting", after_s=3600):
        pass
    assert said == []
