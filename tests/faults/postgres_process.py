"""A process to be killed: it adds, searches and works jobs over one PostgreSQL, and tells what was acknowledged."""

import asyncio
import random
import sys

import numpy as np

from perdure import AsyncMemory
from perdure.engine.indexes import Indexes
from perdure.types import Scope

USERS = ("user 0", "user 1", "user 2")


async def add(memory: AsyncMemory, name: str) -> None:
    """Add without waiting for what is learned; what was acknowledged is found at once, here too."""
    for number in range(100_000):
        user = random.choice(USERS)
        text = f"{name} said {number:05}"
        await memory.add(text, user_id=user, wait=False)
        print(user, text, sep="\t", flush=True)
        found = await memory.search(text, user_id=user, top_k=3)
        told = [one["memory"].removeprefix("Known: ") for one in found["results"]]  # it may be learned by now
        assert text in told, f"stale: {text}, {told}"


async def compare(memory: AsyncMemory) -> None:
    """What the indexes hold is what the store had at the sequence that they state."""
    indexes: Indexes = memory._indexes
    while True:
        for user in USERS:
            partition = Scope(user_id=user).partition
            index = await indexes.current(partition)
            delta = await memory._store.load(partition)
            if index.stand.head == delta.head:  # else somebody has written in between
                held = index.ords.values[index.alive.values & (np.arange(len(index.ids)) > 0)]
                assert sorted(map(int, held)) == sorted(row.ord for row in delta.rows), "not what it states"
        await asyncio.sleep(0.05)


async def main(url: str, model: str, name: str) -> None:
    llm = {"provider": "openai", "model": "m", "base_url": model, "retries": 0}
    store = {"provider": "postgres", "url": url}
    async with AsyncMemory(
        {"store": store, "embedder": "hash", "llm": llm, "settings": {"lease": 1.0}}
    ) as memory:
        await memory.stats()  # opened
        await asyncio.gather(add(memory, name), compare(memory))


asyncio.run(main(*sys.argv[1:]))
