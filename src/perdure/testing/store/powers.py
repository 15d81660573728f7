"""The promises of a store's optional powers: lasting, examining itself, backups, new entries."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from perdure.errors import ModelMismatch
from perdure.ports import Backups, Checks, Reindexes, Space, Store
from perdure.testing.store.scenes import (
    ALICE,
    BOB,
    NOW,
    SPACE,
    Play,
    add,
    batch,
    change,
    end,
    entry,
    got,
    moment,
    query,
    revision,
    said,
    texts,
)


class DurableConformance(Play):
    """A store that keeps its contents: opening it again, in one space or another."""

    def test_what_was_committed_is_there_when_the_store_is_opened_again(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            await add(store, "kept")

        async def look(store: Store) -> None:
            assert texts(await store.find(query())) == ["kept"]

        self.play(tmp_path, write)
        self.play(tmp_path, look)

    def test_entries_of_another_model_are_refused_with_the_way_out(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            await add(store, "kept")

        self.play(tmp_path, write)
        for other in (
            replace(SPACE, model="large/1"),
            replace(SPACE, dimensions=8),
            replace(SPACE, analyzer=2),
        ):
            with pytest.raises(ModelMismatch, match="perdure reindex"):
                self.play(tmp_path, space=other)

    def test_an_empty_store_takes_any_space(self, tmp_path: Path) -> None:
        async def look(store: Store) -> None:
            assert (await store.stats("default")).space == replace(SPACE, model="large/1")

        self.play(tmp_path)
        self.play(tmp_path, look, space=replace(SPACE, model="large/1"))

    def test_without_a_model_one_reads_and_writes_beside_any_model(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            turn, write = said("no vectors")
            await store.commit(batch((turn, replace(write, entry=entry("no vectors", vectors=b"")))))

        async def look(store: Store) -> None:
            assert (await store.stats("default")).space == SPACE
            assert [row.vectors for row in (await store.load(ALICE.partition)).rows] == [b""]

        self.play(tmp_path)
        self.play(tmp_path, write, look, space=Space(analyzer=1))

    def test_a_store_without_vectors_takes_a_model_later(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            turn, write = said("before")
            await store.commit(batch((turn, replace(write, entry=entry("before", vectors=b"")))))

        async def more(store: Store) -> None:
            await add(store, "after")
            rows = (await store.load(ALICE.partition)).rows
            assert [bool(row.vectors) for row in rows] == [False, True]

        self.play(tmp_path, write, space=Space(analyzer=1))
        self.play(tmp_path, more)

    def test_for_upkeep_a_store_is_opened_without_asking_for_its_space(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            await add(store, "kept")

        async def look(store: Store) -> None:
            assert (await store.stats("default")).space == SPACE
            assert len((await store.load(ALICE.partition)).rows) == 1

        self.play(tmp_path, write)
        self.play(tmp_path, look, space=None)


class CheckConformance(Play):
    """The port `Checks`."""

    def test_a_store_that_was_used_is_sound(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, revision(memory, "coffee", at=NOW))
            await change(store, end(await got(store, memory.id)))
            await store.erase("default", [(await add(store, "secret")).id], at=NOW)
            await add(store, "o", scope=replace(ALICE, tenant="other"))
            await store.reset("other")
            assert isinstance(store, Checks)
            assert await store.check() == []

        self.play(tmp_path, scenario)


class BackupConformance(Play):
    """The port `Backups`; `opened_backup` says how a backup is opened."""

    def opened_backup(self, path: Path) -> Store:
        """A store on a backup, not opened."""
        raise NotImplementedError

    def test_a_backup_holds_what_was_committed_before_it(self, tmp_path: Path) -> None:
        target = tmp_path / "copy"

        async def scenario(store: Store) -> None:
            await add(store, "before")
            assert isinstance(store, Backups)
            await store.backup(target)
            await add(store, "after")

        async def look() -> None:
            store = self.opened_backup(target)
            await store.open(SPACE)
            assert texts(await store.find(query())) == ["before"]
            await store.aclose()

        self.play(tmp_path, scenario)
        asyncio.run(look())


class ReindexConformance(Play):
    """The port `Reindexes`."""

    def test_entries_are_made_again_beside_the_old_and_then_switched(self, tmp_path: Path) -> None:
        new = replace(SPACE, model="large/1", dimensions=2)

        async def fill(store: Store) -> None:
            for text in "abc":
                await add(store, text)
            await change(store, end(await add(store, "deleted")))

        async def scenario(store: Store) -> None:
            assert isinstance(store, Reindexes)
            assert await store.activate(new) == 4
            while page := await store.missing(new, limit=2):
                made = [(partition, memory.ord, entry("new")) for partition, memory in page]
                await store.prepare(new, made)
                assert {row.words for row in (await store.load(ALICE.partition)).rows} != {entry("new").words}
            assert await store.activate(new) == 0
            assert {row.words for row in (await store.load(ALICE.partition)).rows} == {entry("new").words}
            assert (await store.stats("default")).space == new

        self.play(tmp_path, fill)
        self.play(tmp_path, scenario, space=None)

    def test_what_is_missing_can_be_gone_through_page_by_page(self, tmp_path: Path) -> None:
        new = replace(SPACE, model="large/1")

        async def scenario(store: Store) -> None:
            power = cast("Reindexes", store)
            for number in range(7):
                await add(store, f"said {number}", scope=(ALICE, BOB)[number % 2])
            after, seen = None, []
            while page := await power.missing(new, limit=2, after=after):
                after = (page[-1][0], page[-1][1].ord)
                seen += [(partition, memory.ord) for partition, memory in page]
                assert len(seen) <= 7
            assert seen == [(where, memory.ord) for where, memory in await power.missing(new, limit=9)]
            assert len({*seen}) == 7

        self.play(tmp_path, scenario)

    def test_a_switch_may_leave_a_few_behind_which_keep_their_words(self, tmp_path: Path) -> None:
        new = replace(SPACE, model="large/1")

        async def scenario(store: Store) -> None:
            power = cast("Reindexes", store)
            for text in "abc":
                await add(store, text)
            [(partition, memory), *_] = await power.missing(new, limit=1)
            await power.prepare(new, [(partition, memory.ord, entry("new"))])
            assert await power.activate(new, leaving=1) == 2
            assert (
                await power.activate(replace(new, analyzer=2), leaving=3) == 3
            )  # other words: none can be kept
            assert await power.activate(new, leaving=2) == 0
            held = {row.ord: row for row in (await store.load(ALICE.partition)).rows}
            assert held.pop(memory.ord).vectors == entry("new").vectors
            assert {(row.words, row.vectors) for row in held.values()} == {
                (entry(text).words, b"") for text in "abc" if text != memory.text
            }
            rest = await power.missing(new, limit=9)
            assert {one.ord for _, one in rest} == set(held)
            await power.prepare(new, [(where, one.ord, entry("new")) for where, one in rest])
            assert all(row.vectors for row in (await store.load(ALICE.partition)).rows)

        self.play(tmp_path, scenario)

    def test_what_was_known_earlier_has_new_entries_too(self, tmp_path: Path) -> None:
        new = replace(SPACE, model="large/1")

        async def fill(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, revision(memory, "coffee", at=moment(hours=1)), at=moment(hours=1))
            await store.erase("default", [(await add(store, "secret")).id], at=NOW)

        async def scenario(store: Store) -> None:
            power = cast("Reindexes", store)
            page = await power.missing(new, limit=9)
            assert sorted(memory.text for _, memory in page) == ["coffee", "tea"]
            made = [(partition, m.ord, entry(f"new {m.text}")) for partition, m in page]
            await power.prepare(new, made)
            assert await power.activate(new) == 0
            [row] = (await store.load(ALICE.partition, known_at=NOW)).rows
            assert row.words == entry("new tea").words

        self.play(tmp_path, fill)
        self.play(tmp_path, scenario, space=None)

    def test_an_index_is_told_when_entries_in_use_were_made_again(self, tmp_path: Path) -> None:
        new = replace(SPACE, model="large/1")

        async def scenario(store: Store) -> None:
            power = cast("Reindexes", store)
            memory = await add(store, "tea")
            before = await store.load(ALICE.partition)
            await power.prepare(SPACE, [(ALICE.partition, memory.ord, entry("in use"))])
            told = await store.load(ALICE.partition, since=before.head)
            assert (told.head, told.stand.generation != before.stand.generation) == (before.head, True)
            await power.prepare(new, [(ALICE.partition, memory.ord, entry("beside"))])
            beside = await store.load(ALICE.partition, since=before.head)
            assert beside.stand.generation == told.stand.generation
            assert await power.activate(new) == 0
            switched = await store.load(ALICE.partition, since=before.head)
            assert switched.stand.generation != told.stand.generation
            assert await power.activate(new) == 0
            assert (await store.load(ALICE.partition)).stand.generation == switched.stand.generation
            unknown = await store.load(BOB.partition)
            assert unknown.stand.generation == switched.stand.generation

        self.play(tmp_path, scenario)

    def test_what_has_no_vectors_is_missing_in_a_space_with_a_model(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            assert isinstance(store, Reindexes)
            turn, write = said("no vectors")
            await store.commit(batch((turn, replace(write, entry=entry(vectors=b"")))))
            await add(store, "vectors")
            [(partition, memory)] = await store.missing(SPACE, limit=9)
            assert (partition, memory.text) == (ALICE.partition, "no vectors")
            await store.prepare(SPACE, [(partition, memory.ord, entry("now"))])
            assert await store.missing(SPACE, limit=9) == []

        self.play(tmp_path, scenario)

    def test_whoever_computes_in_the_old_space_is_refused_after_the_switch(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            old, upkeep = self.make(tmp_path), self.make(tmp_path)
            await old.open(SPACE)
            await upkeep.open(None)
            await add(old, "a")
            new = replace(SPACE, model="large/1")
            power = cast("Reindexes", upkeep)
            page = await power.missing(new, limit=9)
            await power.prepare(new, [(partition, memory.ord, entry("new")) for partition, memory in page])
            assert await power.activate(new) == 0
            for call in (old.load(ALICE.partition), old.commit(batch(said("b")))):
                with pytest.raises(ModelMismatch):
                    await call
            await old.aclose()
            await upkeep.aclose()

        asyncio.run(scenario())
