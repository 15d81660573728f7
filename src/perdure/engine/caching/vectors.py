"""Vectors of texts that were embedded before, in this process or in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from perdure.engine.caching.keys import NAME_BYTES, digest
from perdure.engine.caching.layers import Layered
from perdure.engine.caching.tally import Tally
from perdure.engine.caching.wrapping import Wrapping
from perdure.ports import Embedder
from perdure.ports.caches import Key

if TYPE_CHECKING:
    from numpy.typing import NDArray

BULK = 64
"""A list of so many texts is a load that will hardly be asked for again: it is neither looked up nor kept."""
GROUPS = 64
"""The vectors of one tenant are dealt to so many groups, so that dropping all of them is bounded work."""
TTL = 7 * 86_400.0
"""Vectors never change; this is for what is asked for no more."""


@dataclass(frozen=True, slots=True)
class VectorForm:
    """A vector as float32, exactly as the embedder made it."""

    dimensions: int

    def pack(self, value: NDArray[np.float32]) -> bytes:
        """Little endian."""
        return value.astype("<f4").tobytes()

    def unpack(self, data: bytes) -> NDArray[np.float32] | None:
        """None for another number of dimensions."""
        return np.frombuffer(data, "<f4").astype(np.float32) if len(data) == 4 * self.dimensions else None

    def size(self, value: NDArray[np.float32]) -> int:
        """Its numbers, and the array around them."""
        return value.nbytes + 120

    def ttl(self, value: object) -> float:  # noqa: ARG002  # all have the same
        """Long."""
        return TTL

    def edition(self, value: object) -> str:  # noqa: ARG002  # likewise
        """Vectors of a model have no editions."""
        return ""


def groups_of(tenant: str) -> list[str]:
    """Where the vectors of a tenant are."""
    return [f"vectors/{digest(tenant)}/{number}" for number in range(GROUPS)]


class CachedEmbedder(Wrapping[Embedder]):
    """An embedder that is asked for each text once, by this model, as long as it is remembered."""

    def __init__(
        self, embedder: Embedder, cache: Layered[NDArray[np.float32]], *, tenant: str, tally: Tally
    ) -> None:
        super().__init__(embedder)
        self._cache = cache
        self._tally = tally
        self._groups = groups_of(tenant)
        self._model = blake2b(embedder.model.encode(), digest_size=NAME_BYTES)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given; raises what the embedder raises."""
        if not texts or len(texts) > BULK:
            return await self._embedder.embed(texts)
        began = perf_counter()
        keys = [self._key(text) for text in texts]
        found = await self._cache.get(keys)
        missing = {texts[place]: place for place, one in enumerate(found) if one.value is None}
        for one in found:
            if one.layer is not None:
                self._tally.hit(one.layer, (perf_counter() - began) / len(texts))
        if not missing:
            return np.stack([one.value for one in found if one.value is not None])
        vectors = await self._embedder.embed(list(missing))
        await self._cache.put(
            [keys[place] for place in missing.values()],
            [vector.copy() for vector in vectors],  # not a part of a matrix, which would stay with it
            [found[place] for place in missing.values()],
        )
        self._tally.missed(perf_counter() - began, times=len(missing))
        if len(missing) == len(texts):
            return vectors
        made = dict(zip(missing, vectors, strict=True))
        return np.stack(
            [made[text] if one.value is None else one.value for text, one in zip(texts, found, strict=True)]
        )

    def _key(self, text: str) -> Key:
        hashed = self._model.copy()
        hashed.update(b"\0" + text.encode("utf-8", "surrogatepass"))
        name = hashed.hexdigest()
        return Key(self._groups[int(name[:8], 16) % GROUPS], name)
