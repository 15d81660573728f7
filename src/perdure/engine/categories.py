"""Categories without a language model: those whose descriptions a text is nearest to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from perdure.engine.embedding import read
from perdure.ports import Entry
from perdure.settings import CATEGORIES
from perdure.types import Memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

BESIDE: Final = 0.05
"""A second category is at most so much further away."""
MOST: Final = 2
LEFTOVER: Final = "misc"
"""Nothing is near "anything else"."""


class Categories:
    """Sorts texts by their vectors; it knows nothing until it was given those of the descriptions."""

    def __init__(self, described: Mapping[str, str] | None, *, near: float | None) -> None:
        """Categories by name, each with what belongs to it (None: the usual ones).

        Args:
            near: what the embedder's cosines mean (`ports.Calibrated`); None: nobody knows, and nothing is sorted.
        """
        described = CATEGORIES if described is None else described
        self._near = 0.0 if near is None else near
        self._names = [name for name in described if name != LEFTOVER and near is not None]
        own = [described[name] or name for name in self._names]
        usual = [text for name, text in CATEGORIES.items() if name != LEFTOVER]
        self._texts = tuple(dict.fromkeys((*own, *usual))) if own else ()
        self._own = [self._texts.index(text) for text in own]
        self._usual = [self._texts.index(text) for text in usual] if own else []
        self._directions: NDArray[np.float32] | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """The texts whose vectors are still needed."""
        return self._texts if self._directions is None else ()

    def learn(self, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Take the vectors of `unknown`, `(1, dimensions)` of each; without any, nothing changes.

        What all descriptions have in common says nothing, so the mean of the usual ones is taken away: it makes
        one bound fit short and long texts, and few categories as well as many.
        """
        if vectors:
            held = np.concatenate(vectors)
            self._directions = held[self._own] - held[self._usual].mean(axis=0)

    def of(self, vectors: NDArray[np.float32]) -> tuple[str, ...]:
        """The categories of a text, the nearest first, two at most; none when nothing is near.

        Args:
            vectors: `(pieces, dimensions)`; a text is about what its pieces are about on average.
        """
        if self._directions is None or not len(vectors):
            return ()
        vector = vectors[0] if len(vectors) == 1 else vectors.mean(axis=0)
        nearness = (self._directions @ vector).tolist()
        best = sorted(range(len(nearness)), key=nearness.__getitem__, reverse=True)[:MOST]
        bound = max(self._near, nearness[best[0]] - BESIDE)
        return tuple(self._names[place] for place in best if nearness[place] >= bound)

    def sorted(self, memories: Sequence[Memory], entries: Sequence[Entry], dimensions: int) -> list[Memory]:
        """The memories, with categories where they had none and their entries have vectors."""
        return [
            memory
            if memory.categories or not entry.vectors
            else replace(memory, categories=self.of(read(entry.vectors, dimensions)))
            for memory, entry in zip(memories, entries, strict=True)
        ]
