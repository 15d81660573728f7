"""What the tests of several rooms share: servers."""

from collections.abc import Iterator

import pytest

from perdure.testing.chroma import ChromaServer
from perdure.testing.qdrant import QdrantServer
from perdure.testing.servers import PostgresServer, RedisServer


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A Redis for one test, empty."""
    _redis.ask("FLUSHALL")
    return _redis


@pytest.fixture(scope="session")
def falkordb_server() -> Iterator[RedisServer]:
    """A Redis with FalkorDB in it, for all tests; its vector sets are Redis 8's own."""
    with RedisServer(falkordb=True) as server:
        yield server


@pytest.fixture
def qdrant_server() -> Iterator[QdrantServer]:
    """What speaks Qdrant's HTTP, for one test."""
    with QdrantServer() as server:
        yield server


@pytest.fixture(scope="session")
def chroma_server() -> Iterator[ChromaServer]:
    """Chroma's own server, for all tests."""
    with ChromaServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests; each store has a schema of its own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def pgvector_server(postgres_server: PostgresServer) -> PostgresServer:
    """The same with pgvector in its database."""
    postgres_server.sql("CREATE EXTENSION vector")
    return postgres_server
