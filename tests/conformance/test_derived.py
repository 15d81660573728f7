"""Each engine beside the store keeps every promise of its port."""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.errors import ConfigurationError, Unavailable
from perdure.graphs.falkordb import FalkorGraph
from perdure.graphs.neo4j import Neo4jGraph
from perdure.testing.bolt import BoltServer
from perdure.testing.chroma import ChromaServer
from perdure.testing.derived import (
    ALICE,
    GraphEngineConformance,
    VectorEngineConformance,
    point,
    stated,
    unit,
)
from perdure.testing.milvus import MilvusServer
from perdure.testing.qdrant import QdrantServer
from perdure.testing.servers import PostgresServer, RedisServer
from perdure.vectors.chroma import ChromaVectors
from perdure.vectors.milvus import MilvusVectors
from perdure.vectors.pgvector import PostgresVectors
from perdure.vectors.qdrant import QdrantVectors
from perdure.vectors.redis import RedisVectors

PATIENCE = 20.0
"""Seconds: machines that are shared are slow at times."""


class TestRedisVectors(VectorEngineConformance):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: RedisServer) -> None:
        self.url = redis_server.url

    def make(self) -> RedisVectors:
        return RedisVectors(url=self.url, timeout=PATIENCE)


class TestRedisVectorsByTheirIndex(TestRedisVectors):
    """No partition is small enough to be searched exactly."""

    def make(self) -> RedisVectors:
        return RedisVectors(url=self.url, timeout=PATIENCE, exact=0)


class TestRedisVectorsOfOneByte(TestRedisVectors):
    tolerance = 0.02
    least_recall = 0.9

    def make(self) -> RedisVectors:
        return RedisVectors(url=self.url, timeout=PATIENCE, quantization="int8")


class TestQdrantVectorsInAFolder(VectorEngineConformance):
    """The client's own local mode."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    def make(self) -> QdrantVectors:
        return QdrantVectors(path=self.path, timeout=PATIENCE)


class TestQdrantVectorsOverHttp(VectorEngineConformance):
    """The requests that Qdrant describes, to a server that answers as the local mode does."""

    @pytest.fixture(autouse=True)
    def server(self, qdrant_server: QdrantServer) -> None:
        self.url = qdrant_server.url

    def make(self) -> QdrantVectors:
        return QdrantVectors(url=self.url, timeout=PATIENCE)


class TestQdrantVectorsOverGrpc(VectorEngineConformance):
    @pytest.fixture(autouse=True)
    def server(self, qdrant_server: QdrantServer) -> Iterator[None]:
        self.url, self.port = qdrant_server.url, qdrant_server.grpc_port
        yield
        gc.collect()  # gRPC takes a lock where its channels are collected: not on a loop that is watched

    def make(self) -> QdrantVectors:
        return QdrantVectors(url=self.url, grpc_port=self.port, prefer_grpc=True, timeout=PATIENCE)


class TestQdrantVectorsByTheirIndex(TestQdrantVectorsOverHttp):
    """No partition is small enough to be searched exactly."""

    def make(self) -> QdrantVectors:
        return QdrantVectors(url=self.url, timeout=PATIENCE, exact=0)


class TestChromaVectorsOnItsServer(VectorEngineConformance):
    @pytest.fixture(autouse=True)
    def server(self, chroma_server: ChromaServer) -> None:
        self.url = chroma_server.url

    def make(self) -> ChromaVectors:
        return ChromaVectors(url=self.url, api_key="hunter2", timeout=PATIENCE)


class TestChromaVectorsInAFolder(VectorEngineConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    def make(self) -> ChromaVectors:
        return ChromaVectors(path=self.path, timeout=PATIENCE)


class TestPostgresVectors(VectorEngineConformance):
    @pytest.fixture(autouse=True)
    def server(self, pgvector_server: PostgresServer) -> None:
        self.url = pgvector_server.url()

    def make(self) -> PostgresVectors:
        return PostgresVectors(url=self.url, password="perdure", timeout=PATIENCE)


class TestPostgresVectorsByTheirIndex(TestPostgresVectors):
    """No partition is small enough to be searched exactly."""

    def make(self) -> PostgresVectors:
        return PostgresVectors(url=self.url, hnsw=True, exact=0, timeout=PATIENCE)


class TestMilvusVectorsInAFolder(VectorEngineConformance):
    """Milvus Lite."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "milvus"

    def make(self) -> MilvusVectors:
        return MilvusVectors(path=self.path, timeout=PATIENCE)


if os.environ.get("PERDURE_SOAK"):

    class TestMilvusVectorsOnItsServer(VectorEngineConformance):
        """Milvus's own server: making a collection takes it seconds."""

        @pytest.fixture(autouse=True, scope="class")
        @classmethod
        def server(cls) -> Iterator[None]:
            with MilvusServer() as server:
                cls.url = server.url
                yield

        def make(self) -> MilvusVectors:
            return MilvusVectors(url=self.url, timeout=PATIENCE)


class TestMilvusVectorsByAnIndex(TestMilvusVectorsInAFolder):
    def make(self) -> MilvusVectors:
        return MilvusVectors(path=self.path, index_type="HNSW", timeout=PATIENCE)


