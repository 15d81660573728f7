"""Each cache keeps every promise of the port."""

import asyncio

import pytest

from perdure.caches.memory import MemoryCache
from perdure.caches.redis import RedisCache
from perdure.ports.caches import Cache, Key
from perdure.testing.caches import CacheConformance, put, values
from perdure.testing.servers import RedisServer


class TestMemoryCache(CacheConformance):
    def make(self) -> Cache[bytes]:
        return MemoryCache()


class TestRedisCache(CacheConformance):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: RedisServer) -> None:
        self.url = redis_server.url

    def make(self) -> Cache[bytes]:
        return RedisCache(url=self.url, timeout=20.0)


def test_falkordb_and_vector_sets_are_there_for_those_who_need_them(falkordb_server: RedisServer) -> None:
    assert b"Alice" in falkordb_server.ask("GRAPH.QUERY", "g", "CREATE (n:P {name: 'Alice'}) RETURN n.name")
    assert falkordb_server.ask("VADD", "v", "VALUES", "2", "1", "0", "alice") == b":1\r\n"


def test_a_cache_is_used_from_several_event_loops(redis_server: RedisServer) -> None:
    cache = RedisCache(url=redis_server.url, timeout=20.0)
    asyncio.run(put(cache, Key("g", "a"), b"one"))
    assert asyncio.run(values(cache, Key("g", "a"))) == [b"one"]
    asyncio.run(cache.aclose())
