"""What the local stack prints: whole lines, and a sign of life while something goes on."""

import logging
import subprocess
import sys
import threading

from local.environment import CHECKOUT
from local.saying import Speaker, going_on, hearing

THREADS = """
import threading
from local.saying import say_line
def talk(letter):
    for _ in range(200):
        say_line(letter * 60)
threads = [threading.Thread(target=talk, args=[letter]) for letter in "abcd"]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_lines_of_threads_do_not_run_into_each_other() -> None:
    printed = subprocess.run(
        [sys.executable, "-u", "-c", THREADS], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    assert sorted(set(printed.splitlines())) == [letter * 60 for letter in "abcd"]


def test_who_is_silent_for_long_gives_a_sign_of_life() -> None:
    said, came = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        came.set()

    with going_on(say, lambda: "starting A", silent_s_max=0.05):
        assert came.wait(60)
    assert said[0].startswith("still starting A (")


def test_who_talks_gives_none() -> None:
    said: list[str] = []
    with going_on(said.append, lambda: "starting A", silent_s_max=3600) as speaker:
        speaker.say("A is up")
    assert said == ["A is up"]


def test_what_is_logged_counts_as_a_line() -> None:
    class Counting(Speaker):
        lines = 0

        def heard(self) -> None:
            self.lines += 1

    speaker = Counting(print)
    with hearing("a", speaker):
        logging.getLogger("a.b").warning("a line")
    logging.getLogger("a.b").warning("another, when nobody listens")
    assert speaker.lines == 1
