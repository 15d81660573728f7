"""The promises of a store that engines derive from."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from perdure.ports import Store
from perdure.ports.derived import Cursor, Followed
from perdure.testing.store.scenes import ALICE, BOB, Play, add, change, end, entry, fact, moment
from perdure.types import Scope

ENGINE = "vectors-1"


def followed(store: Store) -> Followed:
    """The store, as engines see it."""
    assert isinstance(store, Followed)
    return cast("Followed", store)


async def take(store: Store, worker: str = "one", *, scope: Scope = ALICE, hours: float = 0) -> int | None:
    """Lease the cursor for an hour."""
    return await followed(store).take_cursor(
        ENGINE, scope.partition, worker=worker, now=moment(hours=hours), until=moment(hours=hours + 1)
    )


async def move(store: Store, seq: int, worker: str = "one", *, scope: Scope = ALICE) -> bool:
    """Move the cursor, and give it back."""
    return await followed(store).move_cursor(ENGINE, scope.partition, seq, worker=worker)


async def behind(store: Store, engine: str = ENGINE) -> list[Cursor]:
    """All cursors that are behind."""
    return await followed(store).cursors("default", engine)


class FollowedConformance(Play):
    """A store that is `Followed`."""

    def test_an_engine_is_behind_until_its_cursor_has_come_to_the_head(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            assert await behind(store) == []
            await add(store, "tea")
            await add(store, "milk")
            assert await behind(store) == [Cursor(ALICE.partition, 0, 2)]
            assert await take(store) == 0
            assert await move(store, 1)
            assert await behind(store) == [Cursor(ALICE.partition, 1, 2)]
            assert await take(store) == 1
            assert await move(store, 2)
            assert await behind(store) == []

        self.play(tmp_path, scenario)

    def test_one_worker_at_a_time_has_a_cursor(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            assert await take(store, "one") == 0
            assert await take(store, "two") is None
            assert await take(store, "two", scope=BOB) == 0
            assert await take(store, "one") == 0
            assert await move(store, 1, "one")
            assert await take(store, "two") == 1

        self.play(tmp_path, scenario)

    def test_a_worker_that_was_late_moves_nothing(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            await take(store, "one")
            assert await take(store, "two", hours=1) == 0
            assert not await move(store, 1, "one")
            assert await behind(store) == [Cursor(ALICE.partition, 0, 1)]
            assert await move(store, 1, "two")
            assert not await move(store, 1, "three")

        self.play(tmp_path, scenario)

    def test_engines_and_tenants_have_cursors_of_their_own(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            theirs = Scope(tenant="other", user_id="alice")
            await add(store, "tea")
            await add(store, "their tea", scope=theirs)
            await take(store)
            await move(store, 1)
            assert await behind(store, "vectors-2") == [Cursor(ALICE.partition, 0, 1)]
            assert await followed(store).cursors("other", ENGINE) == [Cursor(theirs.partition, 0, 1)]
            await followed(store).drop_cursors("other", ENGINE)
            assert await behind(store) == []
            await followed(store).drop_cursors("default", ENGINE)
            assert await behind(store) == [Cursor(ALICE.partition, 0, 1)]

        self.play(tmp_path, scenario)

    def test_where_most_is_lacking_comes_first(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            await add(store, "milk", scope=BOB)
            await add(store, "honey", scope=BOB)
            both = [Cursor(BOB.partition, 0, 2), Cursor(ALICE.partition, 0, 1)]
            assert await behind(store) == both
            assert await followed(store).cursors("default", ENGINE, limit=1) == both[:1]
            assert await followed(store).cursors("default", ENGINE, partition=ALICE.partition) == both[1:]

        self.play(tmp_path, scenario)

    def test_a_removed_partition_is_to_be_forgotten(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            await take(store)
            await move(store, 1)
            await store.reset("default")
            assert await behind(store) == [Cursor(ALICE.partition, 1, 0)]
            assert await take(store) == 1
            assert list((await store.load(ALICE.partition, since=1)).dead) == [1]
            await move(store, 1)
            assert await behind(store) == []

        self.play(tmp_path, scenario)

    def test_a_partition_that_begins_anew_is_followed_from_where_its_first_life_ended(
        self, tmp_path: Path
    ) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            await take(store)
            await move(store, 1)
            await store.reset("default")
            again = await add(store, "milk")
            [cursor] = await behind(store)
            assert (cursor.seq, cursor.lag) == (1, again.ord - 1)
            delta = await store.load(ALICE.partition, since=1)
            assert (list(delta.dead), [row.ord for row in delta.rows]) == ([1], [again.ord])

        self.play(tmp_path, scenario)

    @pytest.mark.parametrize("known_at", [None, moment(hours=2)])
    def test_a_reader_can_be_spared_the_vectors(self, tmp_path: Path, known_at: datetime | None) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "tea")
            await change(store, replace(fact("plain"), entry=replace(entry("plain"), vectors=b"")))
            delta = await store.load(ALICE.partition, known_at=known_at, with_vectors=False)
            assert [row.vectors for row in delta.rows] == [None, b""]
            whole = await store.load(ALICE.partition, known_at=known_at)
            assert whole.rows[0]._replace(vectors=None) == delta.rows[0]

        self.play(tmp_path, scenario)

    def test_vectors_are_told_by_version(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first, second = await add(store, "tea"), await add(store, "milk")
            await change(store, replace(fact("plain"), entry=replace(entry("plain"), vectors=b"")))
            ords = [second.ord, 99, 3, first.ord]
            told = await followed(store).vectors(ALICE.partition, ords)
            assert told == [entry("milk").vectors, b"", b"", entry("tea").vectors]
            assert await followed(store).vectors(BOB.partition, [first.ord]) == [b""]
            await change(store, end(first))
            await store.erase("default", [second.id], at=moment(hours=1))
            assert await followed(store).vectors(ALICE.partition, [second.ord]) == [b""]

        self.play(tmp_path, scenario)
