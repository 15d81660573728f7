"""From a store of mem0's: what it holds is read, made into records, and taken in with vectors of our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from perdure.assemble import parts
from perdure.config import Config
from perdure.engine.memory import Engine
from perdure.engine.records import to_record
from perdure.migrate.mem0 import history, read
from perdure.threads import Threads

T = TypeVar("T")


async def take_over(
    mem0: Mapping[str, Any], target: Config, *, progress: Callable[[int, None], None] | None = None
) -> dict[str, Any]:
    """Bring all memories of a mem0 store, with their history and times, into a store of ours.

    Begun again, it goes on: what the target knows already is left alone.

    Args:
        mem0: its configuration, as `perdure.migrate.mem0.read` takes it; the store is only read.
        target: where to; its embedder makes the vectors, its tenant has the memories.
        progress: is told how many records were read, and that nobody knows how many there are.

    Returns:
        How many `turns`, `memories` (versions) and `changes` there were, how many of these records were `new`, what was
        `left_out`, by reasons, and where the `history` came from, or why there was none.
    """
    left_out = Counter[str]()
    threads = Threads("mem0", 1)
    try:
        past = await threads.run(history.told, mem0)
    finally:
        threads.close()

    async def records() -> AsyncGenerator[dict[str, Any]]:
        done = 0
        async for export in read(mem0, tenant=target.settings.tenant, left_out=left_out):
            yield to_record(export)
            done += 1
            if progress is not None and not done % 100:
                progress(done, None)

    counts = dict.fromkeys(("turns", "memories", "changes", "new"), 0)
    async with aclosing(records()) as made:
        first = await anext(made, None)  # a source that cannot be read leaves no target behind
        if first is not None:
            async with Engine(**parts(target)) as memory:
                imported = await memory.import_records(_with(first, made))
            counts = {kind: imported["imported"][kind] for kind in counts}
    return {**counts, "left_out": dict(left_out), "history": past}


async def _with(first: T, rest: AsyncIterator[T]) -> AsyncIterator[T]:
    yield first
    async for one in rest:
        yield one
