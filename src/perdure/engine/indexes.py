"""The partition indexes that are held in memory: caught up before each use, bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from perdure.engine.index import PartitionIndex
from perdure.ports import Delta, Stand, Store
from perdure.types import Partition

INLINE_ROWS = 500
"""So many rows are taken in on the event loop (a few milliseconds at most); more of them in a thread."""

Work: TypeAlias = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments in a thread of the engine's own."""


@dataclass(slots=True)
class _Held:
    index: PartitionIndex
    nbytes: int = 0


class Indexes:
    """Least recently used first out; those who want the same partition share one load."""

    def __init__(
        self, store: Store, *, dimensions: int | None, max_bytes: int, work: Work, with_vectors: bool = True
    ) -> None:
        """Args: with_vectors: False leaves those of what is current to an engine; of the past they are held here."""
        self._with_vectors = with_vectors
        self._store = store
        self._work = work
        self._dimensions = dimensions
        self._max_bytes = max_bytes
        self._held: OrderedDict[Partition, _Held] = OrderedDict()
        self._loading: dict[Partition, asyncio.Task[PartitionIndex]] = {}
        self.nbytes = 0
        """Bytes held by all indexes together."""

    async def current(self, partition: Partition) -> PartitionIndex:
        """The partition's index with everything in it that was committed before this call, by any process.

        A load that is under way may have read the store before this call began, so it is waited for and
        followed by one of our own; several who wait share that one.
        """
        held = self._held.get(partition)
        if held is not None and self._store.stands(held.index.stand.mark):
            self._held.move_to_end(partition)
            return held.index
        started = self._loading.get(partition)
        if started is not None:
            await asyncio.wait([started])
        task = self._loading.get(partition)
        if task is None or task.done():
            task = asyncio.create_task(self._catch_up(partition))
            self._loading[partition] = task
            task.add_done_callback(lambda done: self._forget(partition, done))
        # Shielded: a caller who gives up must not take the load away from the others.
        return await asyncio.shield(task)

    def holds(self, partition: Partition) -> bool:
        """Whether it is in memory."""
        return partition in self._held

    async def at(self, partition: Partition, known_at: datetime) -> PartitionIndex:
        """An index of its own of what was known at an earlier moment; it is not kept."""
        index = PartitionIndex(self._dimensions)
        delta = await self._store.load(partition, known_at=known_at)
        await self._take_in(index, delta)
        index.stand = delta.stand
        return index

    def drop(self) -> None:
        """Forget everything; it is read again when it is needed."""
        self._held.clear()
        self.nbytes = 0

    async def _catch_up(self, partition: Partition) -> PartitionIndex:
        held = self._held.get(partition) or self._empty()
        delta = await self._load(partition, held.index.head)
        if held.index.head > 0 and _is_another(held.index.stand, delta):
            held = self._empty()
            delta = await self._load(partition, 0)
        await self._take_in(held.index, delta)
        held.index.stand = delta.stand
        self._keep(partition, held)
        return held.index

    def _empty(self) -> _Held:
        return _Held(PartitionIndex(self._dimensions if self._with_vectors else None))

    async def _load(self, partition: Partition, since: int) -> Delta:
        return await self._store.load(partition, since=since, with_vectors=self._with_vectors)

    async def _take_in(self, index: PartitionIndex, delta: Delta) -> None:
        if index.head == 0 and len(delta.rows) > INLINE_ROWS:
            # Nobody else holds a new index yet, so that a thread may fill it while the loop goes on.
            await self._work(partial(index.apply, delta.rows, delta.dead, head=delta.head))
        elif delta.head > index.head:
            index.apply(delta.rows, delta.dead, head=delta.head)

    def _keep(self, partition: Partition, held: _Held) -> None:
        before = self._held.get(partition)
        self.nbytes -= before.nbytes if before else 0
        held.nbytes = held.index.nbytes
        self.nbytes += held.nbytes
        self._held[partition] = held
        self._held.move_to_end(partition)
        while self.nbytes > self._max_bytes and len(self._held) > 1:
            self.nbytes -= self._held.popitem(last=False)[1].nbytes

    def _forget(self, partition: Partition, done: asyncio.Task[PartitionIndex]) -> None:
        if self._loading.get(partition) is done:
            del self._loading[partition]


def _is_another(held: Stand, delta: Delta) -> bool:
    """Whether what came cannot follow what is held.

    - Entries were made again.
    - The partition is of another life: it has not come as far, or another change stands where we have been.
    """
    if delta.stand.generation != held.generation:
        return True
    return delta.head < held.head or delta.before != held.change
