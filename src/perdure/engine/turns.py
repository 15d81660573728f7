"""A queue for the event loop itself."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class Turns:
    """Lets one caller through in each round of the event loop: hundreds that come together do not hold it up.

    A caller who comes alone does not wait. Each event loop has turns of its own.
    """

    def __init__(self) -> None:
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def take(self) -> None:
        """Wait until nobody else has a turn in this round."""
        loop = asyncio.get_running_loop()
        gate = self._gates.get(loop) or self._gates.setdefault(loop, asyncio.Semaphore(1))
        await gate.acquire()
        loop.call_soon(gate.release)