if MILVUS_URL := os.environ.get("MILVUS_URL"):

    class TestMilvusVectorsOnAServer(VectorEngineConformance):
        """A real one, named by MILVUS_URL (and MILVUS_TOKEN)."""

        def make(self) -> MilvusVectors:
            return MilvusVectors(url=MILVUS_URL, token=os.environ.get("MILVUS_TOKEN"), timeout=PATIENCE)


if QDRANT_URL := os.environ.get("QDRANT_URL"):

    class TestQdrantVectorsOnAServer(VectorEngineConformance):
        """A real one, named by QDRANT_URL (and QDRANT_API_KEY)."""

        def make(self) -> QdrantVectors:
            return QdrantVectors(url=QDRANT_URL, api_key=os.environ.get("QDRANT_API_KEY"), timeout=PATIENCE)


class TestFalkorGraph(GraphEngineConformance):
    @pytest.fixture(autouse=True)
    def server(self, falkordb_server: RedisServer) -> None:
        self.url = falkordb_server.url

    def make(self) -> FalkorGraph:
        return FalkorGraph(url=self.url, timeout=PATIENCE)


class TestNeo4jGraph(GraphEngineConformance):
    """Neo4j's own driver, over Bolt, to a server that has FalkorDB answer."""

    @pytest.fixture(autouse=True)
    def server(self, falkordb_server: RedisServer) -> Iterator[None]:
        with BoltServer(redis_url=falkordb_server.url, graph="neo4j", password="hunter2") as bolt:
            self.url = bolt.url
            yield
        falkordb_server.ask("UNLINK", "neo4j")

    def make(self) -> Neo4jGraph:
        return Neo4jGraph(url=self.url, password="hunter2", timeout=PATIENCE)


if NEO4J_URL := os.environ.get("NEO4J_URL"):

    class TestNeo4jGraphOnAServer(GraphEngineConformance):
        """A real one, named by NEO4J_URL (and NEO4J_USERNAME, NEO4J_PASSWORD)."""

        def make(self) -> Neo4jGraph:
            return Neo4jGraph(
                url=NEO4J_URL,
                username=os.environ.get("NEO4J_USERNAME", "neo4j"),
                password=os.environ.get("NEO4J_PASSWORD"),
                timeout=PATIENCE,
            )


def test_redis_that_was_emptied_says_so_until_it_is_opened_again(redis_server: RedisServer) -> None:
    async def run() -> None:
        engine = RedisVectors(url=redis_server.url, timeout=PATIENCE)
        contents = await engine.open("n", 16)
        await engine.put_vectors(ALICE, [point(1)], [])
        redis_server.ask("FLUSHALL")
        with pytest.raises(Unavailable, match="has lost what it held"):
            await engine.nearest(ALICE, unit(1), limit=1, among=None)
        assert await engine.open("n", 16) != contents
        assert await engine.nearest(ALICE, unit(1), limit=1, among=None) == []
        await engine.aclose()

    asyncio.run(run())


def test_nothing_of_what_was_removed_stays_in_redis(redis_server: RedisServer) -> None:
    async def run() -> None:
        engine = RedisVectors(url=redis_server.url, timeout=PATIENCE)
        await engine.open("n", 16)
        await engine.put_vectors(ALICE, [point(1, 1, 2, 3), point(2)], [])
        await engine.put_vectors(ALICE, [], [1, 2])
        assert redis_server.ask("KEYS", "*").count(b"perdure:n:") == 1  # the mark
        await engine.drop("n")
        assert redis_server.ask("DBSIZE") == b":0\r\n"
        await engine.aclose()

    asyncio.run(run())


def test_no_word_stays_in_falkordb_when_what_states_it_is_dead(falkordb_server: RedisServer) -> None:
    async def run() -> bytes:
        engine = FalkorGraph(url=falkordb_server.url, timeout=PATIENCE)
        await engine.open("words", 0)
        await engine.put_relations(
            ALICE, [stated(1, "Zanzibar", "borders", "Ann"), stated(2, "Ann", "is", "x")], []
        )
        await engine.around(ALICE, ["zanzibar"], depth=1, limit=3)
        await engine.put_relations(ALICE, [], [1])
        await engine.aclose()
        await asyncio.sleep(1.5)  # FalkorDB notes queries once a second, when it does
        held = falkordb_server.ask("KEYS", "*words*")
        return held + b"".join(
            falkordb_server.ask("DUMP", key)
            for key in held.split(b"\r\n")
            if key.startswith((b"perdure:", b"telemetry"))
        )

    held = asyncio.run(run())
    assert b"perdure:words:graph" in held
    assert b"telemetry" not in held
    assert b"anzibar" not in held


@pytest.mark.parametrize(("engine", "needs"), [(FalkorGraph, "a newer version or a module")])
def test_a_redis_that_cannot_do_it_is_a_fault_of_the_configuration(
    redis_server: RedisServer, engine: type[FalkorGraph], needs: str
) -> None:
    async def run() -> None:
        made = engine(url=redis_server.url, timeout=PATIENCE)
        with pytest.raises(ConfigurationError, match=needs):
            await made.open("n", 0)
        await made.aclose()

    asyncio.run(run())
