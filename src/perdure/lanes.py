"""Clients that belong to an event loop: made when a loop first asks, closed when it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from perdure.errors import Closed

C = TypeVar("C")


class _Lane(NamedTuple, Generic[C]):
    """The client of one event loop."""

    client: C
    end: AsyncGenerator[None]


class Lanes(Generic[C]):
    """One client an event loop, for SDKs whose connections cannot be used on another one."""

    def __init__(
        self, make: Callable[[], C], close: Callable[[C], Awaitable[object]], *, subject: str
    ) -> None:
        """Nothing is made before somebody asks.

        Args:
            make: does no I/O.
            subject: whose connections these are, for errors.
        """
        self._make = make
        self._close = close
        self._subject = subject
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane[C]] = {}
        self._lock = threading.Lock()
        self._closed = False

    async def client(self) -> C:
        """The running loop's own.

        Raises:
            Closed: after `aclose`.
        """
        loop = asyncio.get_running_loop()
        if self._closed:
            raise Closed(f"the connections to {self._subject} were closed: open another memory")
        # nobody but this loop's tasks would add it, and none waits before it is there
        if (lane := self._lanes.get(loop)) is None:
            client = self._make()
            lane = _Lane(client, self._ending(client))
            with self._lock:
                alive = {other: its for other, its in self._lanes.items() if not other.is_closed()}
                self._lanes = {**alive, loop: lane}
            await anext(lane.end)
        return lane.client

    async def aclose(self) -> None:
        """Close the clients, each on its own event loop."""
        with self._lock:
            lanes, self._lanes, self._closed = self._lanes, {}, True
        for loop, lane in lanes.items():
            if loop is asyncio.get_running_loop():
                await lane.end.aclose()
            elif loop.is_running():  # one that stands still closes it when it goes on or ends
                asyncio.run_coroutine_threadsafe(_closing(self._close, lane.client), loop)

    async def _ending(self, client: C) -> AsyncGenerator[None]:
        """Close a client when the loop ends: asyncio closes generators that are still open then, or forgotten."""
        try:
            yield
        finally:
            await self._close(client)


async def _closing(close: Callable[[C], Awaitable[object]], client: C) -> None:
    await close(client)
