"""Values of sources in tables, lists and messages: tables keep their shape, messages their line."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from tasks.alerts.compose import shorten
from tasks.anomalies import find_anomalies
from tasks.errors import NeedsPersonError, one_line
from tasks.lines import adding, counted, in_markdown, in_one_line, markdown_table, quoting, shortened
from tasks.report import Findings, markdown_report, summarize
from tasks.source.statements import NewColumn
from tasks.tally import Amount, Tally
from tasks.transform import BrokenRule
from tests.unit import findings as made

LINE_BREAKS = ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\n\n| x |\n", "\n# "]
HOSTILE = [
    *(f"a{line_break}b" for line_break in LINE_BREAKS),
    *("a|b", "a\\|b", "|", "\\", "a`b", "`", "a``|``b", "<!-- a", "</table>", "- b"),
    *("a\tb", "a\x1b[2Kb", "a\x08b", "a\x00b"),
]
every_hostile = pytest.mark.parametrize("value", HOSTILE, ids=ascii)


def cells_of(line: str) -> list[str]:
    """A row's cells as a Markdown reader splits them: a backslash escapes the next character."""
    parts = re.findall(r"((?:\\.|[^\\|])*)\|", line)
    return [re.sub(r"\\(.)", r"\1", part).strip() for part in parts[1:]]


@every_hostile
def test_a_value_keeps_its_cell_in_a_markdown_table(value: str) -> None:
    lines = markdown_table([{"key": value, "rows": 1}, {"key": "next", "rows": 2}]).splitlines()
    assert [cells_of(line) for line in lines] == [
        ["key", "rows"],
        ["---", "---:"],
        [in_one_line(value).strip(), "1"],
        ["next", "2"],
    ]


@every_hostile
def test_a_column_name_keeps_its_cell_too(value: str) -> None:
    head, *others = markdown_table([{value: 1, "rows": 1}]).splitlines()
    assert cells_of(head) == [in_one_line(value).strip(), "rows"]
    assert len(others) == 2


@every_hostile
def test_no_code_and_no_markup_begins_in_a_cell(value: str) -> None:
    assert not re.search(r"(?<!\\)(?:\\\\)*[`<|]", in_markdown(value))


@every_hostile
def test_a_value_is_one_line(value: str) -> None:
    assert len(f"{in_one_line(value)}.".splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", in_one_line(value))
    assert len(f"{shorten(value, 100)}.".splitlines()) == 1
    assert one_line(value) == " ".join(in_one_line(value).split())
    assert len(f"{NeedsPersonError(f'currency {value} is odd')}.".splitlines()) == 1


def with_value(value: str) -> Findings:
    """A run with this value in every place that a value of the source can reach."""
    found = made.quality_failed()
    (extracted,), (region,) = found.plan.answered, found.transformed
    column, money = NewColumn(value, f"numeric({value})"), Tally(1, {(value, "total_amount"): Amount()})
    read = replace(extracted, new_columns=(column,), source=money)
    (anomaly,) = find_anomalies([read], made.publication(), {})
    return replace(
        found,
        plan=replace(found.plan, present=(read,), answered=(read,)),
        transformed=[replace(region, broken=(BrokenRule("quantity_not_positive", 1, (value, value)),))],
        anomalies=[anomaly],
    )


@every_hostile
def test_a_value_keeps_the_shape_of_the_report(value: str) -> None:
    shape = [re.sub(r"[^|#-].*", "", line) for line in markdown_report(summarize(with_value("plain"))).splitlines()]
    page = markdown_report(summarize(with_value(value)))
    assert [re.sub(r"[^|#-].*", "", line) for line in page.splitlines()] == shape


def test_numbers_stand_on_the_right_with_thousands_separators() -> None:
    rows = [
        {"key": "1", "rows": 12_345, "amount": Decimal("1234567.80"), "share": 0.5, "note": "", "ok": True},
        {"key": "2", "rows": 2, "amount": "", "share": 0.25, "note": "", "ok": False},
    ]
    assert markdown_table(rows).splitlines() == [
        "| key | rows | amount | share | note | ok |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        "| 1 | 12,345 | 1,234,567.80 | 0.5 |  | True |",
        "| 2 | 2 |  | 0.25 |  | False |",
    ]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_234, "1,234 rows")], ids=str
)
def test_a_word_agrees_with_its_number(number: int, words: str) -> None:
    assert counted(number, "row") == words
    assert counted(2, "rejected row is", "rejected rows are") == "2 rejected rows are"


def test_blanks_of_a_value_stay() -> None:
    assert in_one_line(" a  b ") == " a  b "


def test_a_drivers_words_come_last_and_are_marked_as_such() -> None:
    message = quoting("bucket b cannot be reached: check the endpoint", ValueError("no route\n to host"))
    assert message == "bucket b cannot be reached: check the endpoint. The driver says: no route to host"
    assert adding(message, "run the date again") == (
        "bucket b cannot be reached: check the endpoint; run the date again. The driver says: no route to host"
    )
    assert adding("no rows", "run the date again") == "no rows; run the date again"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("short", "short", id="short"),
        pytest.param(
            f"what happened {'x' * 90} what to do", f"what happened {'x' * 34} ... {'x' * 36} what to do", id="middle"
        ),
        pytest.param(
            quoting("what happened: what to do", "y" * 200),
            f"what happened: what to do. The driver says: {'y' * 51} ...",
            id="the-drivers-words",
        ),
        pytest.param(
            quoting("what happened " + "x" * 90 + " what to do", "y"),
            f"what happened {'x' * 34} ... {'x' * 35} what to do.",
            id="the-drivers-words-and-the-middle",
        ),
    ],
)
def test_a_long_error_keeps_what_happened_and_what_to_do(text: str, kept: str) -> None:
    assert shortened(text, 100) == shortened(shortened(text, 100), 100) == kept
    assert len(kept) <= 100
