"""Whether what stands beside a store holds what is current in it, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perdure.engine.derived.telling import vector_namespace
from perdure.graphs.falkordb import FalkorGraph
from perdure.stores.sqlite import SqliteStore
from perdure.vectors.redis import RedisVectors

EVERYTHING = 100_000
PATIENCE = 60.0


async def engines_agree(path: Path, *, url: str, tenants: Sequence[str], model: str, dimensions: int) -> None:
    """Compare vectors in Redis and relations in FalkorDB, all of which are of one subject, with the store's own."""
    vectors, graph = (kind(url=url, timeout=PATIENCE) for kind in (RedisVectors, FalkorGraph))
    store = SqliteStore(path=path)
    await store.open(None)
    identity = await store.identity()
    await vectors.open(vector_namespace(identity, model), dimensions)
    await graph.open(identity, 0)
    question = np.ones(dimensions, np.float32) / np.float32(dimensions**0.5)
    for tenant in tenants:
        for partition in await store.partitions(tenant):
            rows = (await store.load(partition)).rows
            near = await vectors.nearest(partition, question, limit=EVERYTHING, among=None)
            assert {one.ord for one in near} == {row.ord for row in rows if row.vectors}
            facts = await store.read(partition, [row.ord for row in rows if row.place is None])
            stated = await graph.around(partition, ["ann"], depth=1, limit=EVERYTHING)
            assert set(stated) == {fact.ord for fact in facts if fact.relations}
    for closing in (vectors, graph, store):
        await closing.aclose()
