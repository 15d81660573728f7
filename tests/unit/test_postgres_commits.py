"""Commits of one event loop, without a server: who stores what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from perdure.ports import Batch, Committed
from perdure.stores.postgres.committing import AT_ONCE, Committer
from perdure.stores.postgres.connection import Settings
from perdure.stores.postgres.lanes import Lane
from perdure.testing.store.scenes import NOW
from perdure.types import Partition

SETTINGS = Settings(schema="perdure", statement_timeout=1, lock_timeout=1, idle_timeout=1)


class Transactions:
    """A lane on which transactions end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Future[None]] = []

    async def persist(self, _work: Callable[..., Awaitable[Any]], **_rest: Any) -> list[Committed]:
        """One commit, at some time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun.append(future)
        await future
        return [Committed(batch_id="b", memory_ids=(), head=1)]


def batch(n: int) -> Batch:
    return Batch(id=f"batch{n}", partition=Partition("default", f"user{n}"), at=NOW)


async def turns_of_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_in_the_turn_in_which_the_last_transactions_end_is_stored() -> None:
    async def run() -> None:
        lane = Transactions()
        committer = Committer(cast("Lane", lane), SETTINGS, group=1)

        async def two() -> Committed:
            await committer.commit(batch(0), None)
            return await committer.commit(batch(9), None)

        follows = asyncio.create_task(two())
        others = [asyncio.create_task(committer.commit(batch(n), None)) for n in range(1, AT_ONCE)]
        await turns_of_the_loop()
        assert len(lane.begun) == AT_ONCE
        for future in lane.begun:
            future.set_result(None)
        async with asyncio.timeout(5):
            while len(lane.begun) <= AT_ONCE:
                await asyncio.sleep(0.01)
            lane.begun[-1].set_result(None)
            assert (await follows).memory_ids == ()
            await asyncio.gather(*others)
            await committer.aclose()

    asyncio.run(run())
