"""This checkout of the project: its directory, its version, and where its pages are written."""

import os
import subprocess
from pathlib import Path

from blocks import names

HOME = Path(__file__).resolve().parent.parent

REPORTS_OF_SHELL = "RETAIL_SALES_REPORTS"


def reports_directory() -> Path:
    """The directory of the pages on this machine: RETAIL_SALES_REPORTS, or `reports` in the checkout; of another
    environment than production `reports-staging` beside it."""
    directory = Path(os.environ.get(REPORTS_OF_SHELL) or HOME / "reports").absolute()
    return directory.with_name(names.of(directory.name))


def version() -> str:
    """The version that `prefect deploy` records: by git, or by the image's build."""
    script = subprocess.run(["/bin/sh", "deployments/version.sh"], cwd=HOME, capture_output=True, text=True, check=True)
    return script.stdout.strip()
