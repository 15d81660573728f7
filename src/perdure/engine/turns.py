"""A queue for the event loop itself."""

from __future__ import annotations

import asyncio


class Turns:
    """Lets one caller through in each round of the event loop: hundreds that come together do not hold it up.

    A caller who comes alone does not wait.
    """

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(1)

    async def take(self) -> None:
        """Wait until nobody else has a turn in this round."""
        await self._gate.acquire()
        asyncio.get_running_loop().call_soon(self._gate.release)
