"""Blocks are read once per flow run, as the Prefect server may be far away."""

from functools import lru_cache
from typing import Any, TypeVar, cast

from prefect.blocks.core import Block
from prefect.runtime import flow_run

BLOCKS_MAX = 32
"""More than a flow run has."""

Kind = TypeVar("Kind", bound=Block)


def load_once(kind: type[Kind], name: str) -> Kind:
    """Returns a block as this flow run first read it; outside of a run, reads it now. Raises ValueError without one."""
    run_id, of_kind = flow_run.id, cast(Any, kind)
    loaded: Kind = _load_once(run_id, of_kind, name) if run_id else kind.load(name)
    return loaded


@lru_cache(maxsize=BLOCKS_MAX)
def _load_once(run_id: str, kind: Any, name: str) -> Any:  # noqa: ARG001 (a part of the cache's key)
    return kind.load(name)
