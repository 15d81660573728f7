"""Small real things that stand in for large ones: an embedder of hashes, a reranker of words, a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from perdure.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class HashEmbedder:
    """Vectors from the hashes of words: texts that share words are near, and it costs almost nothing."""

    dimensions: int = 384

    @property
    def model(self) -> str:
        """Name and version."""
        return f"hash-{self.dimensions}/1"

    @property
    def at_once(self) -> int:
        """Calls that are computed at the same time: it never waits."""
        return 1

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, each the sum of its words' directions, of unit length."""
        import numpy as np

        made = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split() or [""]:
                made[row] += _direction(word, self.dimensions)
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(kw_only=True)
class ServiceEmbedder:
    """A `HashEmbedder` that is a service, as far as the engine knows: calls are counted, may wait, and may fail."""

    dimensions: int = 384
    model: str = "service/1"
    asked: list[str] = field(default_factory=list)
    """The texts of all calls."""
    down: bool = False
    """Raise `Unavailable`."""
    gate: asyncio.Event | None = None
    """Calls wait until it is set."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `HashEmbedder` does."""
        self.asked += texts
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise Unavailable("the embedder was told to fail")
        return await HashEmbedder(dimensions=self.dimensions).embed(texts)

    async def aclose(self) -> None:
        """Nothing is held."""


@lru_cache(maxsize=65_536)
def _direction(word: str, dimensions: int) -> NDArray[np.float32]:
    import numpy as np

    seed = int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(dimensions, np.float32)


@dataclass(frozen=True, kw_only=True)
class WordReranker:
    """Judges by the share of the question's words that a text holds."""

    failing: bool = False
    """Raise `Unavailable`, as a server does that is down."""

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance in 0..1 for each text."""
        if self.failing:
            raise Unavailable("the reranker was told to fail")
        wanted = set(query.lower().split())
        return [len(wanted & set(text.lower().split())) / len(wanted) for text in texts]

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(kw_only=True)
class Clock:
    """A clock that goes on only when it is told to."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 5, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        """The moment that it shows."""
        return self.now

    def advance(self, **by: float) -> datetime:
        """Go on by so many `days`, `hours`, `seconds`, as `timedelta` has them."""
        self.now += timedelta(**by)
        return self.now
