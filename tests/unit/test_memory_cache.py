"""The cache in this process: its bound, its order, and that it copies nothing."""

import asyncio

import pytest

from perdure.caches.memory import OVERHEAD, MemoryCache
from perdure.ports.caches import Item, Key


def put(cache, name, *, size, group="g", value=b"", edition=""):
    async def scenario():
        [held] = await cache.get([Key(group, name)])
        await cache.put([Item(Key(group, name), value, size, 60.0, held.version, edition)])

    asyncio.run(scenario())


def there(cache, *names, group="g"):
    return [held.value is not None for held in asyncio.run(cache.get([Key(group, n) for n in names]))]


def test_the_very_object_comes_back():
    cache, value = MemoryCache(), {"a": [1]}
    put(cache, "a", size=10, value=value)
    assert asyncio.run(cache.get([Key("g", "a")]))[0].value is value


def test_the_least_recently_used_goes_first_when_bytes_run_out():
    cache = MemoryCache(max_bytes=3 * (1000 + OVERHEAD))
    for name in "abc":
        put(cache, name, size=1000)
    assert there(cache, "a") == [True]
    put(cache, "d", size=1000)
    assert there(cache, "a", "b", "c", "d") == [True, False, True, True]
    assert cache.sizes() == (3, 3 * (1000 + OVERHEAD), 1, 0)


def test_what_is_larger_than_the_cache_is_left_out_and_takes_nothing_else_with_it():
    cache = MemoryCache(max_bytes=2000)
    put(cache, "a", size=1000)
    put(cache, "b", size=5000)
    assert there(cache, "a", "b") == [True, False]


def test_the_bytes_of_a_dropped_group_are_free_again():
    cache = MemoryCache()
    for name in "abc":
        put(cache, name, size=1000, group=name)
    asyncio.run(cache.drop(["a", "b"]))
    assert cache.sizes() == (1, 1000 + OVERHEAD, 0, 0)
    put(cache, "d", size=1000, group="c", edition="2")
    assert cache.sizes() == (1, 1000 + OVERHEAD, 0, 0)
    asyncio.run(cache.aclose())
    assert cache.sizes() == (0, 0, 0, 0)


def test_groups_of_which_nothing_is_left_are_forgotten():
    cache = MemoryCache(max_bytes=10 * (100 + OVERHEAD))
    for number in range(100):
        put(cache, "a", size=100, group=str(number))
    assert len(cache._items._groups) == 10


def test_a_size_below_nothing_is_refused():
    with pytest.raises(ValueError, match="from 0 on"):
        MemoryCache(max_bytes=-1)
