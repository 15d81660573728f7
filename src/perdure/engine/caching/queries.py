"""An embedder as it is for questions, where it embeds these in another way than texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from perdure.engine.caching.wrapping import Wrapping
from perdure.ports import Embedder, QueryEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AskingEmbedder(Embedder, QueryEmbedder, Protocol):
    """Both powers in one."""


class Queries(Wrapping[AskingEmbedder]):
    """An embedder of questions; caches tell its vectors from those of texts by the name of its model."""

    @property
    def model(self) -> str:
        """Of the embedder inside, marked."""
        return f"{self._embedder.model} for queries"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given; raises what the embedder raises."""
        return await self._embedder.embed_queries(texts)
