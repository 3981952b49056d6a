"""This checkout of the project: its directory, its version, and where its pages are written."""

import os
import subprocess
from pathlib import Path

from blocks import names

HOME = Path(__file__).resolve().parent.parent

REPORTS_OF_SHELL = "RETAIL_SALES_REPORTS"
NO_PAGES = "off"


def reports_directory() -> Path | None:
    """The directory of the pages on this machine: RETAIL_SALES_REPORTS, or `reports` in the checkout; of another
    environment than production `reports-staging` beside it. None where RETAIL_SALES_REPORTS is off: no page is written.
    """
    named = os.environ.get(REPORTS_OF_SHELL, "").strip()
    if named.lower() == NO_PAGES:
        return None
    directory = Path(named or HOME / "reports").absolute()
    return directory.parent / names.of(directory.name or "reports")


def version() -> str:
    """The version that `prefect deploy` records: by git, or by the image's build."""
    script = subprocess.run(["/bin/sh", "deployments/version.sh"], cwd=HOME, capture_output=True, text=True, check=True)
    return script.stdout.strip()
