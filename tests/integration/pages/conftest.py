"""A reports directory of its own for a test, in which pages are written."""

from pathlib import Path

import pytest

from blocks.project import REPORTS_OF_SHELL
from tests.integration.conftest import World


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> Path:
    """An empty directory for pages, on this machine."""
    assert world.environment[REPORTS_OF_SHELL] == "off"
    directory = tmp_path / "reports"
    monkeypatch.setenv(REPORTS_OF_SHELL, str(directory))
    return directory
