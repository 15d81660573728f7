"""Redis that is not there, hangs, is full, is emptied, or holds what nobody put there: misses, and nothing else."""

import asyncio
import logging

import pytest

from perdure.caches.redis import RedisCache
from perdure.engine.caching.behind import Behind
from perdure.engine.memory import Engine
from perdure.ports.caches import Caches, Item, Key
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.caches import put, values
from perdure.testing.fakes import ServiceEmbedder, WordReranker
from perdure.testing.servers import RedisServer

A, B = Key("g", "a"), Key("g", "b")


@pytest.fixture
def server():
    with RedisServer(options=("--maxmemory", "4mb", "--maxmemory-policy", "noeviction")) as server:
        yield server


def play(url, scenario, **options):
    async def run():
        cache = RedisCache(url=url, **{"timeout": 20.0, "rest": 0.05, **options})
        try:
            return await scenario(cache)
        finally:
            await cache.aclose()

    return asyncio.run(run())


async def until(cache, key, value):
    """It comes back by itself; whoever asks is never refused."""
    async with asyncio.timeout(30):
        while await values(cache, key) != [value]:
            await put(cache, key, value)
            await asyncio.sleep(0.02)


def test_without_a_redis_everything_is_a_miss_and_one_line_says_so(caplog):
    async def scenario(cache):
        for _ in range(5):
            await put(cache, A, b"secret words")
            assert await values(cache, A) == [None]
            assert not await cache.drop(["g"])
            assert not await cache.drop(None)
        return cache.sizes().failures

    with caplog.at_level(logging.INFO):
        assert play("redis://127.0.0.1:1/0", scenario) >= 5
    [line] = caplog.messages
    assert "the Redis cache fails" in line
    assert "secret" not in line


def test_while_it_is_left_alone_nobody_waits_for_it(server):
    server.hang()

    async def scenario(cache):
        assert await values(cache, A) == [None]
        async with asyncio.timeout(20):  # a thousand time-outs would be ten times that
            for _ in range(1000):
                assert await values(cache, A) == [None]

    play(server.url, scenario, timeout=0.2, rest=3600)
    server.go_on()


def test_a_redis_that_is_killed_and_started_again_is_used_again(server, caplog):
    async def scenario(cache):
        await put(cache, A, b"one")
        server.stop()
        assert await values(cache, A) == [None]
        await put(cache, A, b"two")
        server.start()
        await until(cache, A, b"three")

    with caplog.at_level(logging.INFO):
        play(server.url, scenario)
    assert [m.split(" (")[0] for m in caplog.messages] == [
        "the Redis cache fails",
        "the Redis cache works again",
    ]


def test_a_redis_that_hangs_costs_one_time_out_and_is_used_again(server):
    async def scenario(cache):
        await put(cache, A, b"one")
        server.hang()
        assert await values(cache, A) == [None]
        server.go_on()
        await until(cache, A, b"two")

    play(server.url, scenario, timeout=0.5)


def test_a_full_redis_takes_nothing_more_and_still_gives_what_it_has(server):
    async def scenario(cache):
        await put(cache, A, b"kept")
        for number in range(20):
            await put(cache, Key(f"g{number}", "a"), bytes(500_000))
        assert await values(cache, A) == [b"kept"]
        assert cache.sizes().failures > 0
        assert await cache.drop([f"g{number}" for number in range(20)])
        await put(cache, B, b"more")
        assert await values(cache, B) == [b"more"]

    play(server.url, scenario)


def test_an_emptied_redis_is_a_miss_and_takes_what_is_made_after_it(server):
    async def scenario(cache):
        await cache.drop(["g"])
        await put(cache, A, b"one")
        server.ask("FLUSHALL")
        await until(cache, A, b"two")

    play(server.url, scenario)


