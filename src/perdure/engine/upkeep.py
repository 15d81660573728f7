"""What keeps a store in order: examining it, making its entries again, moving it out and in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from perdure.engine.derived.follower import in_trouble
from perdure.engine.embedding import declined
from perdure.engine.records import from_records, kind_of, none_yet, to_record
from perdure.engine.redaction import Tally
from perdure.engine.scoping import Reach
from perdure.errors import InvalidInput, ModelUnavailable, Unavailable
from perdure.ports import (
    Checks,
    Embedder,
    Entry,
    Export,
    Exports,
    Job,
    Query,
    Reindexes,
    Space,
    Store,
    StoreStats,
)
from perdure.types import Memory, Partition

PAGE = 500
"""So many memories at once, to keep memory bounded."""
CHASES = 3
"""After so many pages that were not full, a reindex switches, and makes up for what was written meanwhile."""

MakeEntries = Callable[[Sequence[Memory]], Awaitable[list[Entry]]]

Item = TypeVar("Item")


async def every_id(store: Store, asked: Reach, partitions: Sequence[Partition], now: datetime) -> list[str]:
    """The ids of all memories within reach, in whatever state: current, expired, superseded or deleted."""
    ids: dict[str, None] = {}
    for partition in partitions:
        query = Query(
            tenant=asked.tenant,
            filter=asked.filter,
            partitions=(partition,),
            now=now,
            show_expired=True,
            show_superseded=True,
            show_retired=True,
        )
        ids.update(dict.fromkeys(memory.id for memory in await store.find(query)))
    return list(ids)


def stats_dict(stats: StoreStats) -> dict[str, Any]:
    """Sizes as callers see them."""
    space = stats.space
    return {
        "partitions": stats.partitions,
        "turns": stats.turns,
        "memories": stats.memories,
        "retired": stats.retired,
        "changes": stats.changes,
        "store_bytes": stats.bytes,
        "vector_bytes": stats.vector_bytes,
        "schema": stats.schema,
        "analyzer": space.analyzer if space else None,
        "model": space.model if space else None,
        "dimensions": space.dimensions if space else None,
    }


async def examine(store: Store, space: Space, embedder: Embedder | None, tenant: str) -> dict[str, Any]:
    """What is wrong with a store or its model, and what could be better."""
    problems = await store.check() if isinstance(store, Checks) else []
    advice: list[str] = []
    try:
        await (embedder.embed(["a probe"]) if embedder else asyncio.sleep(0))
    except (ModelUnavailable, Unavailable) as error:
        problems.append(f"the embedding model cannot be used: {error}")
        return {"sound": False, "problems": problems, "advice": advice}
    held = (await store.stats(tenant)).space
    if held is not None and (held.analyzer != space.analyzer or (held.model != space.model and space.model)):
        advice.append(
            f"entries were made with {_named(held)}, this installation has {_named(space)}: run `perdure reindex`"
        )
    elif space.model is None:
        advice.append("there is no embedding model at hand: search goes by words alone")
    elif isinstance(store, Reindexes) and await store.missing(space, limit=1):
        advice.append("some memories were stored without a model: run `perdure reindex` to give them vectors")
    return {"sound": not problems, "problems": problems, "advice": advice}


def advised(engines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to do about engines beside the store."""
    advice: list[str] = []
    for engine in engines:
        role, name = engine["role"], engine["engine"]
        if "problem" in engine:
            told = in_trouble(role, name, engine["problem"])
            advice.append(
                f"{told}: is it running, and configured rightly?" if "cannot be had" in told else told
            )
        elif behind := engine["behind"]:
            lacking = f"{behind:,} change{'' if behind == 1 else 's'}"
            advice.append(f"{name} lacks {lacking} ({role}): run `perdure doctor --repair`")
    return advice


