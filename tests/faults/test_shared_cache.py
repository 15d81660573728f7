"""Processes over one PostgreSQL and one Redis, all in bad weather: nothing is lost or twice, and no answer is an old one."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.killing import SETTLED, Line, Process, Running, running
from tests.faults.shared_cache_process import EVERYTHING, USERS, search

from perdure import AsyncMemory
from perdure.testing.servers import PostgresServer, RedisServer

PROCESS = Path(__file__).with_name("shared_cache_process.py")
KILLS = 60 if os.environ.get("PERDURE_SOAK") else 6


def test_processes_that_share_a_store_and_a_cache_lose_nothing_and_find_nothing_old(postgres_server):
    database = "shared"
    postgres_server.sql(f"CREATE DATABASE {database} OWNER perdure", database="postgres")
    with RedisServer() as redis:
        asyncio.run(campaign(postgres_server, redis, database))


async def campaign(server: PostgresServer, redis: RedisServer, database: str) -> None:
    config = {
        "store": {"provider": "postgres", "url": server.url(database=database)},
        "embedder": "hash",
        "cache": {"provider": "redis", "url": redis.url, "timeout": 0.2, "rest": 0.05},
    }
    names = (f"p{n}" for n in count(1))

    def start() -> Process:
        return Process(PROCESS, json.dumps(config), next(names))

    async with AsyncMemory(config) as memory:
        await memory.stats()  # the schema is there
        with running(start, 3) as three:
            await kill_in_turn(memory, three, redis)
        await check(memory, three.acknowledged)
        async with asyncio.timeout(SETTLED):
            while not await shares(memory, config):
                await asyncio.sleep(0.05)


async def shares(memory: AsyncMemory, config: dict[str, Any]) -> bool:
    """Whether another process would have answers from the Redis: else all this would show nothing."""
    async with AsyncMemory(config) as other:
        for user in USERS:
            await search(memory, user)
            await search(other, user)
        return bool((await other.stats())["caches"]["answers"]["shared_hit_rate"])


async def kill_in_turn(memory: AsyncMemory, three: Running, redis: RedisServer) -> None:
    """One after the other, while the Redis is emptied, hangs and ends; whatever any acknowledges is found here at once."""
    pick = random.Random(KILLS)
    for turn in range(KILLS):
        begin, end = WEATHER[turn % len(WEATHER)]
        await asyncio.to_thread(begin, redis)
        one = three.alive[turn % 3]
        await asyncio.to_thread(one.wait, len(one.acknowledged) + pick.randrange(1, 8))
        await searched(memory, three)
        await asyncio.to_thread(end, redis)
        await searched(memory, three)
        await asyncio.to_thread(three.replace, turn)


WEATHER = (
    (lambda redis: redis.ask("FLUSHALL"), lambda redis: redis.ask("FLUSHALL")),
    (lambda redis: redis.hang(), lambda redis: redis.go_on()),
    (lambda redis: redis.stop(), lambda redis: redis.start()),
)


async def searched(memory: AsyncMemory, three: Running) -> None:
    """Search for all, and find what was acknowledged before."""
    before = [line for one in three.alive for line in one.acknowledged]
    held: set[tuple[str, str]] = set()
    for user in USERS:
        await search(memory, user)
        held.update(await listed(memory, user))
    _, gone = known([line for one in three.alive for line in one.acknowledged])
    assert known(before)[0] - gone <= held


async def check(memory: AsyncMemory, told: list[Line]) -> None:
    """All that was acknowledged is there, once."""
    added, deleted = known(told)
    assert len(added) > KILLS  # there was something to lose
    assert deleted
    held = Counter([one for user in USERS for one in await listed(memory, user)])
    assert added - deleted <= set(held)
    assert max(held.values()) == 1
    assert (await memory.doctor())["problems"] == []


async def listed(memory: AsyncMemory, user: str) -> list[tuple[str, str]]:
    found = await memory.get_all(user_id=user, limit=EVERYTHING, show_all=True)
    return [(user, one["memory"]) for one in found["results"]]


def known(told: list[Line]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What was added, and what was or may have been deleted."""
    added = {(user, text) for what, user, text in told if what == "added"}
    return added, {(user, text) for what, user, text in told if what == "deleting"}
