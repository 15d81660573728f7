"""A reranker's scores, which for the same question and text are the same."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from time import perf_counter

from perdure.engine.caching.keys import digest, identity
from perdure.engine.caching.layers import Layered
from perdure.engine.caching.tally import Tally
from perdure.engine.judging import believed
from perdure.ports import Reranker
from perdure.ports.caches import Key

GROUPS = 64
TTL = 3_600.0
_SCORE = Struct("<d")


class ScoreForm:
    """A score as a float64."""

    def pack(self, value: float) -> bytes:
        """Little endian."""
        return _SCORE.pack(value)

    def unpack(self, data: bytes) -> float | None:
        """None for what is no number from 0 to 1."""
        if len(data) != _SCORE.size:
            return None
        [score] = _SCORE.unpack(data)
        return float(score) if 0 <= score <= 1 else None

    def size(self, value: float) -> int:  # noqa: ARG002  # all have the same
        """Of a number."""
        return 24

    def ttl(self, value: float) -> float:  # noqa: ARG002  # likewise
        """An hour, as for what is static."""
        return TTL

    def edition(self, value: float) -> str:  # noqa: ARG002  # likewise
        """A reranker's options are in the key."""
        return ""


def groups_of(tenant: str) -> list[str]:
    """Where the scores of a tenant are."""
    return [f"scores/{digest(tenant)}/{number}" for number in range(GROUPS)]


class CachedReranker:
    """A reranker that judges only the texts that it has not judged yet for this question."""

    def __init__(self, reranker: Reranker, cache: Layered[float], *, tenant: str, tally: Tally) -> None:
        self._reranker = reranker
        self._cache = cache
        self._tally = tally
        self._groups = groups_of(tenant)
        self._identity = identity(reranker)

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance in 0..1 for each text; raises what the reranker raises, and `Unavailable`."""
        began = perf_counter()
        keys = [self._key(query, text) for text in texts]
        found = await self._cache.get(keys)
        missing = {texts[place]: place for place, one in enumerate(found) if one.value is None}
        for one in found:
            if one.layer is not None:
                self._tally.hit(one.layer, (perf_counter() - began) / len(texts))
        made: dict[str, float] = {}
        if missing:
            scores = await self._reranker.rerank(query, list(missing))
            made = dict(zip(missing, believed(scores, len(missing)), strict=True))
            places = list(missing.values())
            await self._cache.put([keys[p] for p in places], list(made.values()), [found[p] for p in places])
            self._tally.missed(perf_counter() - began, times=len(missing))
        return [
            made[text] if one.value is None else one.value for text, one in zip(texts, found, strict=True)
        ]

    async def aclose(self) -> None:
        """Close the reranker inside."""
        await self._reranker.aclose()

    def _key(self, query: str, text: str) -> Key:
        name = digest(self._identity, query, text)
        return Key(self._groups[int(name[:8], 16) % GROUPS], name)
