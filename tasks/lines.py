"""Text of others in lines, tables and pages: a value never breaks the line or the cell that it stands in. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Line breaks of any alphabet, and what moves a terminal's cursor."""

_MARKUP = re.compile(r"[\\`|<]")


def in_one_line(value: object) -> str:
    """The value's text with a blank where lines break; its own blanks stay."""
    return _BREAKS.sub(" ", str(value))


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
