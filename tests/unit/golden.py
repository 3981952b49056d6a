"""Golden files: generated texts, kept for review. `UPDATE_GOLDEN=1 pytest tests/unit` writes them anew."""

import os
from pathlib import Path

GOLDEN_DIRECTORY = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, text: str) -> None:
    """Asserts that `text` is the content of tests/golden/<name>."""
    path, text = GOLDEN_DIRECTORY / name, text.rstrip("\n") + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing: write it with UPDATE_GOLDEN=1"
    assert text == path.read_text(encoding="utf-8"), (
        f"{name} differs: read the diff, then write it with UPDATE_GOLDEN=1"
    )
