"""What an embedder around another one leaves as it is."""

from __future__ import annotations

from typing import Generic, TypeVar

from perdure.ports import Embedder

E = TypeVar("E", bound=Embedder)


class Wrapping(Generic[E]):
    """An embedder that makes vectors in its own way, with the embedder inside."""

    def __init__(self, embedder: E) -> None:
        self._embedder = embedder

    @property
    def model(self) -> str:
        """Of the embedder inside."""
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        """Of the embedder inside."""
        return self._embedder.dimensions

    async def aclose(self) -> None:
        """Close the embedder inside."""
        await self._embedder.aclose()
