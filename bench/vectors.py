"""Vector engines beside the store: how fast they take vectors in, how fast they find, and how much of what is near."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import workload
from bench.harness import Figures, Job, median
from perdure.ports.derived import Point, VectorEngine
from perdure.testing.chroma import ChromaServer
from perdure.testing.milvus import MilvusServer
from perdure.testing.servers import PostgresServer, RedisServer
from perdure.types import Partition
from perdure.vectors.chroma import ChromaVectors
from perdure.vectors.milvus import MilvusVectors
from perdure.vectors.pgvector import PostgresVectors
from perdure.vectors.qdrant import QdrantVectors
from perdure.vectors.redis import RedisVectors

ENGINES: Mapping[str, str] = {
    "redis": "Redis",
    "redis_index": "Redis by its index",
    "pgvector": "pgvector",
    "pgvector_hnsw": "pgvector by its index",
    "chroma": "Chroma",
    "milvus_lite": "Milvus Lite",
    "milvus": "Milvus 2.3.5",
    "milvus_hnsw": "Milvus 2.3.5 by HNSW",
    "qdrant": "Qdrant",
}
"""What the figures of each are called; Milvus where its package is installed, Qdrant where QDRANT_URL names one."""
LARGE = 0.6
"""Of all vectors, the share that one owner has; the others have `SMALL` each."""
SMALL = 1_000
BATCH = 500
"""Vectors told at once."""
LIMIT = 200
"""As many as a search asks an engine for."""
ASKED = 10
"""Questions of an owner in a round."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Owner:
    """Whose vectors these are: random ones, the hardest to find one's way among."""

    partition: Partition
    vectors: NDArray[np.float32]

    def nearest(self, question: NDArray[np.float32]) -> set[int]:
        """The truth."""
        return set(np.argsort(-(self.vectors @ question))[:LIMIT].tolist())


def owners(rows: int) -> Iterator[Owner]:
    """One who has many, and some who have few."""
    sizes = [int(LARGE * rows), *[SMALL] * (int((1 - LARGE) * rows) // SMALL)]
    rng = np.random.default_rng(3)
    for number, size in enumerate(sizes):
        yield Owner(Partition("default", f"user:{number}"), units(rng, size))


def units(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Random directions."""
    vectors = rng.normal(size=(size, workload.DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def engines(stack: ExitStack, job: Job) -> dict[str, VectorEngine]:
    """All that can be had here, their servers started."""
    redis, chroma, postgres = (
        stack.enter_context(server) for server in (RedisServer(), ChromaServer(), PostgresServer())
    )
    postgres.sql("CREATE EXTENSION vector")
    made: dict[str, VectorEngine] = {
        "redis": RedisVectors(url=redis.url, timeout=PATIENCE, exact=1_000_000),
        "redis_index": RedisVectors(url=redis.url, timeout=PATIENCE, exact=0, prefix="index"),
        "pgvector": PostgresVectors(url=postgres.url(), timeout=PATIENCE),
        "pgvector_hnsw": PostgresVectors(
            url=postgres.url(), timeout=PATIENCE, hnsw=True, exact=SMALL, prefix="index"
        ),
        "chroma": ChromaVectors(url=chroma.url, timeout=PATIENCE),
        "milvus_lite": MilvusVectors(path=job.directory / "milvus", timeout=PATIENCE),
    }
    if find_spec("milvus") is not None:
        url = stack.enter_context(MilvusServer()).url
        made["milvus"] = MilvusVectors(url=url, timeout=PATIENCE)
        made["milvus_hnsw"] = MilvusVectors(url=url, timeout=PATIENCE, index_type="HNSW", prefix="hnsw")
    if url := os.environ.get("QDRANT_URL"):
        made["qdrant"] = QdrantVectors(url=url, timeout=PATIENCE)
    return made


async def vectors(job: Job) -> AsyncGenerator[Figures, None]:
    """Each engine is filled once; a round asks all of them the same."""
    everybody = list(owners(job.rows))
    with ExitStack() as stack:
        made = engines(stack, job)
        filled = {}
        for name, engine in made.items():
            await engine.open("bench", workload.DIMENSIONS)
            began = perf_counter()
            for owner in everybody:
                await _fill(engine, owner)
            filled[f"{name}_put_per_s"] = sum(len(owner.vectors) for owner in everybody) / (
                perf_counter() - began
            )
            if name.startswith("milvus") and name != "milvus_lite":
                _settle(engine)
        try:
            yield {}
            for number in count():
                figures: Figures = {f"vectors_{figure}": value for figure, value in filled.items()}
                for name, engine in made.items():
                    for size, owner in (("", everybody[0]), ("_small", everybody[-1])):
                        took, recall = await _ask(engine, owner, np.random.default_rng([number, 9]))
                        figures[f"vectors_{name}{size}_ms"] = took
                        figures[f"vectors_{name}{size}_recall"] = recall
                yield figures
        finally:
            for engine in made.values():
                await engine.drop("bench")
                await engine.aclose()


async def _fill(engine: VectorEngine, owner: Owner) -> None:
    for start in range(0, len(owner.vectors), BATCH):
        numbers = range(start, min(start + BATCH, len(owner.vectors)))
        points = [Point(ord=number, vectors=owner.vectors[number : number + 1]) for number in numbers]
        await engine.put_vectors(owner.partition, points, [])


async def _ask(engine: VectorEngine, owner: Owner, rng: np.random.Generator) -> tuple[float, float]:
    """Milliseconds, and the share of what is near that was found."""
    took, found = [], []
    for question in units(rng, ASKED):
        began = perf_counter()
        nearest = await engine.nearest(owner.partition, question, limit=LIMIT, among=None)
        took.append((perf_counter() - began) * 1000)
        found.append(len({near.ord for near in nearest} & owner.nearest(question)) / LIMIT)
    return median(took), float(np.mean(found))


def _settle(engine: Any) -> None:
    """Have Milvus write what it took in, so that its index is what is measured, and not what has none yet."""
    from pymilvus import MilvusClient

    client = MilvusClient(uri=engine.url)
    client.flush(engine._open.place)  # noqa: SLF001  # no option tells it
    client.close()


def lines(line: Callable[..., Any]) -> dict[str, Any]:
    """How the figures are shown."""
    made = {}
    for name, title in ENGINES.items():
        made[f"vectors_{name}_put_per_s"] = line(title=f"{title}: vectors taken in", unit="/s")
        for size, of in (("", f"{LARGE:.0%} of {{rows:,}}"), ("_small", f"{SMALL:,}")):
            made[f"vectors_{name}{size}_ms"] = line(
                title=f"{title}: the {LIMIT} nearest of an owner's {of}, p50", unit="ms"
            )
            made[f"vectors_{name}{size}_recall"] = line(title="its recall, random vectors", unit="")
    return made
