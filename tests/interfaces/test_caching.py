"""Caches in front of an engine: what they answer is what it would answer, and nothing of what was erased."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from perdure.caches.memory import MemoryCache
from perdure.caches.redis import RedisCache
from perdure.engine.memory import Engine
from perdure.ports.caches import Caches
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock, HashEmbedder, ServiceEmbedder, WordReranker

PATIENCE = 30


def embedding_service(**options):
    return ServiceEmbedder(dimensions=16, **options)


@dataclass(frozen=True, kw_only=True)
class Judge(WordReranker):
    """A reranker that remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    async def rerank(self, query, texts):
        self.asked.extend(texts)
        return await super().rerank(query, texts)


@dataclass(frozen=True, kw_only=True)
class Broken(WordReranker):
    """A reranker with a fault in it."""

    broken: bool = True

    async def rerank(self, query, texts):
        if self.broken:
            raise RuntimeError("a fault")
        return await super().rerank(query, texts)


class Stage:
    """Engines on one file."""

    def __init__(self, path, url=None):
        self.path = path
        self.url = url
        self.clock = Clock()
        self.stack = []

    def engine(self, *, local=True, shared=True, store=None, embedder=None, reranker=None, **settings):
        """With caches, unless they are not wanted."""
        caches = Caches(
            answers=MemoryCache() if local else None,
            vectors=MemoryCache() if local else None,
            shared=RedisCache(url=self.url, timeout=20.0, rest=0.05) if shared and self.url else None,
        )
        made = Engine(
            store=store or SqliteStore(path=self.path, synchronous="NORMAL"),
            embedder=embedder or HashEmbedder(dimensions=16),
            reranker=reranker,
            caches=caches,
            clock=self.clock,
            settings=Settings(categorize=False, **settings),
        )
        self.stack.append(made)
        return made


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path / "memory.db")


@pytest.fixture
def redis_stage(tmp_path, redis_server):
    return Stage(tmp_path / "memory.db", redis_server.url)


def play(stage, scenario):
    async def run():
        try:
            async with asyncio.timeout(10 * PATIENCE):
                await scenario()
        finally:
            for engine in stage.stack:
                await engine.close()

    asyncio.run(run())


def counts(engine, kind="answers"):
    told = engine._caching.told()[kind]
    return told["hits"], told["misses"]


async def texts(engine, query="tea", **asked):
    found = await engine.search(query, **{"user_id": "maya", "threshold": 0.0, **asked})
    return [result["memory"] for result in found["results"]]


def test_the_same_search_is_answered_again_without_searching(stage):
    async def scenario():
        memory = stage.engine()
        await memory.add("I like tea.", user_id="maya")
        first = await memory.search("tea", user_id="maya", explain=True)
        assert await memory.search("tea", user_id="maya", explain=True) == first
        assert await memory.search("  tea ", user_id="maya", explain=True) == first
        assert counts(memory) == (2, 1)
        assert await memory.search("tea", user_id="maya") != first
        assert counts(memory) == (2, 2)

    play(stage, scenario)


def test_what_a_caller_does_to_an_answer_is_its_own_business(stage):
    async def scenario():
        memory = stage.engine()
        await memory.add("I like tea.", user_id="maya", metadata={"tags": ["a", {"b": []}]})
        for _ in range(3):
            found = await memory.search("tea", user_id="maya")
            assert found["results"][0]["metadata"] == {"tags": ["a", {"b": []}]}
            found["results"][0]["metadata"]["tags"][1]["b"].append("spoilt")
            found["results"][0]["sources"].clear()

    play(stage, scenario)


@pytest.mark.parametrize("shared", [False, True])
def test_a_write_of_another_engine_is_seen_by_the_next_search(redis_stage, shared):
    async def scenario():
        one, other = (redis_stage.engine(shared=shared) for _ in range(2))
        for number in range(5):
            writer, reader = (one, other) if number % 2 else (other, one)
            await writer.add(f"Tea number {number}.", user_id="maya")
            assert len(await texts(reader)) == number + 1
            assert len(await texts(reader)) == number + 1
            await writer._caching.settle()

    play(redis_stage, scenario)


def test_a_write_elsewhere_leaves_an_answer_right_and_loads_nothing(stage):
    async def scenario():
        memory, other = stage.engine(), stage.engine()
        await memory.add("I like tea.", user_id="maya")
        found = await texts(memory)
        memory._indexes.drop()
        await other.add("I like coffee.", user_id="tom")
        assert await texts(memory) == found
        assert counts(memory) == (1, 1)
        assert memory._indexes.nbytes == 0

    play(stage, scenario)


