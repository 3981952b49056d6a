"""Golden files: what is generated is also shown. `UPDATE_GOLDEN=1 pytest tests/unit` writes them anew, for review."""

import os
from pathlib import Path

GOLDEN_DIRECTORY = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, text: str) -> None:
    """`text` is what tests/golden/<name> holds."""
    path, text = GOLDEN_DIRECTORY / name, text.rstrip("\n") + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing: write it with UPDATE_GOLDEN=1"
    assert text == path.read_text(encoding="utf-8"), (
        f"{name} differs: read the diff, then write it with UPDATE_GOLDEN=1"
    )
