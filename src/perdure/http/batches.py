"""Texts for services that take only so many at once: what is too large for one is sent in halves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Final, TypeVar

from perdure.http.replies import TooLarge

A = TypeVar("A")

SHORTEST: Final = 64
"""A text of so few characters is too large for nobody: something else is wrong."""


class Batching:
    """For a provider that sends texts; how many a service takes is learned where it is less than `batch_size`."""

    batch_size: int

    @property
    def _most(self) -> int:
        """Texts in one call."""
        return min([self.batch_size, *self._fitting])

    async def _halving(self, ask: Callable[[Sequence[str]], Awaitable[A]], texts: Sequence[str]) -> list[A]:
        """Answers, one or several, in the order of the texts; a text that is too large by itself is cut."""
        answers, _ = await self._in_parts(ask, texts)
        return answers

    async def _in_parts(
        self, ask: Callable[[Sequence[str]], Awaitable[A]], texts: Sequence[str]
    ) -> tuple[list[A], bool]:
        """Answers, and whether the texts were taken at once."""
        try:
            return [await ask(texts)], True
        except TooLarge:
            if len(texts) == 1 and len(texts[0]) <= SHORTEST:
                raise
        if len(texts) == 1:
            return await self._halving(ask, [texts[0][: len(texts[0]) // 2]]), False
        half = len(texts) // 2
        first, fits = await self._in_parts(ask, texts[:half])
        second, fits_too = await self._in_parts(ask, texts[half:])
        if fits and fits_too:
            self._fitting.append(len(texts) - half)
        return [*first, *second], False

    @cached_property
    def _fitting(self) -> list[int]:
        return []
