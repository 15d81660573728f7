"""The promises of the powers by which caches in front of a store are exact, and leave nothing of what is erased."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from perdure.ports import Exports, Stand, Standing, Store, VectorCache
from perdure.testing.store.scenes import (
    ALICE,
    BOB,
    NOW,
    Play,
    add,
    batch,
    change,
    end,
    entry,
    fact,
    got,
    moment,
    revision,
    said,
)
from perdure.types import Scope

LARGE = 10**9


async def stand(store: Store, scope: Scope = ALICE) -> Stand:
    """How far the scope's partition has come."""
    [told] = await cast("Standing", store).standing([scope.partition])
    return told


class StandingConformance(Play):
    """A store that is `Standing`."""

    def test_a_partition_stands_where_it_stood_until_it_changes(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            stands = [await stand(store)]
            memory = await add(store, "tea")
            stands.append(await stand(store))
            assert await stand(store) == stands[-1]
            assert (await store.load(ALICE.partition)).stand == stands[-1]
            assert (await store.load(ALICE.partition, since=stands[-1].head)).stand == stands[-1]
            assert (await store.load(ALICE.partition, known_at=moment(days=1))).stand == stands[-1]
            await change(store, revision(memory, "coffee", at=moment(hours=1)))
            stands.append(await stand(store))
            await change(store, end(await got(store, memory.id)))
            stands.append(await stand(store))
            await store.erase("default", [memory.id], at=NOW)
            stands.append(await stand(store))
            await store.reset("default")
            stands.append(await stand(store))
            await add(store, "tea")
            stands.append(await stand(store))
            assert all(one != other for n, one in enumerate(stands) for other in stands[:n])

        self.play(tmp_path, scenario)

    def test_a_load_names_the_change_after_which_it_came(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            assert (await store.load(ALICE.partition)).before == ""
            for text in ("tea", "coffee", "milk"):
                then = await store.load(ALICE.partition)
                assert (await store.load(ALICE.partition, since=then.head)).before == then.stand.change
                await add(store, text)
                assert (await store.load(ALICE.partition, since=then.head)).before == then.stand.change
            await store.reset("default")
            empty = await store.load(ALICE.partition)
            assert (await store.load(ALICE.partition, since=empty.head)).before == empty.stand.change
            await add(store, "tea")
            assert (await store.load(ALICE.partition, since=empty.head)).before == empty.stand.change
            assert (await store.load(ALICE.partition)).stand.change != then.stand.change

        self.play(tmp_path, scenario)

    def test_others_changes_leave_a_partition_where_it_stands(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            before = await stand(store)
            await add(store, "coffee", scope=BOB)
            assert await stand(store) == before
            both = await cast("Standing", store).standing([BOB.partition, ALICE.partition])
            assert both == [await stand(store, BOB), before]
            assert await cast("Standing", store).standing([]) == []

        self.play(tmp_path, scenario)

    def test_every_erasure_is_counted_for_the_whole_store(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            before = (await stand(store, BOB)).erasures
            await store.erase("default", [memory.id], at=NOW)
            erased = (await stand(store, BOB)).erasures
            await store.reset("default")
            assert len({before, erased, (await stand(store, BOB)).erasures}) == 3
            assert (await store.load(BOB.partition)).stand.erasures == (await stand(store)).erasures

        self.play(tmp_path, scenario)

    def test_an_erasure_says_where_something_was_removed(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn = said("tea")
            await store.commit(batch(turn, fact("likes tea", sources=(turn[0].id,))))
            await add(store, "coffee", scope=BOB)
            erased = await store.erase("default", [turn[0].id], at=NOW)
            assert erased.partitions == (ALICE.partition,)

        self.play(tmp_path, scenario)

    def test_stores_have_names_of_their_own(self, tmp_path: Path) -> None:
        names: list[str] = []

        async def scenario(store: Store) -> None:
            names.append(await cast("Standing", store).identity())
            assert await cast("Standing", store).identity() == names[-1]

        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            self.play(tmp_path / folder, scenario)
        assert names[0] != names[1]

    def test_a_turn_that_is_put_in_later_is_a_change(self, tmp_path: Path) -> None:
        turn, write = said("tea")

        async def scenario(store: Store) -> None:
            if not isinstance(store, Exports):
                return
            await store.commit(batch((turn, write)))
            records = [record async for record in store.export("default")]
            await store.reset("default")
            seen = set()
            for record in sorted(records, key=lambda record: record.record == turn):
                await store.restore([record._replace(entry=entry())])
                seen.add(replace(await stand(store), erasures=0, mark=None))
            assert len(seen) >= 2

        self.play(tmp_path, scenario)


class VectorCacheConformance(Play):
    """A store that is a `VectorCache`."""

    def test_a_vector_is_there_until_something_is_erased(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            power = cast("VectorCache", store)
            memory = await add(store, "tea")
            nothing, erasures = await power.cached_vectors("default", ["a", "b"])
            assert nothing == [None, None]
            await power.cache_vectors("default", {"a": b"1234"}, erasures=erasures, max_bytes=LARGE)
            await power.cache_vectors("other", {"b": b"5678"}, erasures=erasures, max_bytes=LARGE)
            held = (await power.cached_vectors("default", ["b", "a", "a"]))[0]
            assert held == [None, b"1234", b"1234"]
            await store.erase("default", [memory.id], at=NOW)
            assert (await power.cached_vectors("default", ["a"]))[0] == [None]
            assert (await power.cached_vectors("other", ["b"]))[0] == [b"5678"]
            await store.reset("other")
            assert (await power.cached_vectors("other", ["b"]))[0] == [None]

        self.play(tmp_path, scenario)

    @pytest.mark.parametrize("verb", ["erase", "reset"])
    def test_a_vector_that_was_made_before_an_erasure_is_not_kept_after_it(
        self, tmp_path: Path, verb: str
    ) -> None:
        async def scenario(store: Store) -> None:
            power = cast("VectorCache", store)
            memory = await add(store, "tea")
            _, erasures = await power.cached_vectors("default", ["a"])
            if verb == "erase":
                await store.erase("default", [memory.id], at=NOW)
            else:
                await store.reset("default")
            await power.cache_vectors("default", {"a": b"1234"}, erasures=erasures, max_bytes=LARGE)
            assert (await power.cached_vectors("default", ["a"]))[0] == [None]

        self.play(tmp_path, scenario)

    def test_the_oldest_vectors_go_when_there_are_too_many(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            power = cast("VectorCache", store)
            names = [str(number) for number in range(100)]
            for name in names:
                _, erasures = await power.cached_vectors("default", [])
                made = {name: bytes(100), "0": bytes(100)}
                await power.cache_vectors("default", made, erasures=erasures, max_bytes=1_000)
            held, _ = await power.cached_vectors("default", names)
            left = [name for name, vector in zip(names, held, strict=True) if vector]
            assert 5 <= len(left) <= 10
            assert left[-1] == "99"

        self.play(tmp_path, scenario)