@pytest.mark.parametrize(
    "spoil",
    [
        ("SET", "perdure:g", "somebody else's"),
        ("HSET", "perdure:g", "a", ""),
        ("HSET", "perdure:g", "a", "seven b"),
        ("HSET", "perdure:g", "a", b"\xff" * 8 + b"no time"),
    ],
)
def test_what_nobody_put_there_is_a_miss(server, spoil):
    async def scenario(cache):
        server.ask(*spoil)
        assert await values(cache, A) == [None]
        assert await cache.drop(["g"])
        await put(cache, A, b"ours")
        assert await values(cache, A) == [b"ours"]

    play(server.url, scenario)


def test_a_group_that_grows_too_large_begins_anew(server):
    async def scenario(cache):
        for number in range(30):
            await put(cache, Key("g", str(number)), b"here")
        kept = [value for value in await values(cache, *(Key("g", str(n)) for n in range(30))) if value]
        assert 1 <= len(kept) <= 11

    play(server.url, scenario, max_group=10)


def test_a_wrong_password_is_a_miss_and_shows_in_no_log(server, caplog):
    server.ask("CONFIG", "SET", "requirepass", "right")
    url = f"redis://127.0.0.1:{server.port}/0"

    async def scenario(cache):
        await put(cache, A, b"one")
        return await values(cache, A)

    assert play(url, scenario, password="wrong-one") == [None]
    assert play(url, scenario, password="right") == [b"one"]
    assert "wrong-one" not in caplog.text
    assert "wrong-one" not in repr(RedisCache(url="redis://:wrong-one@h", password="wrong-one"))


def test_cancelling_who_waits_leaves_the_cache_in_order(server):
    async def scenario(cache):
        await put(cache, A, b"one")
        server.hang()
        waiting = [asyncio.create_task(values(cache, A)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        server.go_on()
        assert await values(cache, A, B) == [b"one", None]

    play(server.url, scenario)


# ---- behind an engine


TROUBLES = {
    "killed": lambda server: server.stop(),
    "hanging": lambda server: server.hang(),
    "emptied": lambda server: server.ask("FLUSHALL"),
    "full": lambda server: server.ask("CONFIG", "SET", "maxmemory", "1"),
    "refusing": lambda server: server.ask("ACL", "SETUSER", "default", "-@hash", "-@scripting"),
    "somebody else's": lambda server: [
        server.ask("SET", key, "what?")
        for key in server.ask("KEYS", "*").split()
        if key.startswith(b"perdure:")
    ],
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_happens_to_redis_searches_and_writes_go_on_and_are_right(server, trouble, tmp_path):
    def engine(caches):
        store = SqliteStore(path=tmp_path / "memory.db", synchronous="NORMAL")
        settings = Settings(categorize=False, vector_cache_bytes=0)
        embedder = ServiceEmbedder(dimensions=8)
        return Engine(
            store=store, embedder=embedder, reranker=WordReranker(), caches=caches, settings=settings
        )

    async def scenario():
        shared = RedisCache(url=server.url, timeout=0.3, rest=0.01)
        memory, plain = engine(Caches(shared=shared)), engine(None)
        async with asyncio.timeout(120), memory, plain:
            for number in range(30):
                if number == 10:
                    TROUBLES[trouble](server)
                if number == 20 and trouble == "killed":
                    server.start()
                if number == 20 and trouble == "hanging":
                    server.go_on()
                added = await memory.add(f"Tea number {number}.", user_id="maya", infer=False)
                if number % 7 == 6:
                    await memory.erase(added["results"][0]["id"])
                for query in ("tea", f"number {number // 2}", "tea"):
                    told = await plain.search(query, user_id="maya", limit=50)
                    assert await memory.search(query, user_id="maya", limit=50) == told
            return (await memory.stats())["caches"]

    told = asyncio.run(scenario())
    assert told["answers"]["hits"] >= 5  # before the trouble, at least


def test_a_full_redis_and_many_threads_of_work_leave_no_task_behind(server):
    async def scenario():
        cache = RedisCache(url=server.url, timeout=20.0)
        behind = Behind(cache, bytes)
        held = await cache.get([A])
        behind.put(
            [Item(Key("g", str(n)), bytes(10_000), 0, 60.0, held[0].version, "") for n in range(1_000)]
        )
        await behind.aclose()
        await cache.aclose()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(scenario()) == []
