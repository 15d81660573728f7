"""What every cache promises, as tests: inherit `CacheConformance`.

class TestMyCache(CacheConformance):
    def make(self) -> MyCache:
        return MyCache()
"""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from perdure.ports.caches import Cache, Held, Item, Key

LONG = 600.0
PATIENCE = 30.0
"""Seconds; nobody waits so long when all is well."""

A, B, OTHER = Key("group", "a"), Key("group", "b"), Key("other", "a")


async def put(cache: Cache[bytes], key: Key, value: bytes, *, ttl: float = LONG, edition: str = "") -> None:
    """Put a value in, as one that was made just now."""
    [held] = await cache.get([key])
    await cache.put([item(key, value, held, ttl=ttl, edition=edition)])


def item(key: Key, value: bytes, held: Held[bytes], *, ttl: float = LONG, edition: str = "") -> Item[bytes]:
    """A value that was made after this look."""
    return Item(key=key, value=value, size=len(value), ttl=ttl, version=held.version, edition=edition)


async def values(cache: Cache[bytes], *keys: Key) -> list[bytes | None]:
    """What the cache has."""
    return [held.value for held in await cache.get(keys)]


class CacheConformance:
    """The promises; a cache may forget at any time, but not while there is room and nobody asks it to."""

    def make(self) -> Cache[bytes]:
        """An empty cache; one that is shared is the same each time, and nobody else uses it meanwhile."""
        raise NotImplementedError

    def play(self, scenario: Callable[[Cache[bytes]], Awaitable[None]]) -> None:
        """Run a scenario on an empty cache."""

        async def run() -> None:
            cache = self.make()
            try:
                await cache.drop(None)
                await scenario(cache)
            finally:
                await cache.aclose()

        asyncio.run(run())

    def test_what_was_put_in_is_there_and_nothing_else(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            assert await values(cache, A, B) == [None, None]
            await put(cache, A, b"one")
            assert await values(cache, B, A, OTHER) == [None, b"one", None]
            await put(cache, A, b"another")
            assert await values(cache, A) == [b"another"]

        self.play(scenario)

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", b"#version", bytes(range(256)) * 4_000])
    def test_any_bytes_come_back_as_they_were(self, value: bytes) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            await put(cache, A, value)
            assert await values(cache, A) == [value]

        self.play(scenario)

    def test_many_keys_go_at_once_in_the_order_asked(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            keys = [Key(f"group {number % 7}", str(number)) for number in range(200)]
            looked = await cache.get(keys)
            await cache.put(
                [item(key, key.name.encode(), held) for key, held in zip(keys, looked, strict=True)]
            )
            asked: Sequence[Key] = [*reversed(keys), keys[0], A]
            assert await values(cache, *asked) == [*(k.name.encode() for k in reversed(keys)), b"0", None]
            assert await values(cache) == []
            await cache.put([])

        self.play(scenario)

    def test_a_value_has_its_own_time(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            await put(cache, A, b"short", ttl=0.05)
            await put(cache, B, b"long")
            await put(cache, OTHER, b"none", ttl=0.0)
            async with asyncio.timeout(PATIENCE):
                while await values(cache, A) != [None]:  # noqa: ASYNC110  # nothing tells when it is gone
                    await asyncio.sleep(0.01)
            assert await values(cache, A, B, OTHER) == [None, b"long", None]

        self.play(scenario)

    def test_a_group_that_is_dropped_is_gone_and_the_others_stay(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            for key in (A, B, OTHER):
                await put(cache, key, b"here")
            assert await cache.drop(["group", "there is none"])
            assert await values(cache, A, B, OTHER) == [None, None, b"here"]
            await put(cache, A, b"again")
            assert await values(cache, A, B) == [b"again", None]

        self.play(scenario)

    def test_everything_can_be_dropped(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            for number in range(50):
                await put(cache, Key(f"group {number}", "a"), b"here")
            assert await cache.drop(None)
            assert await values(cache, *(Key(f"group {n}", "a") for n in range(50))) == [None] * 50

        self.play(scenario)

    @pytest.mark.parametrize("before", [False, True])
    def test_what_was_begun_before_a_drop_is_not_put_in_after_it(self, before: bool) -> None:  # noqa: FBT001  # pytest gives it by name
        async def scenario(cache: Cache[bytes]) -> None:
            if before:
                await put(cache, B, b"here")
            [held] = await cache.get([A])
            await cache.drop(["group"])
            await cache.put([item(A, b"of old words", held)])
            assert await values(cache, A) == [None]
            await cache.drop(["group"])
            await put(cache, A, b"new")
            assert await values(cache, A) == [b"new"]

        self.play(scenario)

    def test_another_edition_takes_the_place_of_a_group(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            await put(cache, A, b"first", edition="1")
            await put(cache, B, b"first", edition="1")
            await put(cache, OTHER, b"first", edition="1")
            assert await values(cache, A, B) == [b"first", b"first"]
            await put(cache, A, b"second", edition="2")
            assert await values(cache, A, B, OTHER) == [b"second", None, b"first"]

        self.play(scenario)

    def test_it_tells_how_it_stands(self) -> None:
        async def scenario(cache: Cache[bytes]) -> None:
            await put(cache, A, b"here")
            sizes = cache.sizes()
            assert sizes.entries in (1, None)
            assert sizes.bytes is None or sizes.bytes >= 4
            assert sizes.failures == 0

        self.play(scenario)
