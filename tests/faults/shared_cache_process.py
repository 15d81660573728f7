"""A process to be killed: it adds, deletes and searches over one PostgreSQL and one Redis, and tells what was acknowledged."""

import asyncio
import json
import random
import sys

from perdure import AsyncMemory
from perdure.types import Scope

QUESTION, EVERYTHING = "Who said what?", 10_000
"""The same question again and again, so that there is something in the caches."""
USERS = tuple(f"user {n}" for n in range(5))


async def add(memory: AsyncMemory, name: str) -> None:
    """What was acknowledged is found at once; what is deleted is found no more."""
    for number in range(100_000):
        user = random.choice(USERS)
        text = f"{name} said {number:05}"
        added = await memory.add(text, user_id=user)
        print("added", user, text, sep="\t", flush=True)
        await search(memory, user)
        if number % 4 == 3:
            print("deleting", user, text, sep="\t", flush=True)
            await memory.delete(added["results"][0]["id"])
            await search(memory, user)


async def look(memory: AsyncMemory) -> None:
    """Ask what the others have written, and what was asked before."""
    while True:
        for user in USERS:
            await search(memory, user)
        await asyncio.sleep(0.01)


async def search(memory: AsyncMemory, user: str) -> None:
    """Find all that was there before and is there after it, once, and nothing that had been deleted before."""
    store, partition = memory._store, Scope(user_id=user).partition
    before = await store.load(partition, with_vectors=False)
    found = await memory.search(QUESTION, user_id=user, top_k=EVERYTHING)
    after = await store.load(partition, with_vectors=False)
    told = [one["id"] for one in found["results"]]
    then, now = ({row.id for row in delta.rows} for delta in (before, after))
    assert len(told) == len({*told}), "twice"
    assert then & now <= {*told}, "older than the store: some are missing"
    for one in {*told} - then - now:  # it came and went meanwhile
        [added, *_] = await store.history(partition.tenant, one)
        assert added.seq > before.head, "older than the store: some are gone"


async def main(config: str, name: str) -> None:
    async with AsyncMemory(json.loads(config)) as memory:
        await memory.stats()  # opened
        await asyncio.gather(add(memory, name), look(memory))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