async def reindex(
    store: Store,
    space: Space,
    make: MakeEntries,
    tenant: str,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    """Fill `space` beside the one in use, then switch; it goes on where an earlier try stopped.

    How many were made, and how many of them a content filter declines, so that they have no meaning.
    """
    if not isinstance(store, Reindexes):
        raise InvalidInput(f"{type(store).__name__} cannot make its entries again")
    total, done, without, rounds = (await store.stats(tenant)).memories, 0, 0, 0
    switched = False
    while True:
        after = None
        while page := await store.missing(space, limit=PAGE, after=after):
            after = (page[-1][0], page[-1][1].ord)
            entries = await make([memory for _, memory in page])
            made = [(partition, memory.ord, e) for (partition, memory), e in zip(page, entries, strict=True)]
            await store.prepare(space, made)
            done += len(page)
            without += sum(declined(entry.vectors) for entry in entries)
            if progress is not None:
                progress(done, max(total, done))
            rounds += len(page) < PAGE
            if rounds > CHASES and not switched:
                break
        if switched:
            return done, without
        # Somebody may write all the time, faster than vectors can be made: after some rounds the last few follow later.
        switched = await store.activate(space, leaving=PAGE if rounds > CHASES else 0) == 0


async def exported(
    store: Store, tenant: str, partitions: Sequence[Partition] | None
) -> AsyncIterator[dict[str, Any]]:
    """All that is kept, as records that JSON can hold, in an order in which they can be put in again."""
    if not isinstance(store, Exports):
        raise InvalidInput(f"{type(store).__name__} cannot be exported")
    async for export in store.export(tenant, partitions):
        yield to_record(export)


async def imported(
    store: Store,
    records: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
    restore: Callable[[Sequence[Export]], Awaitable[int]],
    tenant: str,
    tally: Tally,
) -> dict[str, int]:
    """Put exported records in as they were; answers how many of each kind were read and how many were new.

    Jobs that were left out, because none of their turns are there, count as not read.

    Args:
        restore: takes a page in, and answers how many of it were new.
    """
    counts = {**none_yet(), "new": 0}
    async for read in pages(from_records(records, tenant), PAGE):
        page = [export._replace(record=tally.record(export.record)) for export in read]
        counts["new"] += await restore(page)
        left_out = await _without_turns(store, tenant, page)
        for export in page:
            if export.record in left_out:
                continue
            counts[kind_of(export)] += 1
    return counts


async def restored(store: Store, page: Sequence[Export], make: MakeEntries) -> int:
    """Take records in, with entries of their versions; how many of them were new."""
    if not isinstance(store, Exports):
        raise InvalidInput(f"{type(store).__name__} cannot take an import")
    return await store.restore(await _entered(page, make))


async def _without_turns(store: Store, tenant: str, page: Sequence[Export]) -> list[Job]:
    """The jobs on a page, now taken in, for which there is nothing to do here."""
    jobs = [export.record for export in page if isinstance(export.record, Job)]
    wanted = list(dict.fromkeys(turn for job in jobs for turn in job.turns))
    turns = await store.turns(tenant, wanted) if wanted else []
    there = {(turn.scope.partition, turn.id) for turn in turns}
    return [job for job in jobs if there.isdisjoint((job.partition, turn) for turn in job.turns)]


async def _entered(page: Sequence[Export], make: MakeEntries) -> list[Export]:
    """The page with entries of its versions, retired ones too (`known_at` reads them); what is erased has none."""
    held = [e.record for e in page if isinstance(e.record, Memory) and e.record.erased_at is None]
    made = dict(zip((id(memory) for memory in held), await make(held) if held else [], strict=True))
    return [export._replace(entry=made.get(id(export.record))) for export in page]


async def pages(items: AsyncIterable[Item], size: int) -> AsyncIterator[list[Item]]:
    """So many items at a time."""
    page: list[Item] = []
    async for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _named(space: Space) -> str:
    return f"{space.model or 'no model'} (analyzer {space.analyzer})"
