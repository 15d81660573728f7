"""Memories are found with every vector engine as without one, and trouble with an engine is told for what it is."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perdure.engine.memory import Engine
from perdure.errors import Closed, ConfigurationError, MissingExtra, Unavailable
from perdure.graphs.neo4j import Neo4jGraph
from perdure.ports import Embedder
from perdure.ports.derived import Counts, VectorEngine
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.bolt import BoltServer
from perdure.testing.chroma import ChromaServer
from perdure.testing.derived import ALICE, BOB, point, stated, unit
from perdure.testing.fakes import HashEmbedder
from perdure.testing.qdrant import QdrantServer
from perdure.testing.servers import PostgresServer, RedisServer
from perdure.types import Partition
from perdure.vectors.chroma import ChromaVectors
from perdure.vectors.milvus import MilvusVectors
from perdure.vectors.pgvector import PostgresVectors
from perdure.vectors.qdrant import QdrantVectors
from perdure.vectors.redis import RedisVectors

PATIENCE = 20.0
SOON = 0.5
TEXTS = [
    "My sister Zoe moved to Lisbon",
    "I am allergic to peanuts",
    "The dog is called Rex and likes the beach",
    "On Mondays there is choir",
    "Zoe works at a bakery now",
]
QUESTIONS = ["Where does my sister live?", "What am I allergic to?", "Rex beach", "choir on Mondays"]
ANN = Partition("default", "user:ann")
ENGINES = [
    "redis",
    "qdrant",
    "qdrant in a folder",
    "chroma",
    "chroma in a folder",
    "pgvector",
    "milvus in a folder",
]


@pytest.fixture(params=ENGINES)
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], VectorEngine]:
    """Makes one engine after another, each sees what the others hold."""
    name = str(request.param)
    engine = {
        "qdrant": QdrantVectors,
        "redis": RedisVectors,
        "chroma": ChromaVectors,
        "pgvector": PostgresVectors,
        "milvus": MilvusVectors,
    }[name.partition(" ")[0]]
    where: dict[str, Any] = {"path": tmp_path / "engine"}
    if name == "pgvector":
        where = {"url": request.getfixturevalue("pgvector_server").url()}
    elif "folder" not in name:
        where = {"url": request.getfixturevalue(f"{name}_server").url}
    return lambda: engine(**where, timeout=PATIENCE)


def found(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(result["memory"], pytest.approx(result["score"], abs=0.002)) for result in answer["results"]]


def memory(path: Path, vectors: VectorEngine | None = None, embedder: Embedder | None = None) -> Engine:
    settings = Settings(engine_wait=PATIENCE, cache_bytes=0)
    made_by = embedder or HashEmbedder()
    return Engine(store=SqliteStore(path=path), embedder=made_by, vectors=vectors, settings=settings)


def test_a_memory_finds_with_an_engine_what_it_finds_without_one(
    vectors: Callable[[], VectorEngine], tmp_path: Path
) -> None:
    async def run() -> None:
        async with memory(tmp_path / "a.db", vectors()) as beside, memory(tmp_path / "b.db") as alone:
            for one in (beside, alone):
                added = [await one.add(text, user_id="ann") for text in TEXTS]
                assert [receipt["receipt"]["pending"] for receipt in added] == [[]] * 5
                await one.add("Bob likes tea", user_id="bob")
                [choir, *_] = (await one.search("choir", user_id="ann"))["results"]
                await one.update(choir["id"], "Choir is over for good")
                await one.delete((await one.search("peanuts", user_id="ann"))["results"][0]["id"])
            for question in QUESTIONS:
                for asked in ({}, {"filters": {"role": "user"}}):
                    told = await beside.search(question, user_id="ann", **asked)
                    assert found(told) == found(await alone.search(question, user_id="ann", **asked))
                    assert "notes" not in told
            erased = await beside.erase(user_id="ann")
            assert "pending" not in erased
            assert (await beside.search("Zoe", user_id="ann"))["results"] == []
            assert len((await beside.search("tea", user_id="bob"))["results"]) == 1
            await beside.reset()

    asyncio.run(run())


def test_what_one_process_wrote_another_finds_after_it(
    vectors: Callable[[], VectorEngine], tmp_path: Path
) -> None:
    async def run() -> None:
        for text in TEXTS[:2]:
            async with memory(tmp_path / "a.db", vectors()) as one:
                await one.add(text, user_id="ann")
        async with memory(tmp_path / "a.db", vectors()) as one:
            told = await one.search("Lisbon", user_id="ann")
            assert told["results"][0]["memory"] == TEXTS[0]
            assert len(told["results"]) == 2
            await one.reset()

    asyncio.run(run())


def test_what_an_engine_lost_of_somebody_it_is_told_again_by_itself(
    vectors: Callable[[], VectorEngine], tmp_path: Path
) -> None:
    async def run() -> None:
        engine = vectors()
        assert isinstance(engine, Counts)
        async with memory(tmp_path / "a.db", engine) as beside, memory(tmp_path / "b.db") as alone:
            for one in (beside, alone):
                for text in TEXTS:
                    await one.add(text, user_id="ann")
            assert len((await beside.search(QUESTIONS[0], user_id="ann"))["results"]) == len(TEXTS)
            await engine.forget(ANN)
            for question in QUESTIONS:
                told = await beside.search(question, user_id="ann")
                assert found(told) == found(await alone.search(question, user_id="ann"))
            await until(lambda: holds(engine, len(TEXTS)))
            await until(lambda: nothing_behind(beside))
            await beside.reset()

    asyncio.run(run())


def test_an_engine_put_back_from_an_old_backup_is_told_what_it_lacks(
    vectors: Callable[[], VectorEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.engine.derived.legs.CANDIDATES", 2)  # which it still has

    async def run() -> None:
        engine = vectors()
        async with memory(tmp_path / "a.db", engine) as one:
            for text in TEXTS:
                await one.add(text, user_id="ann")
            await engine.put_vectors(ANN, [], [3, 4, 5])
        engine = vectors()
        assert isinstance(engine, Counts)
        async with memory(tmp_path / "a.db", engine) as one:
            told = await one.search("choir on Mondays", user_id="ann")
            assert told["results"][0]["memory"] == TEXTS[3]
            await until(lambda: holds(engine, len(TEXTS)))
            await one.reset()

    asyncio.run(run())


def test_vectors_that_came_late_and_are_not_told_yet_are_not_lost(
    vectors: Callable[[], VectorEngine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        engine, embedder = vectors(), Sleeping()
        assert isinstance(engine, Counts)
        async with memory(tmp_path / "a.db", engine, embedder) as one, memory(tmp_path / "a.db") as other:
            for text in TEXTS:
                await one.add(text, user_id="ann")
            assert await holds(engine, 0)
            assert (await other.retry())["pending"] == 0
            embedder.sleeps = False
            told = await one.search(QUESTIONS[0], user_id="ann")
            assert len(told["results"]) == len(TEXTS)
            assert (await one.flush())["pending"] == 0
            assert await holds(engine, len(TEXTS))
            await one.reset()

    asyncio.run(run())
    assert "lost" not in caplog.text


class Sleeping(HashEmbedder):
    """Cannot be had until it is woken."""

    sleeps = True

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.sleeps:
            raise Unavailable("it sleeps")
        return await super().embed(texts)


async def holds(engine: Counts, count: int) -> bool:
    return await engine.held(ANN) == count


async def nothing_behind(memory: Engine) -> bool:
    return [state["behind"] for state in (await memory.doctor())["engines"]] == [0]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.02)


def test_what_was_dropped_is_lost_until_it_is_opened_again(vectors: Callable[[], VectorEngine]) -> None:
    async def run() -> None:
        one, other = vectors(), vectors()
        contents = await one.open("lost", 16)
        await one.put_vectors(ALICE, [point(1)], [])
        await other.open("lost", 16)
        await other.drop("lost")
        for question in (
            lambda: one.nearest(ALICE, unit(1), limit=3, among=None),
            lambda: one.nearest(BOB, unit(1), limit=3, among=None),
            lambda: one.put_vectors(ALICE, [point(2)], []),
            lambda: one.forget(ALICE),
        ):
            with pytest.raises(Unavailable, match="has lost what it held"):
                await question()
        assert await one.open("lost", 16) != contents
        assert await one.nearest(ALICE, unit(1), limit=3, among=None) == []
        await one.drop("lost")
        await one.aclose()
        await other.aclose()

    asyncio.run(run())


def test_two_who_open_at_the_same_time_find_the_same(vectors: Callable[[], VectorEngine]) -> None:
    async def run() -> None:
        engines = [vectors() for _ in range(4)]
        contents = await asyncio.gather(*(engine.open("shared", 16) for engine in engines))
        assert [await engine.open("shared", 16) for engine in engines] == [
            await engines[0].open("shared", 16)
        ] * 4
        # Qdrant cannot be told to keep what is there: who was overtaken finds its contents lost, and opens again
        assert len(set(contents)) == 1 or engines[0].name.startswith("Qdrant")
        await engines[0].drop("shared")
        for engine in engines:
            await engine.aclose()

    asyncio.run(run())


def test_what_was_closed_says_so(vectors: Callable[[], VectorEngine]) -> None:
    async def run() -> None:
        engine = vectors()
        await engine.open("closed", 16)
        await engine.drop("closed")
        await engine.aclose()
        with pytest.raises(Closed):
            await engine.open("closed", 16)

    asyncio.run(run())


def test_an_engine_works_on_one_event_loop_after_another(vectors: Callable[[], VectorEngine]) -> None:
    engine = vectors()

    async def put() -> None:
        await engine.open("loops", 16)
        await engine.put_vectors(ALICE, [point(1)], [])

    async def find() -> None:
        assert [near.ord for near in await engine.nearest(ALICE, unit(1), limit=3, among=None)] == [1]
        await engine.drop("loops")
        await engine.aclose()

    asyncio.run(put())
    asyncio.run(find())


@pytest.mark.parametrize("options", [{}, {"prefer_grpc": True}])
def test_qdrant_is_asked_over_as_many_connections_as_are_configured(
    qdrant_server: QdrantServer, options: dict[str, Any]
) -> None:
    async def run() -> None:
        engine = QdrantVectors(
            url=qdrant_server.url,
            grpc_port=qdrant_server.grpc_port,
            **options,
            connection_pool_size=3,
            timeout=PATIENCE,
        )
        await engine.open("n", 16)
        await engine.put_vectors(ALICE, [point(1)], [])
        qdrant_server.peers.clear()
        for _ in range(3):
            await asyncio.gather(*(engine.nearest(ALICE, unit(1), limit=1, among=None) for _ in range(30)))
        assert len(qdrant_server.peers) == 3
        await engine.drop("n")
        await engine.aclose()

    asyncio.run(run())
    gc.collect()  # gRPC takes a lock where its channels are collected: not on a loop that is watched


def test_redis_looks_at_a_list_of_versions_for_none_of_its_vectors(redis_server: RedisServer) -> None:
    """Its time would grow with the vectors and with the list, one times the other."""

    async def run() -> None:
        engine = RedisVectors(url=redis_server.url, timeout=PATIENCE)
        await engine.open("n", 16)
        await engine.put_vectors(ALICE, [point(n) for n in range(1, 301)], [])
        redis_server.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
        redis_server.ask("SLOWLOG", "RESET")
        assert len(await engine.nearest(ALICE, unit(1), limit=20, among=range(1, 251))) == 20
        redis_server.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        told = redis_server.ask("SLOWLOG", "GET", "-1")
        assert told.count(b"VSIM") == 1
        assert b"FILTER" not in told
        await engine.drop("n")
        await engine.aclose()

    asyncio.run(run())


def test_redis_is_asked_over_as_many_connections_as_are_configured(redis_server: RedisServer) -> None:
    def connected() -> int:
        return redis_server.ask("CLIENT", "LIST").count(b" addr=")

    async def run() -> None:
        engine = RedisVectors(url=redis_server.url, connections=3, timeout=PATIENCE)
        before = connected()
        await engine.open("n", 16)
        await asyncio.gather(*(engine.nearest(ALICE, unit(1), limit=1, among=None) for _ in range(30)))
        assert connected() - before == 3
        await engine.drop("n")
        await engine.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("password", ["LION@TIGER", "LION/TIGER", "L?LION@TIGER"])
def test_a_password_that_is_not_escaped_is_shown_nowhere(password: str) -> None:
    with pytest.raises(ValueError, match="url") as told:
        PostgresVectors(url=f"postgresql://perdure:{password}@127.0.0.1:1/perdure")
    assert "LION" not in str(told.value)
    assert "TIGER" not in str(told.value)


@pytest.mark.parametrize(
    "made",
    [
        lambda: QdrantVectors(port=1, timeout=5),
        lambda: QdrantVectors(port=1, grpc_port=1, prefer_grpc=True, timeout=SOON),
        lambda: ChromaVectors(port=1, timeout=5),
        lambda: PostgresVectors(url="postgresql://u:hunter2@127.0.0.1:1/d", timeout=5),
        lambda: MilvusVectors(url="http://127.0.0.1:1", timeout=SOON),
        lambda: Neo4jGraph(url="bolt://127.0.0.1:1", timeout=SOON),
    ],
    ids=["qdrant", "qdrant by gRPC", "chroma", "pgvector", "milvus", "neo4j"],
)
def test_a_server_that_is_not_there_is_unavailable(made: Callable[[], Any]) -> None:
    async def run() -> None:
        engine = made()
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1|localhost:1") as told:
            await engine.open("n", 16)
        assert "hunter2" not in str(told.value)
        await engine.aclose()

    asyncio.run(run())
    gc.collect()  # gRPC takes a lock where its channels are collected: not on a loop that is watched


def test_a_server_that_hangs_is_given_up_in_time(
    qdrant_server: QdrantServer, pgvector_server: PostgresServer
) -> None:
    async def run() -> None:
        with ChromaServer() as chroma:
            servers = [
                (qdrant_server, QdrantVectors(url=qdrant_server.url, timeout=SOON)),
                (chroma, ChromaVectors(url=chroma.url, timeout=SOON)),
                (pgvector_server, PostgresVectors(url=pgvector_server.url(), timeout=SOON)),
            ]
            for server, engine in servers:
                async with asyncio.timeout(PATIENCE):
                    await until_it_opens(engine)
                server.hang()
                try:
                    async with asyncio.timeout(PATIENCE):
                        with pytest.raises(Unavailable):
                            await engine.nearest(ALICE, unit(1), limit=3, among=None)
                finally:
                    server.go_on()
                async with asyncio.timeout(PATIENCE):
                    await until_it_opens(engine)
                assert await engine.nearest(ALICE, unit(1), limit=3, among=None) == []
                await engine.drop("hangs")
                await engine.aclose()

    asyncio.run(run())


async def until_it_opens(engine: VectorEngine) -> None:
    """A machine that is shared is slow at times, and the time-out is short."""
    while True:
        try:
            await engine.open("hangs", 16)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.filterwarnings("ignore:Api key is used")
def test_who_is_not_let_in_has_a_configuration_to_mend(
    qdrant_server: QdrantServer, pgvector_server: PostgresServer, falkordb_server: RedisServer
) -> None:
    async def run() -> None:
        qdrant_server.api_key = "right"
        wrong = pgvector_server.url().replace(":perdure@", ":hunter2@")
        with BoltServer(redis_url=falkordb_server.url, graph="wrong", password="right") as bolt:
            for engine in (
                QdrantVectors(url=qdrant_server.url, api_key="hunter2", timeout=PATIENCE),
                PostgresVectors(url=wrong, timeout=PATIENCE),
                PostgresVectors(url=pgvector_server.url(), dbname="nowhere", timeout=PATIENCE),
                PostgresVectors(url=pgvector_server.url(), schema="nowhere", timeout=PATIENCE),
                Neo4jGraph(url=bolt.url, password="hunter2", timeout=PATIENCE),
            ):
                with pytest.raises((ConfigurationError, Unavailable)) as told:
                    await engine.open("n", 16)
                assert isinstance(told.value, ConfigurationError), engine
                assert "hunter2" not in str(told.value)
                await engine.aclose()

    asyncio.run(run())


def test_a_database_without_pgvector_says_who_has_to_do_what(pgvector_server: PostgresServer) -> None:
    async def run() -> None:
        engine = PostgresVectors(url=pgvector_server.url(database="bare"), timeout=PATIENCE)
        with pytest.raises(ConfigurationError, match="have an administrator run CREATE EXTENSION vector"):
            await engine.open("n", 16)
        await engine.aclose()

    pgvector_server.sql("CREATE DATABASE bare OWNER perdure")
    asyncio.run(run())
    pgvector_server.sql("DROP DATABASE bare")


def test_a_graph_that_was_emptied_says_so(falkordb_server: RedisServer) -> None:
    async def run() -> None:
        with BoltServer(redis_url=falkordb_server.url, graph="emptied") as bolt:
            engine = Neo4jGraph(url=bolt.url, timeout=PATIENCE)
            contents = await engine.open("n", 0)
            await engine.put_relations(ALICE, [stated(1, "Ann", "knows", "Bob")], [])
            falkordb_server.ask("UNLINK", "emptied")
            with pytest.raises(Unavailable, match="has lost what it held"):
                await engine.around(ALICE, ["ann"], depth=1, limit=3)
            assert await engine.open("n", 0) != contents
            bolt.failure = "Neo.TransientError.General.DatabaseUnavailable"
            other = Neo4jGraph(url=bolt.url, timeout=SOON)
            with pytest.raises(Unavailable, match="cannot be had"):
                await other.open("n", 0)
            bolt.failure = None
            await other.aclose()
            await engine.drop("n")
            await engine.aclose()
        falkordb_server.ask("UNLINK", "emptied")

    asyncio.run(run())


def test_values_are_no_part_of_a_statement(falkordb_server: RedisServer) -> None:
    async def run() -> list[str]:
        with BoltServer(redis_url=falkordb_server.url, graph="values") as bolt:
            engine = Neo4jGraph(url=bolt.url, timeout=PATIENCE)
            await engine.open("n", 0)
            await engine.put_relations(ALICE, [stated(1, "Zanzibar", "borders", "Quux")], [])
            await engine.around(ALICE, ["zanzibar"], depth=2, limit=3)
            await engine.drop("n")
            await engine.aclose()
            return [text for text, _ in bolt.statements]

    told = asyncio.run(run())
    assert len(told) > 8
    assert not [text for text in told if "anzibar" in text or "alice" in text]
    falkordb_server.ask("UNLINK", "values")


@pytest.mark.parametrize(
    ("engine", "package", "extra"),
    [(ChromaVectors, "chromadb", "perdure[chroma]"), (MilvusVectors, "milvus_lite", "milvus-lite")],
)
def test_a_folder_whose_package_is_not_installed_says_what_to_install(
    engine: Any, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        made = engine(path=tmp_path, timeout=PATIENCE)
        with pytest.raises(MissingExtra, match=re.escape(extra)):
            await made.open("n", 16)
        await made.aclose()

    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    asyncio.run(run())


@pytest.mark.parametrize(
    ("engine", "options", "says"),
    [
        (QdrantVectors, {"url": "http://a", "path": Path("b")}, "give one of url, host and path"),
        (QdrantVectors, {"hnsw_config": {"m": "many"}}, "hnsw_config is none that Qdrant knows"),
        (QdrantVectors, {"quantization_config": {"scalar": {"type": "int9"}}}, "quantization_config is none"),
        (ChromaVectors, {"url": "localhost"}, "url has to begin with http"),
        (ChromaVectors, {"host": "a", "path": Path("b")}, "give one of url, host and path"),
        (PostgresVectors, {"url": "what is this"}, "url is no connection string"),
        (PostgresVectors, {"connections": 0}, "connections has to be 1 or more"),
        (MilvusVectors, {"url": "http://a", "path": Path("b")}, "give one of url and path"),
        (MilvusVectors, {"prefix": "a-b"}, "prefix may have letters"),
        (Neo4jGraph, {"url": "http://a"}, "url has to begin with one of neo4j://"),
        (Neo4jGraph, {"prefix": "a b"}, "prefix may have letters"),
    ],
)
def test_options_that_cannot_work_are_refused_when_they_are_given(
    engine: type[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        engine(**options)
