"""The message of clean-staging has the figures, and what could not be removed."""

import pytest

from flows.clean_staging import final_state, read_arguments
from tasks.retention.staged import Removal

FILES, TABLES = Removal("staged files", 14, 3, 900), Removal("staging tables", 14, 0)


@pytest.mark.parametrize(
    ("removals", "problems", "dry_run", "name", "message"),
    [
        pytest.param([FILES, TABLES], [], False, "Completed", "removed 3 staged files", id="removed"),
        pytest.param([FILES, TABLES], [], True, "Completed", "would remove 3 staged files", id="dry-run"),
        pytest.param([TABLES], [], False, "Completed", "removed nothing", id="nothing"),
        pytest.param(
            [FILES],
            ["warehouse away"],
            False,
            "Failed",
            "could not remove everything: warehouse away (removed 3 staged files)",
            id="in-part",
        ),
    ],
)
def test_the_message_has_the_figures(
    removals: list[Removal], problems: list[str], dry_run: bool, name: str, message: str
) -> None:
    state = final_state(removals, problems, dry_run)
    assert (state.name, state.message) == (name, message)


def test_a_slip_of_the_pen_removes_nothing() -> None:
    assert read_arguments(["--dry-run"]).dry_run
    assert not read_arguments([]).dry_run
    for wrong in ("--dryrun", "--dry", "dry-run"):
        with pytest.raises(SystemExit) as refused:
            read_arguments([wrong])
        assert refused.value.code == 2
