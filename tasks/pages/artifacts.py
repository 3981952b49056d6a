"""Tables and pages in the dashboard. All artifacts are written here; their keys carry the environment."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_client
from prefect.artifacts import Artifact, MarkdownArtifact, TableArtifact
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from blocks import names
from tasks.lines import in_one_line, markdown_table


def table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> Artifact:
    """A table as a Markdown page, because Prefect's own tables cannot align numbers. No value can break out of its
    cell."""
    return page(markdown_table(rows), key, description)


def data(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> Artifact:
    """A table of texts as Prefect's own table, which programs can read back."""
    texts = [{name: in_one_line(value) for name, value in row.items()} for row in rows]
    return TableArtifact(table=texts, key=names.of(key), description=in_one_line(description))


def page(markdown: str, key: str, description: str) -> Artifact:
    """A page in Markdown."""
    return MarkdownArtifact(markdown=markdown, key=names.of(key), description=in_one_line(description))


def write_artifacts(artifacts: Sequence[Artifact]) -> None:
    """Writes one or more artifacts concurrently through one client."""

    async def write() -> None:
        async with get_client() as client:
            # _sync=False: Prefect would otherwise leave this loop, as it was entered from code that is not async. The
            # first fetches the client's CSRF token, which the others use.
            first, *others = (artifact.create(client, _sync=False) for artifact in artifacts)
            await first
            await asyncio.gather(*others)

    asyncio.run(write())


def write_page_if_changed(markdown: str, key: str, description: str) -> bool:
    """Writes a page unless the newest of its key is the same, as the server keeps every artifact; returns whether it
    did."""

    async def newest() -> object:
        async with get_client() as client:
            wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[names.of(key)]))
            found = await client.read_latest_artifacts(artifact_filter=wanted, limit=1)
            return found[0].data if found else None

    if asyncio.run(newest()) == markdown:
        return False
    write_artifacts([page(markdown, key, description)])
    return True


def write_table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Writes one table."""
    write_artifacts([table(rows, key, description)])