def test_what_one_engine_found_another_gives_from_redis_without_loading_anything(redis_stage):
    async def scenario():
        one, other = redis_stage.engine(), redis_stage.engine()
        await one.add("I like tea.", user_id="maya", metadata={"a": 1.5, "b": [None, "ü"]}, agent_id="cook")
        asked = {"user_id": "maya", "explain": True}
        found = await one.search("tea", **asked)
        context = await one.context("tea", user_id="maya", format="messages")
        await one._caching.settle()
        assert await other.search("tea", **asked) == found
        assert await other.context("tea", user_id="maya", format="messages") == context
        assert other._caching.told()["answers"]["shared_hit_rate"] == 1.0
        assert other._indexes.nbytes == 0
        assert await other.search("tea", **asked) == found
        assert other._caching.told()["answers"]["memory_hit_rate"] == pytest.approx(1 / 3, abs=0.001)

    play(redis_stage, scenario)


def test_time_passes_for_cached_answers_too(stage):
    async def scenario():
        memory = stage.engine()
        await memory.add("I like tea.", user_id="maya")
        expires = stage.clock.now.replace(hour=18)
        await memory.add("The tea shop closes tonight.", user_id="maya", expiration_date=expires)
        assert len(await texts(memory)) == len(await texts(memory)) == 2
        stage.clock.advance(hours=5)
        assert len(await texts(memory)) == 2
        assert counts(memory) == (2, 1)
        stage.clock.advance(hours=1)
        assert len(await texts(memory)) == len(await texts(memory)) == 1
        assert len(await texts(memory, show_expired=True)) == 2
        stage.clock.advance(hours=-1)
        assert len(await texts(memory)) == 2

    play(stage, scenario)


def test_a_question_about_last_week_asks_about_another_one_a_week_later(stage):
    async def scenario():
        memory, plain = stage.engine(), stage.engine(local=False)
        for day in range(14):
            said = stage.clock.now - timedelta(days=day)
            await memory.add(f"Tea number {day}.", user_id="maya", timestamp=said, infer=False)
        for query in (
            "Which tea did I have yesterday?",
            "Which tea since Monday?",
            "Welcher Tee war gestern?",
        ):
            for _ in range(4):
                asked = {"user_id": "maya", "threshold": 0.0, "explain": True}
                told = await plain.search(query, **asked)
                assert await memory.search(query, **asked) == told
                assert await memory.search(query, **asked) == told
                stage.clock.advance(hours=9)
        assert counts(memory)[0] >= 4

    play(stage, scenario)


def test_a_search_of_another_moment_hears_no_clock(stage):
    async def scenario():
        memory = stage.engine()
        expires = stage.clock.now.replace(hour=18)
        await memory.add("The tea shop closes tonight.", user_id="maya", expiration_date=expires)
        noon = stage.clock.now
        assert len(await texts(memory, reference_date=noon)) == 1
        stage.clock.advance(days=1)
        assert len(await texts(memory, reference_date=noon)) == 1
        assert len(await texts(memory, known_at=noon)) == len(await texts(memory, known_at=noon)) == 1
        assert counts(memory) == (2, 2)

    play(stage, scenario)


def test_searches_over_several_partitions_see_each_of_them_and_new_ones(stage):
    async def scenario():
        memory, other = stage.engine(), stage.engine()
        everybody = {"user_id": None, "agent_id": "cook"}
        for number, user in enumerate(["ann", "bob", "ann", None, "tom"]):
            await other.add(f"Tea number {number}.", user_id=user, agent_id="cook")
            for _ in range(2):
                assert len(await texts(memory, **everybody)) == number + 1
                assert len(await texts(memory, user_id=None)) == number + 1
        assert counts(memory) == (10, 10)
        for number in range(20):
            await other.add("Tea for many.", user_id=f"user-{number}", agent_id="cook")
        assert len(await texts(memory, **everybody, limit=100)) == 25
        assert len(await texts(memory, **everybody, limit=100)) == 25
        assert counts(memory) == (10, 12)

    play(stage, scenario)


