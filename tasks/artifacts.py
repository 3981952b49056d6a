"""Tables and pages in the dashboard: the one place that writes Prefect's artifacts."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from tasks.lines import in_one_line, plain_rows


def write_table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Writes a table artifact; whatever a value holds, it keeps its cell."""
    create_table_artifact(plain_rows(rows), key=key, description=in_one_line(description))


def write_page(markdown: str, key: str, description: str) -> None:
    """Writes a Markdown artifact."""
    create_markdown_artifact(markdown, key=key, description=in_one_line(description))
