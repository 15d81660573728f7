"""Writing into a cache behind those who made the values: nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from perdure.errors import PerdureError
from perdure.ports.caches import Cache, Item

V = TypeVar("V")

MOST = 2_000
"""So many values wait to be written; then the oldest are not cached at all."""
AT_ONCE = 200
CLOSING = 2.0
"""Seconds for what is left when the cache is closed."""


class Behind(Generic[V]):
    """Takes values at once, and writes those that came together in one go."""

    def __init__(self, cache: Cache[bytes], pack: Callable[[V], bytes], *, pause: float = 0.0) -> None:
        """`pause`: seconds to wait for more, where each writing is dear."""
        self._cache = cache
        self._pack = pack
        self._pause = pause
        self._queue: deque[Item[V]] = deque(maxlen=MOST)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, items: Collection[Item[V]]) -> None:
        """Write these soon; nothing any more after `aclose`."""
        if self._closed:
            return
        self._queue.extend(items)
        if self._queue and not self._is_writing():
            self._task = asyncio.create_task(self._write())

    def forget(self, groups: Collection[str]) -> None:
        """Do not write what belongs to these groups."""
        kept = [item for item in self._queue if item.key.group not in groups]
        self._queue.clear()
        self._queue.extend(kept)

    async def settle(self) -> None:
        """Wait until all that was put is written."""
        while self._task is not None and self._is_writing():
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """Write what is left, if that is quick; the cache itself stays open."""
        self._pause, self._closed = 0.0, True
        if self._task is not None and self._is_writing():
            await asyncio.wait([self._task], timeout=CLOSING)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_writing(self) -> bool:
        task = self._task
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    async def _write(self) -> None:
        while self._queue:
            await asyncio.sleep(self._pause)
            some = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
            with suppress(PerdureError):  # of the store, which those who need it will be told
                await self._cache.put([packed async for packed in self._each_packed(some)])

    async def _each_packed(self, items: Sequence[Item[V]]) -> AsyncIterator[Item[bytes]]:
        """What can be written; an answer takes a tenth of a millisecond, and others want the event loop, too."""
        for item in items:
            if (packed := self._packed(item)) is not None:
                yield packed
            await asyncio.sleep(0)

    def _packed(self, item: Item[V]) -> Item[bytes] | None:
        """None for a value that cannot be written, as one that nests too deeply."""
        try:
            data = self._pack(item.value)
        except (ValueError, RecursionError):
            return None
        return Item(item.key, data, len(data), item.ttl, item.version, item.edition)
