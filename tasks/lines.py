"""Foreign text in lines, tables and pages: a value never breaks the line or the cell that holds it. Pure."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Line breaks of any script, and characters that move a terminal's cursor."""

DRIVER_SAYS = "The driver says:"
"""Stands between our sentence and the text of psycopg2, botocore or Snowflake's connector, which comes last."""
DRIVER_WORDS_LENGTH_MAX = 500
CUT = " ... "

_MARKUP = re.compile(r"[\\`|<]")


def in_one_line(value: object) -> str:
    """The value's text with a blank for each line break; its own blanks stay."""
    return _BREAKS.sub(" ", str(value))


def quoting(ours: str, theirs: object) -> str:
    """Our sentence, then a driver's own message in one line, marked as such."""
    return f"{ours}. {DRIVER_SAYS} {shortened(' '.join(in_one_line(theirs).split()), DRIVER_WORDS_LENGTH_MAX)}"


def adding(text: str, more: str) -> str:
    """`text; more`, with `more` before a driver's message at the end of `text`."""
    ours, says, theirs = text.partition(f". {DRIVER_SAYS}")
    return f"{ours}; {more}{says}{theirs}"


def shortened(text: str, length_max: int) -> str:
    """The text in at most `length_max` characters: a driver's message loses its end, any other text its middle, as an
    error begins with what happened and ends with what to do."""
    if len(text) <= length_max:
        return text
    ours, says, theirs = text.partition(DRIVER_SAYS)
    if says and DRIVER_SAYS not in theirs:
        room = length_max - len(ours + says) - len(CUT)
        if room <= 0:
            return shortened(ours.rstrip(), length_max)
        return f"{ours}{says}{theirs[:room].rstrip()}{CUT.rstrip()}"
    room = length_max - len(CUT)
    head = room - room // 2
    return text[:head].rstrip() + CUT + text[len(text) - room // 2 :].lstrip()


def in_markdown(value: object) -> str:
    """The value's text, escaped for a cell, an item or a paragraph of Markdown: nothing in it begins code, HTML or a
    cell."""
    return _MARKUP.sub(r"\\\g<0>", in_one_line(value))


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, with columns of numbers aligned right; `None.` without rows."""
    if not rows:
        return "None."
    rules = ["---:" if _is_of_numbers([row[name] for row in rows]) else "---" for name in rows[0]]
    head, *cells = [[_cell(value) for value in line] for line in (rows[0], *(row.values() for row in rows))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rules, *cells))


def _is_of_numbers(values: Sequence[Any]) -> bool:
    """Whether all values are numbers, and at least one is; an empty text stands for none."""
    given = [value for value in values if value != ""]
    return bool(given) and all(_is_number(value) for value in given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _cell(value: object) -> str:
    return f"{value:,}" if _is_number(value) else in_markdown(value)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2,000 rows`; `many` is the plural that takes more than an `s`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
