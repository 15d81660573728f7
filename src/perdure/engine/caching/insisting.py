"""A cache in which what could not be dropped at once is dropped as soon as it can be reached again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from perdure.ports.caches import Cache, CacheSizes, Held, Item, Key

AGAIN = 1.0
"""Seconds between two tries."""


class Insisting:
    """What is owed is not given out: until it is dropped, it is not there."""

    def __init__(self, cache: Cache[bytes]) -> None:
        self._cache = cache
        self._owed: set[str] = set()
        self._all = False
        self._trying: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[Key]) -> list[Held[bytes]]:
        """What there is for each key."""
        held = await self._cache.get(keys)
        if not self._owed and not self._all:
            return held
        gone: Held[bytes] = Held(None, None)
        return [
            gone if self._all or key.group in self._owed else one for key, one in zip(keys, held, strict=True)
        ]

    async def put(self, items: Sequence[Item[bytes]]) -> None:
        """Put values in."""
        await self._cache.put(items)

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Remove these groups, or all; False: it is tried again, as long as this process lives."""
        self._all = self._all or groups is None
        self._owed.update(groups or ())
        if await self._dropped():
            return True
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try_again())
        return False

    def sizes(self) -> CacheSizes:
        """Of the cache inside."""
        return self._cache.sizes()

    async def aclose(self) -> None:
        """Try a last time, and close the cache inside; what is left there goes when its time is over."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
            await self._dropped()
        await self._cache.aclose()

    async def _try_again(self) -> None:
        while not await self._dropped():  # noqa: ASYNC110  # nothing tells when it can be reached
            await asyncio.sleep(AGAIN)

    async def _dropped(self) -> bool:
        """Whether nothing is owed any more."""
        if self._all:
            self._all = not await self._cache.drop(None)
        owed = sorted(self._owed)
        if owed and await self._cache.drop(owed):
            self._owed.difference_update(owed)
        return not self._owed and not self._all
