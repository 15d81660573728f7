"""All engines that follow the truth: told side by side, each as far as it can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from perdure.engine.derived.follower import Follower
from perdure.errors import ConfigurationError, PerdureError, Unavailable
from perdure.ports import Space
from perdure.ports.derived import Cursor
from perdure.types import Partition

POLL: Final = 1.0
"""Seconds between two looks for what engines lack."""
LOOKED_AT: Final = 256
"""So many partitions are caught up after one look."""


class Following:
    """The engines of a memory."""

    def __init__(self, followers: Sequence[Follower], *, wait: float) -> None:
        """Args: wait: seconds that a caller waits for engines; then they are told behind his back."""
        self.followers = tuple(followers)
        self._wait = wait
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stays = 0
        self._closed = False

    async def tell(self, partitions: Iterable[Partition]) -> list[str]:
        """Tell all engines at the same time what was committed before this call; what is pending, in words."""
        asked = [self._told(follower, partition) for partition in partitions for follower in self.followers]
        pending = [lacking for lacking in await asyncio.gather(*asked) if lacking is not None]
        return list(dict.fromkeys(pending))

    def tell_soon(self, partition: Partition) -> None:
        """The same, behind the caller's back."""
        if self.followers and not self._closed:
            task = asyncio.get_running_loop().create_task(self.tell([partition]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def wake(self) -> None:
        """Catch engines up with what they lack, until there is nothing."""
        if not self.followers or self._closed:
            return
        keeper, loop = self._keeper, asyncio.get_running_loop()
        if keeper is None or keeper.done() or keeper.get_loop() is not loop:
            self._keeper = loop.create_task(self._keep_up())

    async def stay(self) -> None:
        """Look for what engines lack until this is cancelled."""
        self._stays += 1
        try:
            while self.followers and not self._closed:
                self.wake()
                await asyncio.sleep(POLL)
        finally:
            self._stays -= 1

    async def settle(self, progress: Callable[[Cursor], None] | None = None) -> list[str]:
        """Catch every engine up with all that it lacks now, also one that is left alone; what is left, in words."""
        left = await asyncio.gather(*[self._settled(follower, progress) for follower in self.followers])
        return [lacking for lacking in left if lacking is not None]

    async def rebuild(self, before: Space | None) -> list[str]:
        """Let every engine begin anew and take everything in; what they lack, in words.

        Args:
            before: what the store's vectors were made with until now: an engine need not hold them any longer.
        """
        left = await asyncio.gather(*[_rebuilt(follower, before) for follower in self.followers])
        return [lacking for lacking in left if lacking is not None] or await self.settle()

    async def told(self) -> list[dict[str, Any]]:
        """Each engine: whether it can be had, and what it lacks."""
        return list(await asyncio.gather(*map(_state, self.followers)))

    async def lag(self) -> int:
        """Changes that engines lack; of one that cannot be had, at least one."""
        return sum(state.get("behind", 1) for state in await self.told())

    async def aclose(self) -> None:
        """Leave what is under way to the next process, and give connections back."""
        self._closed = True
        loop = asyncio.get_running_loop()
        under_way = [*self._tasks, *([self._keeper] if self._keeper else [])]
        for task in under_way:
            if task.get_loop() is loop:
                task.cancel()
        await asyncio.gather(*(t for t in under_way if t.get_loop() is loop), return_exceptions=True)
        for follower in self.followers:
            await follower.aclose()

    async def _told(self, follower: Follower, partition: Partition) -> str | None:
        try:
            async with asyncio.timeout(self._wait):
                await follower.catch_up(partition)
        except (Unavailable, ConfigurationError) as error:
            reason = str(error)
        except TimeoutError:
            reason = f"it takes longer than {self._wait:g} seconds"
        except asyncio.CancelledError:  # the caller gave up
            self.wake()
            raise
        else:
            return None
        self.wake()
        return f"{follower.teller.role} in {follower.name}, told later: {reason}"

    async def _keep_up(self) -> None:
        while not self._closed:
            left = await asyncio.gather(*map(_caught_up, self.followers))
            if not any(left) and not self._stays:
                return
            await asyncio.sleep(POLL)

    async def _settled(self, follower: Follower, progress: Callable[[Cursor], None] | None) -> str | None:
        try:
            while lags := await follower.behind(limit=LOOKED_AT):
                for cursor in lags:
                    await follower.catch_up(cursor.partition, insist=True)
                    if progress is not None:
                        progress(cursor)
        except (Unavailable, ConfigurationError) as error:
            return f"{follower.teller.role} in {follower.name}: {error}"
        return None


async def _caught_up(follower: Follower) -> bool:
    """Tell an engine what it lacks; whether something may be left."""
    if follower.rest:
        return True
    try:
        lags = await follower.behind(limit=LOOKED_AT)
        caught = [follower.catch_up(cursor.partition) for cursor in lags]
        ended = await asyncio.gather(*caught, return_exceptions=True)
    except (Unavailable, ConfigurationError):
        return True
    return bool(lags) or any(isinstance(end, PerdureError) for end in ended)


async def _rebuilt(follower: Follower, before: Space | None) -> str | None:
    try:
        await follower.rebuild(before)
    except (Unavailable, ConfigurationError) as error:
        return f"{follower.teller.role} in {follower.name}: {error}"
    return None


async def _state(follower: Follower) -> dict[str, Any]:
    state: dict[str, Any] = {"role": follower.teller.role, "engine": follower.name}
    try:
        lags = await follower.behind()
    except (Unavailable, ConfigurationError) as error:
        return {**state, "problem": str(error)}
    return {**state, "behind": sum(cursor.lag for cursor in lags), "partitions": len(lags)}
