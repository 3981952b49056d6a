"""`make page`: opens the newest page that a run on this machine has written."""

import os
import sys
import webbrowser
from pathlib import Path

from blocks.project import NO_PAGES, REPORTS_OF_SHELL, reports_directory
from tasks.pages.paths import HISTORY, RUNS

SHOWS_WINDOWS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables of which one is set where a browser can open a window."""


def main() -> int:
    """Prints where the page and the history are, and opens the page where there is a browser."""
    directory, page = reports_directory(), newest_page()
    if directory is None or page is None:
        where = f"below {directory}: run `make run`" if directory else f"as {REPORTS_OF_SHELL} is {NO_PAGES}"
        print(f"no run has written a page {where}", file=sys.stderr)
        return 1
    print(f"page     {page.as_uri()}")
    print(f"history  {(directory / HISTORY).as_uri()}")
    if sys.platform == "darwin" or any(os.environ.get(name) for name in SHOWS_WINDOWS):
        webbrowser.open(page.as_uri())
    return 0


def newest_page(flow_run_id: str = "*") -> Path | None:
    """The page that was written last, or that of a flow run; None without one."""
    directory = reports_directory()
    pages = (directory / RUNS).glob(f"*/{flow_run_id}.html") if directory else ()
    return max(pages, key=lambda page: page.stat().st_mtime_ns, default=None)


if __name__ == "__main__":
    sys.exit(main())
