"""The paths of pages and their addresses. Pure.

index.html                     the history
runs/<date>/<flow run>.html    one run
data-docs/index.html           what the quality gate expects, and how it judged the newest batch
"""

from datetime import date

FOLDER = "reports"
"""The folder of the pages in the staging bucket; on a worker's disk, `blocks/project.py` has the directory."""
HISTORY = "index.html"
RUNS = "runs"
DATA_DOCS = "data-docs"
DATA_DOCS_INDEX = f"{DATA_DOCS}/index.html"


def path_of_run(day: date, flow_run_id: str) -> str:
    """The path of a run's page below FOLDER. It is known before the page is there."""
    return f"{RUNS}/{day}/{flow_run_id}.html"


def from_run_page(path: str) -> str:
    """The path as a link on a run's page."""
    return f"../../{path}"


def place_of(path: str, bucket_name: str, base_url: str) -> str:
    """The page's address below the variable `report_base_url`; without one, its place in the bucket."""
    return f"{base_url.rstrip('/')}/{path}" if base_url else f"s3://{bucket_name}/{FOLDER}/{path}"
