"""Text of others in lines, tables and pages: a value never breaks the line or the cell that it stands in. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Line breaks of any alphabet, and what moves a terminal's cursor."""

DRIVER_SAYS = "The driver says:"
"""Stands between our sentence and the text of psycopg2, botocore or Snowflake's connector, which comes last."""
DRIVER_WORDS_LENGTH_MAX = 500
CUT = " ... "

_MARKUP = re.compile(r"[\\`|<]")


def in_one_line(value: object) -> str:
    """The value's text with a blank where lines break; its own blanks stay."""
    return _BREAKS.sub(" ", str(value))


def quoting(ours: str, theirs: object) -> str:
    """A sentence of ours, then a driver's own words in one line, marked as such."""
    return f"{ours}. {DRIVER_SAYS} {shortened(' '.join(in_one_line(theirs).split()), DRIVER_WORDS_LENGTH_MAX)}"


def adding(text: str, more: str) -> str:
    """`text; more`; where the text ends with a driver's own words, before these."""
    ours, says, theirs = text.partition(f". {DRIVER_SAYS}")
    return f"{ours}; {more}{says}{theirs}"


def shortened(text: str, length_max: int) -> str:
    """At most so many characters, without the rest of a driver's words, else without the middle: an error begins with
    what happened and ends with what to do."""
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
    """The value's text as it reads in a cell, an item or a paragraph of Markdown: nothing in it begins code, HTML or a
    cell."""
    return _MARKUP.sub(r"\\\g<0>", in_one_line(value))


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; a sentence when there are none."""
    if not rows:
        return "None."
    head, *cells = [[in_markdown(value) for value in line] for line in (rows[0], *(row.values() for row in rows))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *cells))


def plain_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a table that shows values as they are: every text in one line, numbers as they are."""
    return [
        {in_one_line(name): in_one_line(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    ]
