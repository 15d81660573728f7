"""What the caches give: many users who ask the same things again, and write now and then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import numpy as np

from bench import workload
from bench.harness import Figures, Job, median
from perdure import AsyncMemory
from perdure.testing.servers import RedisServer

USERS = 1_000
QUESTIONS = 3
"""Of each user: what an application asks at every turn, as preferences, profile and plans."""
WRITE = 0.05
"""The share of writes among all operations."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One user's search, or add when `write`."""

    user: int
    text: str
    write: bool


def zipf(size: int) -> np.ndarray:
    """Chances that fall with the rank, s = 1."""
    chances = 1.0 / np.arange(1, size + 1)
    return chances / chances.sum()


def operations(number: int, *, seed: int) -> list[Operation]:
    """Users by Zipf's law, and of each user's own questions likewise the first ones most."""
    rng = np.random.default_rng(seed)
    users = rng.choice(USERS, size=number, p=zipf(USERS))
    asked = rng.choice(QUESTIONS, size=number, p=zipf(QUESTIONS))
    writes = rng.random(number) < WRITE
    new = workload.texts(number, seed=10_000 + seed)
    return [
        Operation(user=int(user), text=text if write else question(int(user), int(place)), write=bool(write))
        for user, place, write, text in zip(users, asked, writes, new, strict=True)
    ]


def question(user: int, place: int) -> str:
    """As long as one in a chat, and nobody else's."""
    words = np.random.default_rng([user, place]).choice(workload.vocabulary()[100:], size=4)
    return f"What about {' '.join(words)}?"


async def fill(memory: AsyncMemory, rows: int) -> None:
    """A few memories for each user."""
    texts = list(workload.texts(rows, seed=5))
    for user in range(USERS):
        await memory.add(texts[user::USERS], user_id=f"user-{user}", infer=False)


async def play(
    memory: AsyncMemory, todo: list[Operation], beside: AsyncMemory
) -> tuple[list[float], list[float], list[float]]:
    """The milliseconds of each search that a cache answered, of each other, and of the others `beside`."""
    hits, misses, uncached = [], [], []
    for operation in todo:
        user = f"user-{operation.user}"
        if operation.write:
            await memory.add(operation.text, user_id=user, infer=False)
            await beside.add(operation.text, user_id=user, infer=False)
            continue
        before = known(memory)
        took = await ms(memory, operation.text, user)
        if known(memory) > before:
            hits.append(took)
        else:
            misses.append(took)
            uncached += [await ms(beside, operation.text, user)]
    return hits, misses, uncached


async def ms(memory: AsyncMemory, text: str, user: str) -> float:
    """What a search takes."""
    began = perf_counter()
    await memory.search(text, user_id=user)
    return (perf_counter() - began) * 1000


def known(memory: AsyncMemory) -> int:
    """How many answers came from a cache so far."""
    return int(memory._caching.told()["answers"]["hits"])  # noqa: SLF001  # as `stats` tells it, without counting rows


async def cache(job: Job) -> AsyncGenerator[Figures, None]:
    """The goals, and the same for an engine that has a Redis and holds nothing itself."""
    paths = [str(job.directory / f"{name}.db") for name in ("with", "without", "sharing")]
    async with AsyncMemory.from_config({"path": paths[0]}) as first:
        await fill(first, job.rows)
        for path in paths[1:]:
            await first.backup(path)
    off = {"settings": {"cache_bytes": 0}}
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        configurations = ({}, off, {**off, "cache": {"provider": "redis", "url": redis.url}})
        memory, without, sharing = [
            await stack.enter_async_context(AsyncMemory.from_config({"path": path, **more}))
            for path, more in zip(paths, configurations, strict=True)
        ]
        yield {}
        for number in count():
            todo = operations(job.calls, seed=number)
            hits, misses, uncached = await play(memory, todo, without)
            there, not_there, beside = await play(sharing, todo, without)
            yield {
                "cache_hit_rate": len(hits) / (len(hits) + len(misses)),
                "cache_hit_ms": median(hits),
                "cache_miss_times": median(misses) / median(uncached),
                "cache_redis_hit_ms": median(there),
                "cache_redis_miss_times": median(not_there) / median(beside),
            }
