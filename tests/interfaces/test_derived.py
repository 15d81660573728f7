"""Engines beside the store: told side by side, honest about what they lack, mended, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory
from perdure.engine.memory import Engine
from perdure.errors import ConfigurationError
from perdure.graphs.falkordb import FalkorGraph
from perdure.llms.openai import OpenAIModel
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder
from perdure.testing.models import ModelServer
from perdure.testing.servers import RedisServer
from perdure.vectors.redis import RedisVectors

PATIENCE = 20.0
SOON = 30.0
TEXTS = [
    "My sister Zoe moved to Lisbon",
    "I am allergic to peanuts",
    "The dog is called Rex and likes the beach",
    "On Mondays there is choir",
    "Zoe works at a bakery now",
]
QUESTIONS = [
    "Where does my sister live?",
    "What am I allergic to?",
    "Rex beach",
    "choir on Mondays",
    "bakery",
]


def states(seen: Any) -> dict[str, Any]:
    """Of each message one fact, and of "A likes B" the relation."""
    import json

    lines = [json.loads(line) for line in seen.content.split("\n")]
    said = [line["text"] for line in lines if line["line"].startswith("T")]
    facts, relations = [], []
    for place, text in enumerate(said, 1):
        about = {"turns": [place], "subject": "Ann", "attribute": text, "from": None, "to": None}
        facts.append({"text": text, **about, "categories": [], "action": "add", "memory": None})
        subject, relation, object_ = text.split(" ", 2)
        relations.append({"fact": place, "subject": subject, "relation": relation, "object": object_})
    return {"facts": facts, "relations": relations}


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(states) as running:
        yield running


@pytest.fixture
def make(tmp_path: Path, falkordb_server: RedisServer) -> Callable[..., Engine]:
    """Engines of one store, with what is beside it; each test has its own place there."""

    def made(**parts: Any) -> Engine:
        settings = Settings(**{"engine_wait": PATIENCE, **parts.pop("settings", {})})
        defaults: dict[str, Any] = {"store": SqliteStore(path=tmp_path / "m.db"), "embedder": HashEmbedder()}
        return Engine(**{**defaults, **parts}, settings=settings)

    return made


@pytest.fixture
def vectors(falkordb_server: RedisServer) -> Callable[..., RedisVectors]:
    return lambda **options: RedisVectors(**{"url": falkordb_server.url, "timeout": PATIENCE, **options})


@pytest.fixture
def graph(falkordb_server: RedisServer) -> Callable[..., FalkorGraph]:
    return lambda **options: FalkorGraph(**{"url": falkordb_server.url, "timeout": PATIENCE, **options})


def found(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(result["memory"], pytest.approx(result["score"], abs=0.002)) for result in answer["results"]]


def llm(model: ModelServer) -> OpenAIModel:
    return OpenAIModel(model="m", base_url=model.openai, api_key="none", retries=0)


async def until(true: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(SOON):
        while not await true():
            await asyncio.sleep(0.02)


async def behind(memory: Engine) -> dict[str, int]:
    return {state["role"]: state.get("behind", -1) for state in (await memory.doctor())["engines"]}


def edges(answer: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(r["source"], r["relationship"], r["destination"]) for r in answer.get("relations", ())}


def test_searches_with_a_vector_engine_find_what_they_find_without_one(make, vectors, tmp_path):
    async def run() -> None:
        apart = SqliteStore(path=tmp_path / "alone.db")
        async with make(vectors=vectors()) as beside, make(store=apart) as alone:
            for memory in (beside, alone):
                for text in TEXTS:
                    await memory.add(text, user_id="ann")
                [choir, *_] = (await memory.search("choir", user_id="ann"))["results"]
                await memory.update(choir["id"], "Choir is over for good")
                await memory.delete((await memory.search("peanuts", user_id="ann"))["results"][0]["id"])
            for question in QUESTIONS:
                for asked in ({}, {"filters": {"role": "user"}}, {"known_at": "2030-01-01"}):
                    told = await beside.search(question, user_id="ann", **asked)
                    assert found(told) == found(await alone.search(question, user_id="ann", **asked))
                    assert "notes" not in told
            held = [(await memory.stats())["index_bytes"] for memory in (beside, alone)]
            assert held[0] < held[1]  # vectors are in the engine, and not in this process

    asyncio.run(run())


def test_what_is_far_down_counts_as_near_as_the_last_candidate(make, vectors, monkeypatch):
    monkeypatch.setattr("perdure.engine.derived.legs.CANDIDATES", 3)

    async def run() -> None:
        async with make(vectors=vectors()) as memory:
            await memory.add(
                [{"role": "user", "content": f"{text}, {n}"} for text in TEXTS for n in range(9)],
                user_id="ann",
            )
            for question in QUESTIONS:
                best = (await memory.search(question, user_id="ann"))["results"][0]["memory"]
                assert best.split(",")[0] in TEXTS
            filtered = await memory.search("Rex", user_id="ann", filters={"metadata": {"none": 1}})
            assert filtered["results"] == []

    asyncio.run(run())


@dataclass(frozen=True, kw_only=True)
class WaitingVectors(RedisVectors):
    """Goes on when both engines have been told."""

    both: asyncio.Barrier = field(compare=False)

    async def put_vectors(self, *told: Any) -> None:
        await self.both.wait()
        await super().put_vectors(*told)


@dataclass(frozen=True, kw_only=True)
class WaitingGraph(FalkorGraph):
    both: asyncio.Barrier = field(compare=False)

    async def forget(self, *told: Any) -> None:
        await self.both.wait()
        await super().forget(*told)


def test_engines_are_told_side_by_side(make, falkordb_server):
    async def run() -> None:
        both = asyncio.Barrier(2)
        options = {"url": falkordb_server.url, "timeout": PATIENCE, "both": both}
        async with make(vectors=WaitingVectors(**options), graph=WaitingGraph(**options)) as memory:
            added = await memory.add("tea", user_id="ann")  # one after the other, they would wait for ever
            assert added["receipt"]["pending"] == []

    asyncio.run(run())


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "is another"])
def test_an_engine_that_cannot_be_had_delays_nobody_and_is_told_later(trouble, make, vectors, graph):
    async def run() -> None:
        with RedisServer() as server:
            wait = 0.3 if trouble == "hangs" else PATIENCE
            engines = {"vectors": vectors(url=server.url), "graph": graph()}
            async with make(**engines, settings={"engine_wait": wait}) as memory:
                await memory.add(TEXTS[0], user_id="ann")
                spoil, mend = {
                    "refuses": (server.stop, server.start),
                    "hangs": (server.hang, server.go_on),
                    "is another": (lambda: server.ask("FLUSHALL"), lambda: None),
                }[trouble]
                spoil()
                added = [await memory.add(text, user_id="ann") for text in TEXTS[1:]]
                assert [one["receipt"]["stored"] for one in added] == [1] * 4
                pending = added[0]["receipt"]["pending"]
                assert all(one.startswith("vectors in Redis at 127.0.0.1") for one in pending)
                told = await memory.search("Is there choir on Mondays?", user_id="ann")
                assert told["results"][0]["memory"] == TEXTS[3]
                if trouble != "is another":  # then it may have been told again already
                    assert len(pending) == 1
                    assert told["notes"][0].startswith("found without vectors: ")
                mend()
                await memory.flush(timeout=SOON)
                assert await behind(memory) == {"vectors": 0, "graph": 0}
                told = await memory.search("Is there choir on Mondays?", user_id="ann")
                assert "notes" not in told
                assert server.ask("KEYS", "*:vectors:*").count(b":vectors:") == 1

    asyncio.run(run())


def test_what_was_not_told_before_its_caller_gave_up_is_told_later(make, vectors):
    async def run() -> None:
        with RedisServer() as server:
            async with make(vectors=vectors(url=server.url, timeout=0.5)) as memory:
                await memory.add(TEXTS[0], user_id="ann")
                server.hang()
                adding = asyncio.create_task(memory.add(TEXTS[1], user_id="ann"))
                await until(lambda: _is_telling(memory))
                adding.cancel()
                await asyncio.gather(adding, return_exceptions=True)
                await until(lambda: _has_failed(memory))
                server.go_on()
                await until(lambda: _none_behind(memory))

    async def _is_telling(memory: Engine) -> bool:
        return bool(memory.live_stats()["queues"]["vectors.told"]["running"])

    async def _has_failed(memory: Engine) -> bool:
        return not await _is_telling(memory)

    async def _none_behind(memory: Engine) -> bool:
        return await behind(memory) == {"vectors": 0}

    asyncio.run(run())


def test_what_an_earlier_process_left_untold_is_told_by_the_next(make, vectors, tmp_path):
    async def run() -> None:
        with RedisServer() as server:
            server.stop()
            async with make(vectors=vectors(url=server.url)) as memory:
                for text in TEXTS:
                    await memory.add(text, user_id="ann")
            server.start()
            async with make(vectors=vectors(url=server.url)) as memory:
                await memory.get_all(user_id="ann")
                await until(lambda: _none_behind(memory))
            assert server.ask("KEYS", "*:vectors:*").count(b":vectors:") == 1

    async def _none_behind(memory: Engine) -> bool:
        return await behind(memory) == {"vectors": 0}

    asyncio.run(run())


def test_a_worker_tells_what_other_processes_left(make, vectors):
    async def run() -> None:
        off = make(settings={"background": False}, vectors=vectors(url="redis://127.0.0.1:1/0", timeout=1.0))
        async with off as memory:
            assert (await memory.add(TEXTS[0], user_id="ann"))["receipt"]["pending"]
        async with make(vectors=vectors(), settings={"background": False}) as memory:
            assert await behind(memory) == {"vectors": 1}
            work = asyncio.create_task(memory.work())

            async def told() -> bool:
                return await behind(memory) == {"vectors": 0}

            await until(told)
            work.cancel()

    asyncio.run(run())


def test_the_doctor_tells_the_lag_and_repairs_it(make, vectors):
    async def run() -> None:
        unreachable = vectors(url="redis://:hunter2@127.0.0.1:1/0", timeout=1.0)
        async with make(settings={"background": False}, vectors=unreachable) as memory:
            await memory.add(TEXTS[0], user_id="ann")
            [advice] = [a for a in (await memory.doctor())["advice"] if "vectors" in a]
            assert "vectors in Redis at 127.0.0.1:1/0 cannot be had" in advice
            assert "hunter2" not in advice
        async with make(vectors=vectors(), settings={"background": False}) as memory:
            told = await memory.doctor()
            assert told["problems"] == []
            [state] = told["engines"]
            assert (state["behind"], state["partitions"]) == (1, 1)
            assert any(
                "lacks 1 change (vectors): run `perdure doctor --repair`" in advice
                for advice in told["advice"]
            )
            told = await memory.doctor(repair=True)
            assert (told["engines"][0]["behind"], told["advice"]) == (0, [])

    asyncio.run(run())


def test_relations_around_the_names_in_a_question_are_found(make, graph, model):
    async def run() -> None:
        async with make(graph=graph(), llm=llm(model)) as memory:
            for text in ("Ann likes Bob", "Bob owns Rex", "Rex chases Tom", "Kim likes Zürich"):
                await memory.add(text, user_id="u")
            await memory.add("Ann likes Eve", user_id="other")
            around = await memory.search("What about ann?", user_id="u", top_k=1)
            assert edges(around) >= {("Ann", "likes", "Bob"), ("Bob", "owns", "Rex")}
            assert ("Rex", "chases", "Tom") not in edges(around)  # three steps away
            assert ("Ann", "likes", "Eve") not in edges(around)
            away = await memory.search("Who was in zurich?", user_id="u", top_k=1)
            assert edges(away) == {("Kim", "likes", "Zürich")}
            facts = (await memory.get_all(user_id="u"))["results"]
            [owning] = [fact["id"] for fact in facts if "owns" in fact["memory"]]
            await memory.delete(owning)
            after = await memory.search("What about ann?", user_id="u", top_k=1)
            assert edges(after) == {("Ann", "likes", "Bob")}

    asyncio.run(run())


def test_a_graph_that_is_behind_shows_nothing_that_is_gone(make, model):
    async def run() -> None:
        with RedisServer(falkordb=True) as server:
            graph = FalkorGraph(url=server.url, timeout=1.0)
            async with make(graph=graph, llm=llm(model), settings={"background": False}) as memory:
                added = await memory.add("Ann likes Bob", user_id="u")
                assert added["receipt"]["pending"] == []
                server.hang()
                await memory.delete(added["results"][0]["id"])
                server.go_on()
                told = await memory.search("Ann", user_id="u")
                assert edges(told) == set()

    asyncio.run(run())


def test_words_that_are_erased_are_erased_beside_the_store(make, model):
    def contents(server: RedisServer) -> bytes:
        keys = [line for line in server.ask("KEYS", "*").split(b"\r\n")[1:] if not line.startswith(b"$")]
        return b"".join(server.ask("DUMP", key) for key in keys if key)

    async def run() -> None:
        with RedisServer(falkordb=True) as server:
            options = {"url": server.url, "timeout": PATIENCE}
            engines = {"vectors": RedisVectors(**options), "graph": FalkorGraph(**options)}
            async with make(**engines, llm=llm(model)) as memory:
                await memory.add("Ann likes Quetzalcoatl", user_id="u")
                await memory.add("Kim likes tea", user_id="v")
                assert b"uetzalcoatl" in contents(server)
                erased = await memory.erase(user_id="u")
                assert "pending" not in erased
                assert b"uetzalcoatl" not in contents(server)
                sets = [
                    key for key in server.ask("KEYS", "*:vectors:*").split(b"\r\n") if b":vectors:" in key
                ]
                assert len(sets) == 1  # of the other user
                await memory.reset()
                assert not [
                    key
                    for key in server.ask("KEYS", "*").split(b"\r\n")
                    if b":vectors:" in key or b":graph:" in key
                ]

    asyncio.run(run())


def test_what_cannot_be_erased_beside_the_store_just_now_is_said_and_erased_later(make):
    async def run() -> None:
        with RedisServer() as server:
            engine = RedisVectors(url=server.url, timeout=1.0)
            async with make(vectors=engine) as memory:
                added = await memory.add("a secret", user_id="u")
                server.hang()
                erased = await memory.erase(added["results"][0]["id"])
                assert erased["pending"]
                server.go_on()
                await memory.flush(timeout=SOON)
                assert await behind(memory) == {"vectors": 0}
                assert b":vectors:" not in server.ask("KEYS", "*")

    asyncio.run(run())


def test_several_processes_tell_one_engine_and_none_is_lost(make, vectors, falkordb_server):
    async def run() -> None:
        async with make(vectors=vectors()) as one, make(vectors=vectors()) as other:
            async with asyncio.TaskGroup() as group:
                for n in range(30):
                    for memory in (one, other):
                        group.create_task(memory.add(f"note {n} of {memory is one}", user_id=f"u{n % 3}"))
            for memory in (one, other):
                assert (await memory.flush(timeout=SOON))["pending"] == 0
            identity = await one._store.identity()
            keys = falkordb_server.ask("KEYS", f"perdure:{identity}*:vectors:*").split(b"\r\n")
            sizes = [falkordb_server.ask("VCARD", key) for key in keys if b":vectors:" in key]
            assert sorted(sizes) == [b":20\r\n"] * 3

    asyncio.run(run())


def test_another_embedder_has_its_vectors_beside_and_the_old_ones_go(make, vectors, falkordb_server):
    async def run() -> None:
        async with make(vectors=vectors()) as memory:
            for text in TEXTS:
                await memory.add(text, user_id="ann")
            identity = await memory._store.identity()
        async with make(vectors=vectors(), embedder=HashEmbedder(dimensions=64)) as memory:
            assert (await memory.reindex())["reindexed"] == len(TEXTS)
            assert await behind(memory) == {"vectors": 0}
            told = await memory.search(QUESTIONS[0], user_id="ann")
            assert (told["results"][0]["memory"], told.get("notes")) == (TEXTS[0], None)
        sets = [
            k for k in falkordb_server.ask("KEYS", f"perdure:{identity}*").split(b"\r\n") if b":vectors:" in k
        ]
        assert [falkordb_server.ask("VDIM", key) for key in sets] == [b":64\r\n"]

    asyncio.run(run())


def test_an_import_and_a_clean_are_told_as_well(make, vectors, tmp_path):
    async def run() -> None:
        async with make(store=SqliteStore(path=tmp_path / "from.db")) as source:
            for text in TEXTS:
                await source.add(text, user_id="ann")
            records = [record async for record in source.export_records()]
        async with make(vectors=vectors()) as memory:
            await memory.import_records(records)
            assert await behind(memory) == {"vectors": 0}
            assert found(await memory.search("allergic", user_id="ann"))[0][0] == TEXTS[1]
            await memory.delete_all(user_id="ann")
            assert await behind(memory) == {"vectors": 0}

    asyncio.run(run())


def test_answers_that_lack_something_are_not_kept(make, vectors):
    async def run() -> None:
        with RedisServer() as server:
            from perdure.caches.memory import MemoryCache
            from perdure.ports.caches import Caches

            engines = {"vectors": vectors(url=server.url), "caches": Caches(answers=MemoryCache())}
            async with make(**engines) as memory:
                for text in TEXTS:
                    await memory.add(text, user_id="ann")
                server.stop()
                assert (await memory.search("choir", user_id="ann"))["notes"]
                server.start()
                await memory.flush(timeout=SOON)
                assert "notes" not in await memory.search("choir", user_id="ann")

    asyncio.run(run())


def test_engines_are_configured_by_name(falkordb_server, tmp_path):
    async def run() -> None:
        where = {"url": falkordb_server.url, "timeout": PATIENCE}
        config = {
            "path": str(tmp_path / "m.db"),
            "embedder": "hash",
            "vectors": {"provider": "redis", **where},
            "graph": {"provider": "falkordb", "config": where},
        }
        async with AsyncMemory(config) as memory:
            await memory.add("tea", user_id="ann")
            assert await behind(memory) == {"vectors": 0, "graph": 0}
            queues = memory.live_stats()["queues"]
            assert {queues[name]["bound"] for name in ("vectors.told", "graph.told")} == {8}
        with pytest.raises(ConfigurationError, match="no embedder"):
            AsyncMemory({**config, "embedder": None})

    asyncio.run(run())
