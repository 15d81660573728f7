"""Texts to vectors, all that one call needs in one batch; and vectors as they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from perdure.engine.words import pieces
from perdure.ports import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vectors: TypeAlias = "Sequence[NDArray[np.float32]] | None"
"""For each text `(pieces, dimensions)`; None where there is no model, or none at hand."""

_KEPT = "<f2"


async def vectors_of(embedder: Embedder, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """For each text `(pieces, dimensions)`; raises what the embedder raises."""
    if not texts:
        return []
    parts = [pieces(text) for text in texts]
    made = await embedder.embed([piece for part in parts for piece in part])
    return np.split(made, list(accumulate(len(part) for part in parts))[:-1])


def declined(data: bytes) -> bool:
    """Whether kept vectors are those of a text that a content filter declined: zeros."""
    return bool(data) and not data.strip(b"\0")


def lacking(error: Exception) -> str:
    """What is pending where vectors could not be made."""
    return f"vectors, tried again later: {error}"


def kept(vectors: NDArray[np.float32]) -> bytes:
    """The vectors of a text's pieces as an entry has them."""
    return vectors.astype(_KEPT).tobytes()


def read(data: bytes, dimensions: int) -> NDArray[np.float32]:
    """The way back: `(pieces, dimensions)`."""
    return np.frombuffer(data, _KEPT).reshape(-1, dimensions).astype(np.float32)


def cosines(held: Sequence[bytes], queries: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Cosines of texts with queries, `(queries, texts)`, each by the text's nearest piece; NaN without vectors.

    Args:
        held: of each text, the vectors of its pieces as they are kept.
    """
    found = np.full((len(queries), len(held)), np.nan, np.float32)
    if not len(queries):
        return found
    matrix = np.stack(list(queries))
    products = matrix @ read(b"".join(held), matrix.shape[1]).T
    pieces_of = np.array([len(one) // (2 * matrix.shape[1]) for one in held], np.int64)
    texts = np.flatnonzero(pieces_of)
    if len(texts):
        starts = (np.cumsum(pieces_of) - pieces_of)[texts]
        found[:, texts] = np.maximum.reduceat(products, starts, axis=1)
    return found
