"""This checkout of the project: its directory and its version."""

import subprocess
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def version() -> str:
    """The version that `prefect deploy` records: by git, or by the image's build."""
    script = subprocess.run(["/bin/sh", "deployments/version.sh"], cwd=HOME, capture_output=True, text=True, check=True)
    return script.stdout.strip()
