"""Clients that belong to an event loop: made when a loop first asks, closed when it ends, shared over no fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from perdure.errors import Closed

C = TypeVar("C")

CLOSING = 5.0
"""Seconds that the client of another loop gets to close."""


class _Lane(NamedTuple, Generic[C]):
    """The client of one event loop."""

    client: C
    end: AsyncGenerator[None]


@dataclass
class _Process(Generic[C]):
    """The clients of one process: a connection that a forked child shared with its parent would serve neither."""

    lanes: dict[asyncio.AbstractEventLoop, _Lane[C]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False


class Lanes(Generic[C]):
    """One client an event loop, for what cannot be used on another one."""

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
        self._processes: dict[int, _Process[C]] = {}

    async def client(self) -> C:
        """The running loop's own.

        Raises:
            Closed: after `aclose`.
        """
        loop, own = asyncio.get_running_loop(), self._own
        if own.closed:
            raise Closed(f"the connections to {self._subject} were closed: open another memory")
        # nobody but this loop's tasks would add it, and none waits before it is there
        if (lane := own.lanes.get(loop)) is None:
            client = self._make()
            lane = _Lane(client, self._ending(client))
            with own.lock:
                alive = {other: its for other, its in own.lanes.items() if not other.is_closed()}
                own.lanes = {**alive, loop: lane}
            await anext(lane.end)
        return lane.client

    def clients(self) -> list[C]:
        """Of all loops of this process."""
        return [lane.client for lane in self._own.lanes.values()]

    async def aclose(self) -> None:
        """Close the clients, each on its own event loop; once is enough."""
        own = self._own
        with own.lock:
            lanes, own.lanes, own.closed = own.lanes, {}, True
        for loop, lane in lanes.items():
            # this loop · one that runs in another thread · one that stands still closes it when it goes on or ends
            if loop is asyncio.get_running_loop():
                await lane.end.aclose()
            elif loop.is_running():
                elsewhere = asyncio.run_coroutine_threadsafe(_closing(self._close, lane.client), loop)
                await asyncio.wait([asyncio.wrap_future(elsewhere)], timeout=CLOSING)

    @property
    def _own(self) -> _Process[C]:
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process())

    async def _ending(self, client: C) -> AsyncGenerator[None]:
        """Close a client when the loop ends: asyncio closes generators that are still open then, or forgotten."""
        try:
            yield
        finally:
            await self._close(client)


async def _closing(close: Callable[[C], Awaitable[object]], client: C) -> None:
    await close(client)
