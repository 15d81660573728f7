"""An embedder that goes on where a content filter declines some words: the other texts have their vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.engine.caching.wrapping import Wrapping
from perdure.errors import ContentRefused
from perdure.ports import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger("perdure")


class SparingEmbedder(Wrapping[Embedder]):
    """A declined text gets a vector of zeros, which is near nothing, and is not tried again: its words find it.

    Which one it is is found out by halves.
    """

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length or of zeros; raises what else the embedder raises."""
        import numpy as np

        try:
            return await self._embedder.embed(texts)
        except ContentRefused as refused:
            if len(texts) == 1:
                log.warning("no vector for a text, which is found by its words alone: %s", refused)
                return np.zeros((1, self.dimensions), np.float32)
        half = len(texts) // 2
        return np.concatenate([await self.embed(texts[:half]), await self.embed(texts[half:])])
