"""A flow from the command line: its end is one line, whatever its message names."""

from contextlib import nullcontext
from typing import Any

import pytest
from prefect.context import TagsContext
from prefect.states import Completed, Failed, State

from flows.support import command_line
from tasks.retention.periods import TAG


class Ended:
    """Stands for a flow; it ends in a state."""

    name = "daily-sales"

    def __init__(self, state: State) -> None:
        self.state = state

    def __call__(self, **parameters: Any) -> State:
        assert TagsContext.get().current_tags == {TAG}, "retention knows a run of this project by it"
        return self.state


@pytest.mark.parametrize(
    ("state", "code", "line"),
    [
        pytest.param(Completed(message="column a\nb is new"), 0, "Completed: column a b is new\n", id="completed"),
        pytest.param(Failed(message="DETAIL:\r\n  none"), 1, "Failed: DETAIL:   none\n", id="failed"),
        pytest.param(Completed(), 0, "Completed: done\n", id="without-a-message"),
    ],
)
def test_the_end_is_one_line(
    state: State, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "speaking_to_prefect", nullcontext)
    ended: Any = Ended(state)
    assert command_line.run(ended) == code
    printed = capsys.readouterr()
    assert printed.out + printed.err == line
