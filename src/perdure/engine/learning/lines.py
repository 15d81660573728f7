"""Work that may overlap, and is finished in the order in which it began."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Place:
    """Where a piece of work stands in its line."""

    def __init__(self, before: asyncio.Future[None] | None) -> None:
        self._before = before

    async def first(self) -> None:
        """Wait until all that came earlier has left."""
        if self._before is not None:
            await asyncio.wait([self._before])


class Lines:
    """One line for each key; the lines of different keys have nothing to do with each other."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Future[None]] = {}

    @contextmanager
    def stand(self, key: Hashable) -> Iterator[Place]:
        """A place at the end of a line, until the block is left."""
        loop = asyncio.get_running_loop()
        key = (loop, key)  # a future belongs to its loop
        before = self._last.get(key)
        left = self._last[key] = loop.create_future()
        try:
            yield Place(before)
        finally:
            self._leave(key, before, left)

    def _leave(self, key: Hashable, before: asyncio.Future[None] | None, left: asyncio.Future[None]) -> None:
        """Who gives up in the middle of a line does not let those behind pass those before."""

        def go(_: object = None) -> None:
            if not left.done():
                left.set_result(None)

        if self._last.get(key) is left and (before is None or before.done()):
            del self._last[key]
        if before is None or before.done():
            go()
        else:
            before.add_done_callback(go)
