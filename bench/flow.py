"""Very many callers at once, and what it costs to watch them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench import workload
from bench.fake_openai import fake_openai
from bench.harness import Figures, Job, each_ms, in_waves, loop_lag, median, peak_mb, percentile, resident_mb
from perdure import AsyncMemory, Config
from perdure.assemble import parts
from perdure.engine.memory import Engine
from perdure.errors import Overloaded
from perdure.http import HttpProvider
from perdure.observe import Metrics
from perdure.testing.fakes import ServiceEmbedder

UNCACHED = {"cache_bytes": 0, "vector_cache_bytes": 0}


@dataclass(frozen=True, kw_only=True)
class VectorsOverHttp(HttpProvider):
    """The bench's vectors from the server that speaks as OpenAI does."""

    model: str = "bench/1"
    dimensions: int = workload.DIMENSIONS

    TITLE: ClassVar[str] = "The bench"
    HOME: ClassVar[str] = ""
    KEYS: ClassVar[Sequence[str]] = ()

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One request for all of the texts."""
        body = {"model": self.model, "input": list(texts)}
        reply = await self._ask("/embeddings", {}, lambda: (body, ()), private=texts)
        return np.array([item["embedding"] for item in reply.body["data"]], np.float32)


def config(job: Job, name: str = "memory", **settings: int) -> Config:
    """A store in the job's directory, without caches, and an embedder that takes next to nothing."""
    settings = {**UNCACHED, **settings}
    return Config.of({"path": str(job.directory / f"{name}.db"), "embedder": "hash", "settings": settings})


def engine(job: Job, embedder: object, name: str = "memory", **settings: int) -> Engine:
    """A memory with an embedder of the bench's."""
    return Engine(**{**parts(config(job, name, **settings)), "embedder": embedder})


async def fill(memory: Engine, rows: Sequence[workload.Row]) -> None:
    """Each user's rows in one call."""
    for user in dict.fromkeys(row.user for row in rows):
        said = [{"role": "user", "content": row.text} for row in rows if row.user == user]
        await memory.add(said, user_id=user, infer=False)


async def over_http(job: Job) -> AsyncGenerator[Figures, None]:
    """As `concurrent`, with an embedder that is truly asked over HTTP."""
    rows = workload.rows(job.rows, users=job.users)
    with fake_openai(latency=0.02) as url:
        async with engine(job, VectorsOverHttp(base_url=url)) as memory:
            await fill(memory, rows)
            yield {}
            for number in count():
                asked = workload.questions(rows, job.calls, seed=number)
                yield await in_waves(functools.partial(_search_all, memory, asked), prefix="http_")


async def _search_all(memory: Engine, asked: Sequence[tuple[workload.Row, str]]) -> None:
    await asyncio.gather(*(memory.search(text, user_id=row.user, limit=10) for row, text in asked))


async def burst(job: Job) -> AsyncGenerator[Figures, None]:
    """Verbatim adds, all at once; then the store is closed, opened again, and counted."""
    yield {}
    for number in count():
        rows = workload.rows(job.calls, users=job.users, seed=number)
        embedder = ServiceEmbedder(dimensions=workload.DIMENSIONS)
        name = f"burst-{number}"
        async with engine(job, embedder, name) as memory, loop_lag() as late:
            began = perf_counter()
            await asyncio.gather(*(memory.add(row.text, user_id=row.user, infer=False) for row in rows))
            took = perf_counter() - began
        async with engine(job, embedder, name) as memory:
            sound = (await memory.doctor())["sound"]
            kept = (await memory.stats())["turns"]
        yield {
            "burst_s": took,
            "burst_kept": f"{kept:,} of {len(rows):,}{'' if sound else ', not sound'}",
            "burst_lag_p99_ms": percentile(late, 0.99),
            "burst_lag_max_ms": max(late),
        }


async def pressure(job: Job) -> AsyncGenerator[Figures, None]:
    """As many searches as may be in flight, all waiting for an embedder, and some more that are refused."""
    embedder = ServiceEmbedder(dimensions=workload.DIMENSIONS)
    async with engine(job, embedder, calls_at_once=job.calls) as memory:
        await memory.add("A first one.", user_id="alice", infer=False)
        before = resident_mb()
        yield {}
        for number in count():
            embedder.asked.clear()
            embedder.gate = asyncio.Event()
            asked = [f"Question {number} {which}?" for which in range(job.calls)]
            calls = [asyncio.ensure_future(memory.search(text, user_id="alice")) for text in asked]
            while len(embedder.asked) < job.calls:  # noqa: ASYNC110  # they come in turns, and nobody is told
                await asyncio.sleep(0.01)
            held = peak_mb() - before
            refused = await each_ms([functools.partial(_refused, memory)] * 1_000)
            embedder.gate.set()
            await asyncio.gather(*calls)
            yield {"waiting_mb": held, "refused_us": 1000 * median(refused)}


async def _refused(memory: Engine) -> None:
    try:
        await memory.search("One too many?", user_id="alice")
    except Overloaded:
        return
    raise AssertionError("it was taken on")


async def metrics(job: Job) -> AsyncGenerator[Figures, None]:
    """The same searches on two copies of one store, of which one is watched, in turns."""
    rows = workload.rows(job.rows, users=job.users)
    async with AsyncMemory(config(job, "plain")) as first:
        await fill(first, rows)
        await first.backup(job.directory / "watched.db")
    async with AsyncExitStack() as stack:
        plain, watched = [
            await stack.enter_async_context(AsyncMemory(config(job, name))) for name in ("plain", "watched")
        ]
        figures = Metrics()
        figures.watch(watched)
        yield {}
        for number in count():
            took: dict[Engine, list[float]] = {plain: [], watched: []}
            for place, (row, text) in enumerate(workload.questions(rows, job.calls, seed=number)):
                for memory in (plain, watched) if place % 2 else (watched, plain):
                    took[memory] += await each_ms(
                        [functools.partial(memory.search, text, user_id=row.user, limit=10)]
                    )
            [collected] = await each_ms([functools.partial(_text, figures)])
            yield {
                "metrics_times": median(took[watched]) / median(took[plain]),
                "metrics_collect_ms": collected,
            }


async def _text(figures: Metrics) -> None:
    assert "perdure_call_seconds_count" in figures.text()