def test_an_answer_without_vectors_is_not_kept(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(embedder=service, vector_cache_bytes=0)
        await memory.add("I like tea.", user_id="maya")
        service.down = True
        assert (await memory.search("green tea", user_id="maya"))["notes"]
        service.down = False
        assert "notes" not in await memory.search("green tea", user_id="maya")
        service.down = True
        assert "notes" not in await memory.search("green tea", user_id="maya")

    play(stage, scenario)


def test_several_texts_are_looked_up_together_and_the_missing_ones_made_together(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(embedder=service)
        await memory.add("I like tea.", user_id="maya")
        one = await memory.search("tea", user_id="maya")
        service.asked.clear()
        found = await memory.search_many(["coffee", "tea", "water"], user_id="maya")
        assert found[1] == one
        assert service.asked == ["coffee", "water"]
        assert await memory.search_many(["coffee", "tea", "water"], user_id="maya") == found
        assert counts(memory) == (4, 3)

    play(stage, scenario)


def test_identical_searches_in_flight_are_one_and_see_what_was_written_before_each(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(embedder=service, vector_cache_bytes=0)
        await memory.add("I like tea.", user_id="maya")
        service.gate = asyncio.Event()
        early = [asyncio.create_task(texts(memory)) for _ in range(20)]
        while "tea" not in service.asked:
            await asyncio.sleep(0.001)
        writer = stage.engine(embedder=embedding_service())
        await writer.add("Green tea.", user_id="maya", infer=False)
        late = [asyncio.create_task(texts(memory)) for _ in range(20)]
        await asyncio.sleep(0.01)
        service.gate.set()
        assert all(len(found) >= 1 for found in await asyncio.gather(*early))
        assert all(len(found) == 2 for found in await asyncio.gather(*late))
        assert service.asked.count("tea") == 1
        assert counts(memory)[1] <= 3

    play(stage, scenario)


def test_who_gives_up_a_search_leaves_the_others_theirs(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(embedder=service)
        await memory.add("I like tea.", user_id="maya")
        service.gate = asyncio.Event()
        tasks = [asyncio.create_task(texts(memory)) for _ in range(5)]
        while "tea" not in service.asked:
            await asyncio.sleep(0.001)
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        service.gate.set()
        made = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, list) for one in made] == [False, True, True, True, True]

    play(stage, scenario)


def test_an_error_of_a_search_is_raised_for_all_who_asked_and_not_kept(stage):
    async def scenario():
        judge = Broken()
        memory = stage.engine(reranker=judge)
        await memory.add("I like tea.", user_id="maya")
        made = await asyncio.gather(*(texts(memory) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in made] == [RuntimeError] * 5
        object.__setattr__(judge, "broken", False)
        assert len(await texts(memory)) == 1

    play(stage, scenario)


def test_an_answer_without_the_second_opinion_is_not_kept(stage):
    async def scenario():
        judge = Judge(failing=True)
        memory = stage.engine(reranker=judge)
        await memory.add("I like tea.", user_id="maya")
        found = await memory.search("tea", user_id="maya")
        assert (len(found["results"]), found["notes"]) == (1, ["not reranked: the reranker was told to fail"])
        object.__setattr__(judge, "failing", False)
        assert "notes" not in await memory.search("tea", user_id="maya")

    play(stage, scenario)


def test_answers_of_other_models_and_rerankers_are_not_taken(redis_stage):
    async def scenario():
        plain, judged = redis_stage.engine(), redis_stage.engine(reranker=WordReranker())
        await plain.add("I like tea.", user_id="maya")
        for engine in (plain, judged):
            await engine.search("tea please", user_id="maya", threshold=0)
            await engine._caching.settle()
        assert counts(judged) == (0, 1)

    play(redis_stage, scenario)


def test_a_reranker_is_asked_once_for_each_text(redis_stage):
    async def scenario():
        judge, other = Judge(), Judge()
        memory, beside = redis_stage.engine(reranker=judge), redis_stage.engine(reranker=other)
        await memory.add("I like tea.", user_id="maya")
        await texts(memory)
        await memory.add("Green tea.", user_id="maya", infer=False)
        assert len(await texts(memory)) == 2
        assert judge.asked == ["I like tea.", "Green tea."]
        await memory.add("Black tea.", user_id="maya", infer=False)
        await memory._caching.settle()
        assert await texts(beside) == await texts(memory)
        assert set(other.asked) == {"Black tea."}

    play(redis_stage, scenario)


def test_a_service_is_asked_for_a_vector_once_by_all_processes_of_a_store(stage):
    async def scenario():
        one, other = embedding_service(), embedding_service()
        memory = stage.engine(embedder=one)
        await memory.add("I like tea.", user_id="maya")
        await memory.search("Which tea?", user_id="maya")
        await memory._caching.settle()
        beside = stage.engine(embedder=other)
        await beside.add("I like tea.", user_id="tom")
        await beside.search("Which tea?", user_id="maya")
        assert other.asked == []
        assert beside._caching.told()["vectors"]["shared_hit_rate"] == 1.0
        newer = embedding_service(model="service/2")
        await stage.engine(embedder=newer).reindex()
        assert newer.asked == ["I like tea."]  # twice there, once asked for

    play(stage, scenario)


def test_the_vectors_kept_in_a_store_are_bounded(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(embedder=service, vector_cache_bytes=64 * 10)
        await memory.add("I like tea.", user_id="maya")
        for number in range(30):
            await memory.search(f"Which tea of {number}?", user_id="maya")
            await memory._caching.settle()
        with closing(sqlite3.connect(stage.path)) as connection:
            [[count, size]] = connection.execute("SELECT count(*), sum(length(vector)) FROM vectors")
            [[told]] = connection.execute("SELECT value FROM meta WHERE key = 'vector_bytes'")
        assert 5 <= count <= 10
        assert told == size

    play(stage, scenario)


def test_with_caches_switched_off_everything_is_made_anew(stage):
    async def scenario():
        service = embedding_service()
        memory = stage.engine(local=False, embedder=service, vector_cache_bytes=0)
        await memory.add("I like tea.", user_id="maya")
        await texts(memory)
        await texts(memory)
        assert service.asked.count("tea") == 2
        assert counts(memory) == (0, 0)

    play(stage, scenario)


def test_an_older_answer_is_given_where_that_is_wished_and_never_after_an_erasure(stage):
    async def scenario():
        memory, other = stage.engine(stale_while=3600.0), stage.engine()
        await other.add("I like tea.", user_id="maya")
        kept = await other.add("Green tea.", user_id="maya", infer=False)
        assert len(await texts(memory)) == 2
        await other.add("Black tea.", user_id="maya", infer=False)
        assert len(await texts(memory)) == 2
        async with asyncio.timeout(PATIENCE):
            while len(await texts(memory)) == 2:
                await asyncio.sleep(0.001)
        assert memory._caching.told()["answers"]["stale"] >= 1
        await other.erase(kept["results"][0]["id"])
        assert "Green tea." not in await texts(memory)

    play(stage, scenario)


def test_an_older_answer_is_given_only_for_so_long(stage):
    async def scenario():
        memory = stage.engine(stale_while=0.05)
        await memory.add("I like tea.", user_id="maya")
        assert len(await texts(memory)) == 1
        until = time.time() + 0.05
        await memory.add("Green tea.", user_id="maya", infer=False)
        while time.time() <= until:
            await asyncio.sleep(0.01)
        assert len(await texts(memory)) == 2

    play(stage, scenario)


@pytest.mark.parametrize("verb", ["erase", "erase one", "reset"])
def test_nothing_of_what_was_erased_is_left_in_any_cache(redis_stage, redis_server, verb):
    async def scenario():
        service = embedding_service()
        memory = redis_stage.engine(embedder=service, reranker=WordReranker())
        beside = redis_stage.engine(embedder=embedding_service(), reranker=WordReranker())
        added = await memory.add("My locker code is zanzibar.", user_id="maya", agent_id="cook")
        await memory.add("I like tea.", user_id="tom")
        for engine in (memory, beside):
            await engine.search("locker code", user_id="maya", rerank=True)
            await engine.search("locker code", agent_id="cook", rerank=False)
            await engine.search("locker code", filters={"user_id": {"in": ["maya", "tom"]}})
            await engine.context("locker code", user_id="maya")
            await engine.search("tea", user_id="tom")
            await engine._caching.settle()
        [vector] = await HashEmbedder(dimensions=16).embed(["My locker code is zanzibar."])
        assert b"zanzibar" in redis_server.contents()
        assert vector.tobytes() in redis_server.contents()
        if verb == "erase one":
            assert (await memory.erase(added["results"][0]["id"]))["caches_cleared"]
        elif verb == "erase":
            assert (await memory.erase(user_id="maya"))["caches_cleared"]
        else:
            await memory.reset()
        assert b"zanzibar" not in redis_server.contents()
        assert vector.tobytes() not in redis_server.contents()
        assert memory._caching._caches.answers.sizes().entries == 0
        assert memory._caching._caches.vectors.sizes().entries == 0
        await beside.search("anything at all", user_id="tom")  # any look at the store tells of the erasure
        held = beside._caching._caches.answers._items
        assert not any(b"zanzibar" in item.value.payload for item in held.values())

    play(redis_stage, scenario)


def test_a_search_that_began_before_an_erasure_leaves_nothing_behind(redis_stage, redis_server):
    async def scenario():
        service = embedding_service()
        memory, beside = (
            redis_stage.engine(embedder=service),
            redis_stage.engine(embedder=embedding_service()),
        )
        await memory.add("My locker code is zanzibar.", user_id="maya")
        service.gate = asyncio.Event()
        searching = asyncio.create_task(memory.search("which locker code", user_id="maya"))
        while "which locker code" not in service.asked:
            await asyncio.sleep(0.001)
        await beside.erase(user_id="maya")
        service.gate.set()
        await searching
        await memory._caching.settle()
        assert b"zanzibar" not in redis_server.contents()

    play(redis_stage, scenario)


def test_what_redis_keeps_of_words_that_were_erased_while_it_was_away_goes_when_it_is_back(
    redis_stage, redis_server
):
    async def scenario():
        memory = redis_stage.engine()
        await memory.add("My locker code is zanzibar.", user_id="maya")
        await memory.search("locker code", user_id="maya")
        await memory._caching.settle()
        redis_server.ask("ACL", "SETUSER", "default", "-eval")
        assert not (await memory.erase(user_id="maya"))["caches_cleared"]
        assert b"zanzibar" in redis_server.contents()
        redis_server.ask("ACL", "SETUSER", "default", "+eval")
        async with asyncio.timeout(PATIENCE):
            while b"zanzibar" in redis_server.contents():
                await asyncio.sleep(0.05)

    play(redis_stage, scenario)


def test_no_text_is_in_a_key(redis_stage, redis_server):
    async def scenario():
        memory = redis_stage.engine(embedder=embedding_service(), reranker=WordReranker())
        await memory.add("I like zanzibar.", user_id="maya-zanzibar")
        await memory.search("zanzibar", user_id="maya-zanzibar")
        await memory._caching.settle()
        keys = redis_server.ask("KEYS", "*").split()
        keys += [f for key in keys if b":" in key for f in redis_server.ask("HKEYS", key).split()]
        assert len(keys) > 20
        assert not any(b"zanzibar" in key or b"maya" in key for key in keys)
        for cache in (memory._caching._caches.answers, memory._caching._caches.vectors):
            assert not any("zanzibar" in "".join(key) for key in cache._items)

    play(redis_stage, scenario)


def test_what_was_tampered_with_in_redis_is_not_believed(redis_stage, redis_server):
    async def scenario():
        memory = redis_stage.engine(local=False)
        await memory.add("I like tea.", user_id="maya")
        right = await memory.search("tea", user_id="maya")
        await memory._caching.settle()
        [key] = [k for k in redis_server.ask("KEYS", "*").split() if k.startswith(b"perdure:")]
        [name] = [
            n
            for n in redis_server.ask("HKEYS", key).split()
            if not n.startswith((b"$", b"*")) and b"#" not in n
        ]
        answer = redis_server.ask("HGET", key, name)
        value = answer.split(b"\r\n", 1)[1][: int(answer[1 : answer.index(b"\r\n")])]
        for spoilt in (
            value.replace(b"I like tea.", b"I like gin."),
            value[:-1],
            value[:8] + bytes(16) + value[24:],
            value[:24],
        ):
            redis_server.ask("HSET", key, name, spoilt)
            assert await memory.search("tea", user_id="maya") == right
            await memory._caching.settle()
        assert await memory.search("tea", user_id="maya") == right
        assert counts(memory) == (1, 5)

    play(redis_stage, scenario)


def test_stores_that_share_a_redis_do_not_share_memories(redis_stage, tmp_path):
    async def scenario():
        one = redis_stage.engine()
        two = redis_stage.engine(store=SqliteStore(path=tmp_path / "other.db"))
        three = redis_stage.engine(store=InMemoryStore())
        for number, memory in enumerate((one, two, three)):
            await memory.add(f"I like tea {number}.", user_id="maya")
            assert await texts(memory) == [f"I like tea {number}."]
            await memory._caching.settle()
        for number, memory in enumerate((one, two, three)):
            assert await texts(memory) == [f"I like tea {number}."]

    play(redis_stage, scenario)


def test_a_copy_of_a_store_that_went_another_way_gets_its_own_answers(redis_stage, tmp_path):
    async def scenario():
        one = redis_stage.engine()
        await one.add("I like tea.", user_id="maya")
        await one.backup(tmp_path / "copy.db")
        two = redis_stage.engine(store=SqliteStore(path=tmp_path / "copy.db"))
        await one.add("Green tea.", user_id="maya", infer=False)
        await two.add("Black tea.", user_id="maya", infer=False)
        assert "Green tea." in await texts(one)
        await one._caching.settle()
        assert "Green tea." not in await texts(two)
        await two._caching.settle()
        assert "Black tea." not in await texts(redis_stage.engine())

    play(redis_stage, scenario)
