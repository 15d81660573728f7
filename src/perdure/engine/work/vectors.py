"""Gives vectors, and with them categories, to memories that were stored before there was time for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from perdure.engine import ingest
from perdure.engine.categories import Categories
from perdure.engine.embedding import kept, vectors_of
from perdure.engine.indexes import Indexes
from perdure.engine.work.attempts import failed
from perdure.errors import Conflict, ModelUnavailable, Unavailable
from perdure.ports import Batch, Embedder, Job, Store, Write
from perdure.types import Memory

AT_ONCE: Final = 256
"""So many memories are embedded and committed at a time."""


class LateVectors:
    """Does the jobs of the kind `ingest.VECTORS`."""

    def __init__(
        self,
        store: Store,
        indexes: Indexes,
        embedder: Embedder,
        categories: Categories,
        *,
        clock: Callable[[], datetime],
        attempts: int,
    ) -> None:
        self._store = store
        self._indexes = indexes
        self._embedder = embedder
        self._categories = categories
        self._clock = clock
        self._attempts = attempts

    async def do(self, job: Job) -> None:
        """Embed what lacks vectors: the job's turns, and facts of its partition.

        What is committed is not done again when the rest fails.
        """
        wanted = await self._lacking(job)
        portions = [wanted[at : at + AT_ONCE] for at in range(0, len(wanted), AT_ONCE)] or [[]]
        for place, portion in enumerate(portions, 1):
            try:
                writes = await self._writes(job, portion)
            except (ModelUnavailable, Unavailable) as error:
                late = failed(job, str(error), now=self._clock(), most=self._attempts)
                await self._store.keep_job(late)
                return
            done = (job.id,) if place == len(portions) else ()
            batch = Batch(
                id=job.id, partition=job.partition, at=self._clock(), writes=tuple(writes), done=done
            )
            with suppress(Conflict):  # somebody else has done it meanwhile
                await self._store.commit(batch)

    async def _lacking(self, job: Job) -> list[Memory]:
        index = await self._indexes.current(job.partition)
        turns, placeless = set(job.turns), index.placeless
        rows = [row for row in index.unembedded() if placeless[row] or index.ids[row] in turns]
        return await self._store.read(job.partition, [int(index.ords.values[row]) for row in rows])

    async def _writes(self, job: Job, memories: Sequence[Memory]) -> list[Write]:
        if not memories:
            return []
        described = self._categories.unknown
        vectors = await vectors_of(self._embedder, [*(memory.text for memory in memories), *described])
        self._categories.learn(vectors[len(memories) :])
        entries = [
            replace(ingest.analysed(memory), vectors=kept(made))
            for memory, made in zip(memories, vectors, strict=False)
        ]
        turns = set(job.turns) if job.options.get("sort") else set()
        return [
            Write(
                event="REFINE",
                memory_id=memory.id,
                refines=memory.ord,
                entry=entry,
                categories=self._categories.of(made)
                if memory.id in turns and not memory.categories
                else None,
            )
            for memory, entry, made in zip(memories, entries, vectors, strict=False)
        ]
