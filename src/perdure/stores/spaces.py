"""Spaces: what entries were computed with, and which of them fit together."""

from __future__ import annotations

from typing import NamedTuple

from perdure.errors import ModelMismatch
from perdure.ports import Space


class Held(NamedTuple):
    """A space as the store has it."""

    id: int
    space: Space


def fits(held: Space, asked: Space) -> bool:
    """Whether entries of `asked` can stand beside those of `held`."""
    if held.analyzer != asked.analyzer:
        return False
    return asked.model is None or (held.model, held.dimensions) == (asked.model, asked.dimensions)


def mismatch(held: Space, asked: Space) -> ModelMismatch:
    """Says what the entries were made with, what was asked for, and what to do."""
    return ModelMismatch(
        f"the store's entries were made with {_told(held)}, this process computes them with {_told(asked)}: "
        "configure that model as `embedder`, or as `former_embedder` beside the new one, or run `perdure reindex` to "
        "make them again as this process does"
    )


def _told(space: Space) -> str:
    model = f"the model {space.model!r} ({space.dimensions} dimensions)" if space.model else "no model"
    return f"{model} and analyzer {space.analyzer}"
