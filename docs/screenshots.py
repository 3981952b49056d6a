"""`make screenshots`: the pictures of the README, taken of the pages that the local stack has written.

For pictures with a past, load some weeks before: `make run`, then in `make shell`
`python -m flows.backfill 2017-10-01 2017-12-22 --max-dates 100`.
"""

import sys
from pathlib import Path

from blocks.project import reports_directory
from local.page import newest_page
from tasks.pages.paths import HISTORY
from tests.integration.pages.browser import Scheme, chromium, opened

DIRECTORY = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1200, 760
"""In pixels: what one sees first."""


def main() -> int:
    """Writes the pictures, or says what is missing."""
    directory, run = reports_directory(), newest_page()
    if directory is None or run is None:
        print("no run has written a page: run `make run`", file=sys.stderr)
        return 1
    pictures: dict[str, tuple[Path, Scheme]] = {
        "run.png": (run, "light"),
        "run-dark.png": (run, "dark"),
        "history.png": (directory / HISTORY, "light"),
        "history-dark.png": (directory / HISTORY, "dark"),
    }
    DIRECTORY.mkdir(exist_ok=True)
    with chromium() as browser:
        for name, (file, scheme) in pictures.items():
            with opened(browser, file, WIDTH, scheme) as found:
                found.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                found.page.screenshot(path=DIRECTORY / name)
            print(f"{(DIRECTORY / name).relative_to(Path.cwd())}: {(DIRECTORY / name).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
