"""What the tests of several rooms share: servers, and a watch over every event loop."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests import loops

from perdure.testing.chroma import ChromaServer
from perdure.testing.qdrant import QdrantServer
from perdure.testing.servers import PostgresServer, RedisServer

# How long an example takes says how busy the machine is.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

DEBUGGED = frozenset(
    f"test_{name}"
    for name in (
        "background",
        "blocking",
        "calls",
        "coalesced",
        "flow",
        "gather",
        "opening",
        "sqlite_workers",
        "turns",
    )
)
"""Files whose loops run in asyncio's debug mode: those about loops. It takes half as long again."""


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    with loops.watched():
        yield


@pytest.fixture(autouse=True)
def _loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test fails in which our code has held a loop, whoever has swallowed the error."""
    if request.path.stem in DEBUGGED:
        monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    loops.found.clear()
    yield
    assert not loops.found, f"a call that blocks was made on an event loop: {loops.found[0]}"


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
    postgres_server.sql("CREATE EXTENSION IF NOT EXISTS vector")
    return postgres_server
