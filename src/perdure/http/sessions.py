"""What the callers of one event loop share: a session, and turns for so many at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # aiohttp is loaded with the first request
    from aiohttp import ClientSession


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


class Lane:
    """Of one event loop."""

    session: ClientSession
    turns: Turns

    def __init__(self, concurrency: int) -> None:
        """On that loop."""
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector

        self.turns = Turns(concurrency)
        self.session = ClientSession(
            connector=TCPConnector(limit=concurrency, ttl_dns_cache=300),
            cookie_jar=DummyCookieJar(),  # one caller's request leaves nothing for the next one
        )

    async def aclose(self) -> None:
        """Close the session."""
        await self.session.close()
