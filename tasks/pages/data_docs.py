"""Great Expectations' Data Docs: what is expected, and how a batch was judged, as pages that open offline. Knows no
Prefect.

Great Expectations renders them. This module makes their results of the gate's counts, so that no failing value is there
to be rendered, and replaces every link to another host by one to a vendored file.
"""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from expectations import suites
from expectations.gx import gx, gx_expectation, gx_renderer, gx_result, gx_view
from expectations.thresholds import Thresholds

DIRECTORY = Path("reports", "data-docs")
SITE = "retail sales"
VENDORED = Path(__file__).with_name("vendored")
LEFT_AFTER_S = 3600
"""Seconds after which nobody writes a new site any more."""
STATIC = "static"
"""The folder of the vendored files in the site."""

NOT_USED = {
    *("vega@5", "vega-lite@5", "vega-embed@6", "popper.min.js", "all.min.css", "bootstrap-prefers-dark.css"),
    *("bootstrap-datepicker.min.css", "bootstrap-datepicker.min.js"),
    *(f"bootstrap-table-filter-control.{end}" for end in ("css", "min.css", "min.js")),
}
"""Files of other hosts that the templates link, and of which these pages use nothing."""
NO_EXCEPTION = {"raised_exception": False, "exception_message": None, "exception_traceback": None}


