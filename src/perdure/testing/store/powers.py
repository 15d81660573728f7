"""The promises of a store's optional powers: lasting, examining itself, backups, exports, new entries."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from perdure.errors import ModelMismatch
from perdure.ids import new_id
from perdure.ports import Backups, Batch, Checks, Export, Exports, Job, Reindexes, Space, Store, Write
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
    fact,
    got,
    moment,
    query,
    revision,
    said,
    texts,
)
from perdure.types import Change, Memory, Partition, Scope, Turn


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


class ExportConformance(Play):
    """The port `Exports`."""

    def test_an_export_put_into_an_empty_store_is_exported_the_same(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await _eventful(store)
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await _restored(store, exported)
            assert [_facts(record) for record in await _exported(store)] == list(map(_facts, exported))
            assert await _restored(store, exported) == 0
            assert [_facts(record) for record in await _exported(store)] == list(map(_facts, exported))

        exported: list[Export] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_an_import_that_was_cut_off_can_be_begun_again(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await _eventful(store)
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            for cut in range(len(exported) + 1):
                await store.reset("default")
                await _restored(store, exported[:cut])
                await _restored(store, exported)
                found = sorted(map(str, map(_facts, await _exported(store))))
                assert found == sorted(map(str, map(_facts, exported)))
                assert await cast("Checks", store).check() == []

        exported: list[Export] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_an_import_beside_other_memories_leaves_them_alone(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await add(store, "imported")
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await add(store, "mine", at=moment(hours=1))
            assert await _restored(store, exported) == len(exported)
            assert texts(await store.find(query())) == ["mine", "imported"]
            assert [row.ord for row in (await store.load(ALICE.partition)).rows] == [1, 2]

        exported: list[Export] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_what_was_known_before_an_export_can_be_ranked_after_the_import(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await change(store, end(await add(store, "tea")), at=moment(hours=1))
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await _restored(store, exported)
            [row] = (await store.load(ALICE.partition, known_at=NOW)).rows
            assert (row.words, row.vectors) == (entry("tea").words, entry("tea").vectors)

        exported: list[Export] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_an_export_with_entries_brings_all_that_an_index_reads(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await _eventful(store)
            power = cast("Exports", store)
            exported.extend([one async for one in power.export("default", with_entries=True)])
            for one in exported:
                kept = isinstance(one.record, Memory) and one.record.erased_at is None
                assert (one.entry is not None) == kept
            held.extend(await contents(store))

        async def take(store: Store) -> None:
            await cast("Exports", store).restore(exported)
            assert await contents(store) == held

        async def contents(store: Store) -> list[object]:
            return [
                [row._replace(ord=0, place=None) for row in (await store.load(partition)).rows]
                for partition in await store.partitions("default")
            ]

        exported: list[Export] = []
        held: list[object] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_tenants_and_their_partitions_come_in_the_order_of_code_points(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            power = cast("Exports", store)
            assert await power.tenants() == []
            for tenant in ("b", "a-1", "ä", "B", "a"):
                for user in ("z", "Z", "é", "10", "9"):
                    await add(store, "tea", scope=Scope(tenant=tenant, user_id=user))
            assert await power.tenants() == sorted(("b", "a-1", "ä", "B", "a"))
            owners = [one.partition.owner async for one in power.export("a")]
            assert owners == sorted(owners)
            await store.reset("b")
            assert "b" not in await power.tenants()

        self.play(tmp_path, scenario)

    def test_an_export_of_some_partitions_holds_no_others(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "a")
            await add(store, "b", scope=BOB)
            records = [r async for r in cast("Exports", store).export("default", [BOB.partition])]
            assert {record.partition for record in records} == {BOB.partition}

        self.play(tmp_path, scenario)

    def test_a_job_goes_along_without_who_works_on_it_as_long_as_it_is_to_be_done(
        self, tmp_path: Path
    ) -> None:
        async def fill(store: Store) -> None:
            owed.append(await _owing(store, "tea"))
            await store.claim("default", ["facts"], worker="one", now=NOW, until=moment(minutes=1), limit=1)
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            [job] = owed
            for _ in range(2):
                await _restored(store, exported)
                assert await store.jobs("default") == [job]
            learned = fact("likes tea", sources=job.turns)
            await store.commit(
                Batch(id=job.id, partition=job.partition, at=NOW, writes=(learned,), done=(job.id,))
            )
            assert await _restored(store, exported) == 0
            assert await store.jobs("default") == []

        owed: list[Job] = []
        exported: list[Export] = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        self.play(tmp_path / "from", fill)
        self.play(tmp_path / "to", take)

    def test_a_job_that_nothing_was_learned_from_is_not_brought_back(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            job = await _owing(store, "tea")
            exported = await _exported(store)
            turn = await got(store, job.turns[0])
            known = Write(event="REFINE", memory_id=turn.id, refines=turn.ord, salience=0.1)
            await store.commit(
                Batch(id=job.id, partition=job.partition, at=NOW, writes=(known,), done=(job.id,))
            )
            assert await _restored(store, exported) == 0
            assert await store.jobs("default") == []

        self.play(tmp_path, scenario)

    def test_a_job_comes_with_those_of_its_turns_that_are_there(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            kept, erased = await add(store, "kept"), await add(store, "erased")
            await store.erase("default", [erased.id], at=NOW)
            foreign = await add(store, "foreign", scope=BOB)
            there = Job(id="j", partition=ALICE.partition, kind="facts", turns=(kept.id,), made_at=NOW)
            brought = replace(there, turns=("unknown", kept.id, erased.id, foreign.id), error="e", answer="a")
            nothing = replace(there, id="k", turns=("unknown", erased.id, foreign.id))
            given = [Export(ALICE.partition, job) for job in (brought, nothing)]
            assert await _restored(store, given) == 1
            assert await store.jobs("default") == [there]

        self.play(tmp_path, scenario)

    def test_a_job_of_one_tenant_is_another_in_another(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            job = await _owing(store, "tea")
            other = Partition("other", ALICE.partition.owner)
            moved = [
                Export(other, replace(e.record, scope=replace(e.record.scope, tenant="other")))
                if isinstance(e.record, (Turn, Memory))
                else Export(
                    other, replace(e.record, partition=other) if isinstance(e.record, Job) else e.record
                )
                for e in await _exported(store)
            ]
            for new in (len(moved), 0):
                assert await _restored(store, moved) == new
            [mine], [theirs] = await store.jobs("default"), await store.jobs("other")
            assert mine == job
            assert (theirs.turns, theirs.partition, theirs.id == job.id) == (job.turns, other, False)

        self.play(tmp_path, scenario)


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


async def _eventful(store: Store) -> None:
    """A bit of everything that an export can hold."""
    memory = await add(store, "tea", metadata={"a": 1}, speaker="Ann")
    later = moment(hours=1)
    await change(store, replace(revision(memory, "coffee", at=later), actor="ann", reason="r"), at=later)
    await change(store, end(await got(store, memory.id)), at=moment(hours=2))
    back = replace(memory, version=3, recorded_at=moment(hours=3))
    restored = Write(event="RESTORE", memory_id=memory.id, memory=back, entry=entry("tea"))
    await change(store, restored, at=moment(hours=3))
    await store.commit(batch(said("x"), fact("likes tea", sources=(memory.id,)), said("y")))
    await _owing(store, "z", error="no answer", options={"prompt": "ü"}, attempts=1)
    await store.erase("default", [(await add(store, "secret")).id], at=moment(hours=4), reason="asked")
    await add(store, "b", scope=replace(BOB, agent_id="cook"))


async def _owing(store: Store, text: str, **fields: Any) -> Job:
    """A turn that something is still to be learned from."""
    turn = said(text)
    job = Job(
        id=new_id(), partition=ALICE.partition, kind="facts", turns=(turn[0].id,), made_at=NOW, **fields
    )
    await store.commit(replace(batch(turn, jobs=(job,)), id=job.id))
    return job


async def _exported(store: Store) -> list[Export]:
    assert isinstance(store, Exports)
    return [record async for record in store.export("default")]


async def _restored(store: Store, records: list[Export]) -> int:
    """Put records in, a few at a time, with entries for what was not erased."""
    assert isinstance(store, Exports)
    new = 0
    for start in range(0, len(records), 3):
        page = [
            one._replace(entry=entry(one.record.text))
            if isinstance(one.record, Memory) and one.record.erased_at is None
            else one
            for one in records[start : start + 3]
        ]
        new += await store.restore(page)
    return new


def _facts(export: Export) -> Export:
    """A record without its row numbers, which are the store's own."""
    match export.record:
        case Memory():
            return export._replace(
                record=replace(export.record, ord=0, place=None if export.record.place is None else 1)
            )
        case Change():
            return export._replace(record=replace(export.record, seq=0))
        case _:
            return export
