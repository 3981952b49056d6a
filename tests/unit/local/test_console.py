"""The local stack's output: whole lines, and a sign of life during long work."""

import logging
import subprocess
import sys
import threading

from local.console import Output, log_lines_noted, sign_of_life
from local.environment import CHECKOUT

THREADS = """
import threading
from local.console import print_line
def talk(letter):
    for _ in range(200):
        print_line(letter * 60)
threads = [threading.Thread(target=talk, args=[letter]) for letter in "abcd"]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_lines_of_threads_do_not_run_into_each_other() -> None:
    printed = subprocess.run(
        [sys.executable, "-u", "-c", THREADS], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    assert sorted(set(printed.splitlines())) == [letter * 60 for letter in "abcd"]


def test_a_long_silence_ends_with_a_sign_of_life() -> None:
    lines, came = list[str](), threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        came.set()

    with sign_of_life(say, lambda: "starting A", silent_s_max=0.05):
        assert came.wait(60)
    assert lines[0].startswith("still starting A (")


def test_frequent_lines_need_no_sign_of_life() -> None:
    lines: list[str] = []
    with sign_of_life(lines.append, lambda: "starting A", silent_s_max=3600) as output:
        output.say("A is up")
    assert lines == ["A is up"]


def test_a_log_line_counts_as_a_line() -> None:
    class Counting(Output):
        lines = 0

        def note_line(self) -> None:
            self.lines += 1

    output = Counting(print)
    with log_lines_noted("a", output):
        logging.getLogger("a.b").warning("a line")
    logging.getLogger("a.b").warning("another, after the block")
    assert output.lines == 1
