"""The promises of exports: everything out, losslessly, and in again."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from perdure.ids import new_id
from perdure.ports import Batch, Checks, Committed, Export, Exports, Job, Key, Store, Write
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
    query,
    revision,
    said,
    texts,
)
from perdure.types import Change, Memory, Partition, Scope, Turn


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
        self.hand_over(tmp_path, fill, take)

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
        self.hand_over(tmp_path, fill, take)

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
        self.hand_over(tmp_path, fill, take)

    def test_what_was_known_before_an_export_can_be_ranked_after_the_import(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            await change(store, end(await add(store, "tea")), at=moment(hours=1))
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await _restored(store, exported)
            [row] = (await store.load(ALICE.partition, known_at=NOW)).rows
            assert (row.words, row.vectors) == (entry("tea").words, entry("tea").vectors)

        exported: list[Export] = []
        self.hand_over(tmp_path, fill, take)

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
        self.hand_over(tmp_path, fill, take)

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
        self.hand_over(tmp_path, fill, take)

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

    def test_a_job_of_which_a_turn_was_erased_goes_along_with_the_others(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            turns = said("kept"), said("secret")
            job = Job(
                id=new_id(), partition=ALICE.partition, kind="facts", turns=tuple(turn.id for turn, _ in turns),
                made_at=NOW,
            )  # fmt: skip
            await store.commit(replace(batch(*turns, jobs=(job,)), id=job.id))
            await store.erase("default", [turns[1][0].id], at=NOW)
            owed.extend(await store.jobs("default"))
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await _restored(store, exported)
            assert await store.jobs("default") == owed
            assert len(owed) == len(owed[0].turns) == 1

        owed: list[Job] = []
        exported: list[Export] = []
        self.hand_over(tmp_path, fill, take)

    def test_what_is_erased_alone_takes_nothing_along(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn, other = await add(store, "tea"), await add(store, "milk")
            learned = fact("likes tea", sources=(turn.id,)), fact("likes milk", sources=(other.id,))
            await change(store, learned[0])
            await change(store, learned[1])
            gone = [turn.id, learned[1].memory_id]
            await cast("Exports", store).erase_alone("default", gone, at=moment(hours=1), reason="asked")
            assert texts(await store.find(query(order="oldest"))) == ["milk", "likes tea"]
            assert [found.id for found in await store.turns("default", [turn.id, other.id])] == [other.id]
            [*_, line] = await store.history("default", turn.id)
            assert (line.event, line.at, line.reason) == ("ERASE", moment(hours=1), "asked")
            assert await cast("Checks", store).check() == []

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

    def test_a_later_version_of_what_was_erased_here_is_not_taken_in(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "my number")
            later = replace(memory, text="my other number", version=2, recorded_at=moment(hours=1))
            changed = Change(seq=9, memory_id=memory.id, event="UPDATE", at=later.recorded_at, write_id="w")
            await store.erase("default", [memory.id], at=NOW)
            before = await _exported(store)
            given = [Export(ALICE.partition, record) for record in (later, changed)]
            assert await _restored(store, given) == 0
            assert await _exported(store) == before

        self.play(tmp_path, scenario)

    def test_a_key_goes_along_and_keeps_its_batch_from_being_stored_twice(self, tmp_path: Path) -> None:
        async def fill(store: Store) -> None:
            parts = (said("tea"), said("milk"))
            sent.append(batch(*parts, key="given"))
            sent.append(batch(said("x"), key="passing", key_since=NOW))
            sent.append(batch(said("gone"), key="of what is deleted"))
            sent.append(batch(partition=ALICE.partition, key="of nothing"))
            answers.extend([await store.commit(one) for one in sent])
            await change(store, end(await got(store, answers[2].memory_ids[0])))
            exported.extend(await _exported(store))

        async def take(store: Store) -> None:
            await add(store, "mine")
            assert await _restored(store, exported) == len(exported)
            for one, answer in zip(sent, answers, strict=True):
                again = await store.commit(replace(one, id=new_id()))
                assert (again.repeated, again.batch_id) == (True, answer.batch_id)
                assert again.memory_ids == answer.memory_ids
            assert await _restored(store, exported) == 0

        sent: list[Batch] = []
        answers: list[Committed] = []
        exported: list[Export] = []
        self.hand_over(tmp_path, fill, take)

    def test_a_key_of_what_was_erased_here_or_never_came_is_not_taken_in(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            sent = batch(said("a"), said("secret"), key="k")
            erased = (await store.commit(sent)).memory_ids[1]
            keys = [one for one in await _exported(store) if isinstance(one.record, Key)]
            await store.erase("default", [erased], at=NOW)
            strange = Key(key="s", batch="unknown", at=NOW, first=1, last=2, passing=False)
            assert await _restored(store, [*keys, Export(ALICE.partition, strange)]) == 0
            assert not (await store.commit(batch(said("b"), key="k"))).repeated
            assert not (await store.commit(batch(said("c"), key="s"))).repeated

        self.play(tmp_path, scenario)

    def test_of_two_keys_that_pass_the_later_one_stays(self, tmp_path: Path) -> None:
        later = moment(hours=1)

        async def scenario(store: Store) -> None:
            keys: list[Key] = []
            for at, since in ((NOW, NOW), (later, later), (moment(hours=2), None)):
                await store.commit(
                    batch(said("a"), key="own" if since is None else "k", at=at, key_since=since)
                )
                keys = [one.record for one in await _exported(store) if isinstance(one.record, Key)]
            first, own = (next(one for one in keys if one.key == name) for name in ("k", "own"))
            assert (first.at, own.passing) == (later, False)
            for new, taken in (
                (replace(first, at=NOW, batch=own.batch), 0),
                (replace(first, at=moment(hours=3), batch=own.batch), 1),
                (replace(own, at=moment(hours=3), batch=first.batch), 0),
            ):
                assert await _restored(store, [Export(ALICE.partition, new)]) == taken
            held = [one.record for one in await _exported(store) if isinstance(one.record, Key)]
            assert {one.key: one.batch for one in held} == {"k": own.batch, "own": own.batch}

        self.play(tmp_path, scenario)


async def _eventful(store: Store) -> None:
    """A bit of everything that an export can hold."""
    memory = await add(store, "tea", metadata={"a": 1}, speaker="Ann")
    later = moment(hours=1)
    await change(store, replace(revision(memory, "coffee", at=later), actor="ann", reason="r"), at=later)
    await change(store, end(await got(store, memory.id)), at=moment(hours=2))
    back = replace(memory, version=3, recorded_at=moment(hours=3))
    restored = Write(event="RESTORE", memory_id=memory.id, memory=back, entry=entry("tea"))
    await change(store, restored, at=moment(hours=3))
    await store.commit(batch(said("x"), fact("likes tea", sources=(memory.id,)), said("y"), key="given"))
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
        case Key():
            return export._replace(record=replace(export.record, first=0, last=0))
        case _:
            return export
