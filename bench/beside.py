"""Engines beside the store that take their time: an add waits for the slower one, not for their sum."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bench import workload
from bench.harness import Figures, Job, each_ms, median
from perdure import Config
from perdure.assemble import parts
from perdure.engine.memory import Engine
from perdure.ports.derived import Near, Point, Stated
from perdure.types import Partition

VECTORS_S, GRAPH_S = 0.2, 0.15


@dataclass(kw_only=True)
class Slow:
    """An engine that takes so many seconds for whatever it is told, and keeps nothing."""

    name: str
    seconds: float

    async def open(self, namespace: str, dimensions: int) -> str:
        return f"{namespace}-{dimensions}"

    async def forget(self, partition: Partition) -> None: ...

    async def drop(self, namespace: str) -> None: ...

    async def aclose(self) -> None: ...

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        await asyncio.sleep(self.seconds)

    async def nearest(
        self, partition: Partition, vector: NDArray[Any], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        return []

    async def put_relations(
        self, partition: Partition, stated: Sequence[Stated], dead: Sequence[int]
    ) -> None:
        await asyncio.sleep(self.seconds)

    async def around(
        self, partition: Partition, names: Sequence[str], *, depth: int, limit: int
    ) -> list[int]:
        return []


def memory_with(job: Job, name: str, **engines: Slow) -> Engine:
    """A memory with these engines beside it."""
    config = Config.of({"path": str(job.directory / f"{name}.db"), "embedder": "hash"})
    return Engine(**{**parts(config), **engines})


async def engines(job: Job) -> AsyncGenerator[Figures, None]:
    """Verbatim adds, one after another, with both engines and with none."""
    texts = workload.texts(10**6, seed=5)
    slow = {
        "vectors": Slow(name="slow vectors", seconds=VECTORS_S),
        "graph": Slow(name="slow graph", seconds=GRAPH_S),
    }
    async with memory_with(job, "plain") as plain, memory_with(job, "beside", **slow) as beside:
        yield {}
        while True:
            alone, both = [await _add_ms(memory, texts, job.calls) for memory in (plain, beside)]
            yield {"engines_ms": both, "engines_more_ms": both - alone}


async def _add_ms(memory: Engine, texts: Iterator[str], calls: int) -> float:
    adds = [functools.partial(memory.add, next(texts), user_id="alice", infer=False) for _ in range(calls)]
    return median(await each_ms(adds))
