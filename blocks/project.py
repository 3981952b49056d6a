"""This checkout of the project: where it is, and which version of the project it holds."""

import subprocess
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def version() -> str:
    """What `prefect deploy` calls this version of the project: git's word, or what the image was built as."""
    script = subprocess.run(["/bin/sh", "deployments/version.sh"], cwd=HOME, capture_output=True, text=True, check=True)
    return script.stdout.strip()
