"""The connections of one process: a session belongs to an event loop, and ends with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, NamedTuple

from perdure.errors import Closed
from perdure.load import Load

if TYPE_CHECKING:  # aiohttp is loaded with the first request
    from aiohttp import ClientSession

CLOSING = 5.0
"""Seconds that the session of another loop gets to close."""


class Turns:
    """A semaphore that tells how many have a turn, and how many wait for one: who came first is first."""

    def __init__(self, most: int) -> None:
        self._turns = asyncio.Semaphore(most)
        self.running = 0
        self.waiting = 0

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.waiting -= 1
        self.running += 1

    async def __aexit__(self, *exc: object) -> None:
        self.running -= 1
        self._turns.release()


class Lane(NamedTuple):
    """What the callers of one event loop share."""

    turns: Turns
    session: ClientSession
    end: AsyncGenerator[None]


class Sessions:
    """The lanes of one process, by event loop."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._lanes: dict[asyncio.AbstractEventLoop, Lane] = {}
        self._closed = False

    async def lane(self) -> Lane:
        """The running loop's own, made when it first asks.

        Raises:
            Closed: after `aclose`.
        """
        loop = asyncio.get_running_loop()
        if self._closed:
            raise Closed("The connections of this provider were closed: make another one.")
        if (
            lane := self._lanes.get(loop)
        ) is None:  # nobody but this loop's tasks would add it, and none waits here
            lane = _lane(self._concurrency)
            with self._lock:
                alive = {other: its for other, its in self._lanes.items() if not other.is_closed()}
                self._lanes = {**alive, loop: lane}
            await anext(lane.end)
        return lane

    def load(self) -> Load:
        """Of all event loops together: each has a bound of its own."""
        turns = [lane.turns for lane in self._lanes.values()]
        return Load(
            running=sum(each.running for each in turns),
            bound=self._concurrency * max(1, len(turns)),
            waiting=sum(each.waiting for each in turns),
        )

    async def aclose(self) -> None:
        """Close every session on its own loop; once is enough."""
        with self._lock:
            lanes, self._lanes, self._closed = self._lanes, {}, True
        for loop, lane in lanes.items():
            # this loop · one that runs in another thread · one that stands still closes it when it goes on or ends
            if loop is asyncio.get_running_loop():
                await lane.end.aclose()
            elif loop.is_running():
                elsewhere = asyncio.run_coroutine_threadsafe(lane.session.close(), loop)
                await asyncio.wait([asyncio.wrap_future(elsewhere)], timeout=CLOSING)


def _lane(concurrency: int) -> Lane:
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector

    session = ClientSession(
        connector=TCPConnector(limit=concurrency, ttl_dns_cache=300),
        cookie_jar=DummyCookieJar(),  # one caller's request leaves nothing for the next one
    )
    return Lane(Turns(concurrency), session, _ending(session))


async def _ending(session: ClientSession) -> AsyncGenerator[None]:
    """Close a session when the loop ends: asyncio closes the generators that are still open then, or forgotten."""
    try:
        yield
    finally:
        await session.close()