class Check(Protocol):
    """One check of the gate. `kwargs` are empty for one that is not an expectation of Great Expectations."""

    @property
    def suite(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def passed(self) -> bool: ...
    @property
    def message(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def bad(self) -> int: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...
    @property
    def description(self) -> str | None: ...


@dataclass(frozen=True)
class Judged:
    """The checks of one run of the gate. `run` names its batch and attempt; it ended `at` (aware)."""

    run: str
    at: datetime
    checks: Sequence[Check]
    thresholds: Thresholds


@dataclass(frozen=True)
class Page:
    """A page; `path` is relative to the site's directory."""

    path: Path
    html: str


def build_data_docs(directory: Path, judged: Judged | None = None) -> None:
    """Replaces the site in `directory`: the suites and, if given, how a batch was judged. It begins with `index.html`.

    Raises OSError when it cannot be written, ValueError when a page would load a file from another host.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{directory.name}-"
    _remove_left(directory.parent, prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=directory.parent, ignore_cleanup_errors=True) as above:
        new = Path(above, directory.name)
        shutil.copytree(VENDORED, new / STATIC, ignore=shutil.ignore_patterns("README.md"))
        for page in render_pages(judged):
            (new / page.path).parent.mkdir(exist_ok=True)
            (new / page.path).write_text(page.html, encoding="utf-8")
        shutil.rmtree(directory, ignore_errors=True)
        new.rename(directory)


def _remove_left(parent: Path, prefix: str) -> None:
    """Removes what processes have left that ended while they wrote."""
    for left in parent.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # another process removes it, too
            if time.time() - left.stat().st_mtime > LEFT_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


def render_pages(judged: Judged | None = None) -> Iterator[Page]:
    """A page for each suite and each result, then the index."""
    view, of_suite = gx_view.DefaultJinjaPageView(), gx_renderer.ExpectationSuitePageRenderer()
    of_result = gx_renderer.ValidationResultsPageRenderer()
    links: dict[str, Any] = {"site_name": SITE, "expectations_links": [], "validations_links": []}
    for suite in documented_suites(judged.thresholds if judged else Thresholds()):
        path = path_of_suite(suite.name)
        links["expectations_links"].append({"expectation_suite_name": suite.name, "filepath": str(path)})
        yield to_page(path, view.render(of_suite.render(suite), show_how_to_buttons=False))
    for number, result in enumerate(results_of(judged) if judged else (), start=1):
        path = Path("validations", f"{number:02}-{result.meta['scope']}-{result.suite_name}.html")
        links["validations_links"].append(_link_to(result, path))
        yield to_page(path, view.render(of_result.render(result), show_how_to_buttons=False))
    index = gx_view.DefaultJinjaIndexPageView().render(Index.render(links), show_how_to_buttons=False)
    yield to_page(Path("index.html"), index)


def path_of_suite(name: str) -> Path:
    """Where the page of a suite is."""
    return Path("expectations", f"{name}.html")


# What the pages show


class ExpectStated(gx_expectation.BatchExpectation):
    """Stands for a check of the gate that is not an expectation of Great Expectations; its description is shown."""

    def _validate(self, *_: Any, **__: Any) -> dict[Any, Any]:
        raise NotImplementedError("the quality gate has judged it: Great Expectations only renders the result")


STATED = "expect_stated"
"""The name under which Great Expectations knows ExpectStated."""


class Index(gx_renderer.SiteIndexPageRenderer):
    """The list of results and suites: whole, because it is short, and with times in UTC."""

    @classmethod
    def _get_formatted_datetime(cls, _datetime: datetime) -> str:
        return f"{_datetime:%Y-%m-%d %H:%M:%S} UTC"

    @classmethod
    def _generate_validation_results_link_table(cls, index_links_dict: Mapping[str, Any]) -> Any:
        return _plain(super()._generate_validation_results_link_table(index_links_dict))

    @classmethod
    def _generate_expectation_suites_link_table(cls, index_links_dict: Mapping[str, Any]) -> Any:
        return _plain(super()._generate_expectation_suites_link_table(index_links_dict))


def _plain(table: Any) -> Any:
    for option in ("filterControl", "pagination", "showSearchClearButton"):
        table.table_options.pop(option, None)
    return table


def documented_suites(thresholds: Thresholds) -> list[Any]:
    """The suites, with words in place of what each batch decides, and the gate's other checks."""
    made = (
        suites.input_suite(1, thresholds),
        suites.output_suite("the code of its database's region", datetime.now(UTC)),
        suites.keys_suite(),
        suites.batch_suite(thresholds.min_record_count),
    )
    limit = f"{thresholds.max_rejected_percentage} %"
    others = {
        "rejected-share": f"at most {limit} of the rows read may be rejected, in each region and in the batch.",
        "plan": "a date that is closed in all its regions has no rows to judge.",
    }
    shown = {suite.name: [_shown(e.configuration) for e in suite.expectations] for suite in made}
    shown |= {name: [_stated(text)] for name, text in others.items()}
    return [gx.ExpectationSuite(name, expectations=expectations) for name, expectations in shown.items()]


def _shown(config: Any) -> Any:
    return _expectation(config.type, config.kwargs, config.description)


def _expectation(name: str, kwargs: Mapping[str, Any], description: str | None) -> Any:
    """An expectation of a column under the name that says what the column holds."""
    column = {"column": suites.READ_AS.get(kwargs["column"], kwargs["column"])} if "column" in kwargs else {}
    return gx_expectation.ExpectationConfiguration(name, {**kwargs, **column}, description=description)


def _stated(text: str) -> Any:
    return gx_expectation.ExpectationConfiguration(STATED, {}, description=text)


def results_of(judged: Judged) -> Iterator[Any]:
    """Great Expectations' result of each suite and scope, in the order in which they were judged."""
    together = dict[tuple[str, str], list[Check]]()
    for check in judged.checks:
        together.setdefault((check.suite, check.scope), []).append(check)
    for (suite, scope), checks in together.items():
        passed = sum(check.passed for check in checks)
        yield gx_result.ExpectationSuiteValidationResult(
            success=passed == len(checks),
            results=[_result(check) for check in checks],
            suite_name=suite,
            statistics={
                "evaluated_expectations": len(checks),
                "successful_expectations": passed,
                "unsuccessful_expectations": len(checks) - passed,
                "success_percent": 100 * passed / len(checks),
            },
            meta={
                "run_id": {"run_name": judged.run, "run_time": judged.at.astimezone(UTC).isoformat()},
                "batch_spec": {"data_asset_name": scope},
                "scope": scope,
            },
        )


def _result(check: Check) -> Any:
    """A check's counts; its message where it did not count."""
    expectation = _stated(check.name.replace("_", " "))
    observed: dict[str, Any] = {"observed_value": check.message}
    if check.kwargs and check.rows:
        expectation = _expectation(check.name, check.kwargs, check.description)
        share = 100 * check.bad / check.rows
        counts = {"element_count": check.rows, "unexpected_count": check.bad, "unexpected_percent": share}
        observed = counts if "column" in check.kwargs else {"observed_value": check.rows}
    return gx_result.ExpectationValidationResult(
        success=check.passed, expectation_config=expectation, result=observed, exception_info=NO_EXCEPTION
    )


def _link_to(result: Any, path: Path) -> dict[str, Any]:
    run = result.meta["run_id"]
    return {
        "expectation_suite_name": result.suite_name,
        "expectation_suite_filepath": str(path_of_suite(result.suite_name)),
        "filepath": str(path),
        "run_name": run["run_name"],
        "run_time": datetime.fromisoformat(run["run_time"]),
        "validation_success": result.success,
        "asset_name": result.meta["scope"],
        "batch_identifier": run["run_name"],
        "batch_spec": result.meta["batch_spec"],
    }


# Links

_FILE = re.compile(r'<(script|link)\b[^>]*?\b(?:src|href)="([^"]*)"[^>]*>(?:\s*</script>)?')
_REMOVED = (
    re.compile(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}\s*(?=</style>)", re.DOTALL),
    re.compile(r"<footer>.*?</footer>", re.DOTALL),
    re.compile(r"<button [^>]*clearTableFilters.*?</button>", re.DOTALL),
    re.compile(r'<link rel="shortcut icon"[^>]*>'),
)
"""Dark colours, which a vendored file less goes without; an advertisement; a button without filters; an icon."""
_LOGO = re.compile(r'<img\s+class="NO-CACHE".*?/>', re.DOTALL)
_OUTSIDE_LINK = re.compile(r'<a\b[^>]*href="https?://[^"]*"[^>]*>(.*?)</a>', re.DOTALL)
_INSIDE_LINK = re.compile(r'href="(?:\.\./)*(index\.html|expectations/)')
_LOADED = re.compile(r"""(?:\b(?:src|href)\s*=\s*["']?|url\(\s*["']?|@import\s*["'])(?:https?:)?//[^"')\s]*""")


def to_page(path: Path, html: str) -> Page:
    """A rendered page without anything that another host serves. Raises ValueError for such a link that is left."""
    root = "../" * (len(path.parts) - 1)
    for pattern in _REMOVED:
        html = pattern.sub("", html)
    html = _LOGO.sub("<strong>Data Docs</strong>", html)
    html = _OUTSIDE_LINK.sub(r"\1", html)
    html = _INSIDE_LINK.sub(rf'href="{root}\1', html)
    html = _FILE.sub(lambda found: _vendored(found, root), html)
    html = html.replace("</head>", f'<link rel="stylesheet" href="{root}{STATIC}/data_docs.css"></head>')
    if left := _LOADED.search(html):
        raise ValueError(f"{path} of Data Docs would load {left[0]!r} from another host: vendor it, or leave it out")
    return Page(path, html)


def _vendored(found: re.Match[str], root: str) -> str:
    """The tag with a link to the vendored file; nothing for a file that is not used."""
    kind, url = found.groups()
    name = url.rpartition("/")[2]
    if name in NOT_USED:
        return ""
    if not (VENDORED / name).is_file():
        return found[0]
    link = f"{root}{STATIC}/{name}"
    return f'<script src="{link}"></script>' if kind == "script" else f'<link rel="stylesheet" href="{link}">'


def main(arguments: Sequence[str]) -> int:
    """Writes the site of the suites alone, in the given directory or DIRECTORY, and prints where it begins."""
    directory = Path(arguments[0]) if arguments else DIRECTORY
    directory.parent.mkdir(parents=True, exist_ok=True)
    build_data_docs(directory)
    sys.stdout.write(f"{directory / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
