"""The promises of the port `Store`: what is committed, changed, erased."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from perdure.errors import Closed, Conflict
from perdure.ports import Committed, Store, Write
from perdure.testing.store.jobs import Jobs
from perdure.testing.store.questions import Questions
from perdure.testing.store.scenes import (
    ALICE,
    BOB,
    NOW,
    SPACE,
    Replica,
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
from perdure.types import Mention


class StoreConformance(Jobs, Questions):
    """The port `Store`: all of it."""

    # ---- commit

    def test_what_was_committed_is_read_as_it_was_given(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn, write = said(
                "I moved to Łódź \U0001f600",
                at=moment(microseconds=1),
                speaker="Ann",
                role="assistant",
                categories=("home", "city"),
                metadata={"a": [1, 2.5, None, {"b": "\x00'\""}], "ü": True},
                mentions=(Mention(text="today", start=NOW, end=moment(days=1)),),
                origin="tool",
                derived_by="rules/1",
                salience=0.25,
                valid_from=moment(days=-1),
                valid_to=moment(days=9),
                expires_at=moment(days=10),
            )
            turn = replace(turn, attachments=({"type": "image_url", "image_url": {"url": "x"}},))
            committed = await store.commit(batch((turn, write)))
            assert write.memory is not None
            stored = replace(write.memory, ord=1, place=1, session=turn.id)
            assert await store.get("default", turn.id) == stored
            assert await store.read(ALICE.partition, [1]) == [stored]
            assert await store.turns("default", [turn.id]) == [replace(turn, session=turn.id)]
            assert (committed.head, committed.memory_ids, committed.repeated) == (1, (turn.id,), False)

        self.play(tmp_path, scenario)

    def test_a_sequence_counts_the_writes_of_its_partition(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            assert (await store.commit(batch(said("a"), said("b")))).head == 2
            assert (await store.commit(batch(said("c", scope=BOB)))).head == 1
            assert (await store.commit(batch(said("d")))).head == 3

        self.play(tmp_path, scenario)

    def test_a_mark_stands_no_more_after_any_change(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            async def mark() -> object:
                return (await store.load(ALICE.partition, since=0)).stand.mark

            held = await mark()
            memory = await add(store, "tea")
            assert not store.stands(held)
            held = await mark()
            await change(store, revision(memory, "coffee", at=moment(hours=1)))
            assert not store.stands(held)
            held = await mark()
            await store.erase("default", [memory.id], at=NOW)
            assert not store.stands(held)
            held = await mark()
            await store.reset("default")
            assert not store.stands(held)
            assert not store.stands(None)

        self.play(tmp_path, scenario)

    def test_a_batch_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first = await add(store, "first")
            turn, write = said("not to be kept")
            with pytest.raises(Conflict):
                await store.commit(batch((turn, write), replace(end(first), replaces=99)))
            assert await store.get("default", turn.id) is None
            assert await store.turns("default", [turn.id]) == []
            assert (await store.load(ALICE.partition)).head == 1
            assert (await got(store, first.id)).retired_at is None

        self.play(tmp_path, scenario)

    def test_of_two_that_change_the_same_version_one_gets_a_conflict(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            answers = await asyncio.gather(
                *(change(store, revision(memory, text, at=moment(hours=1))) for text in ("coffee", "milk")),
                return_exceptions=True,
            )
            assert sorted(type(answer).__name__ for answer in answers) == ["Committed", "Conflict"]

        self.play(tmp_path, scenario)

    def test_an_id_is_given_once(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "once")
            with pytest.raises(Conflict):
                await add(store, "twice", id=memory.id)
            await change(store, end(memory))
            with pytest.raises(Conflict):
                await add(store, "after its end", id=memory.id)

        self.play(tmp_path, scenario)

    def test_ids_of_different_tenants_do_not_meet(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            mine = await add(store, "mine")
            theirs = await add(store, "theirs", id=mine.id, scope=replace(ALICE, tenant="other"))
            assert (mine.id, mine.text) == (theirs.id, "mine")
            assert (await got(store, mine.id)).text == "mine"

        self.play(tmp_path, scenario)

    def test_commits_that_come_together_are_all_kept_in_one_sequence(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            answers = await asyncio.gather(*(store.commit(batch(said(f"n{n}"))) for n in range(100)))
            assert sorted(answer.head for answer in answers) == list(range(1, 101))
            assert len((await store.load(ALICE.partition)).rows) == 100

        self.play(tmp_path, scenario)

    def test_a_batch_that_fails_fails_alone(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "here")
            wrong = [batch(replace(end(memory), replaces=99), partition=ALICE.partition) for _ in range(20)]
            right = [batch(said(f"n{n}")) for n in range(20)]
            mixed = [one for pair in zip(wrong, right, strict=True) for one in pair]
            answers = await asyncio.gather(*map(store.commit, mixed), return_exceptions=True)
            assert all(isinstance(answer, Conflict) for answer in answers[::2])
            assert all(isinstance(answer, Committed) for answer in answers[1::2])

        self.play(tmp_path, scenario)

    def test_a_cancelled_commit_is_there_whole_or_not_at_all(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            batches = [batch(said(f"a{n}"), said(f"b{n}")) for n in range(60)]
            tasks = [asyncio.create_task(store.commit(b)) for b in batches]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for b in batches:
                there = [await store.get("default", write.memory_id) is not None for write in b.writes]
                assert there in ([True, True], [False, False])
            assert all(not task.cancelled() for task in tasks[1::2])

        self.play(tmp_path, scenario)

    # ---- idempotency

    def test_the_same_key_is_stored_once_and_answered_alike(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            one = batch(said("a"), said("b"), key="k")
            first = await store.commit(one)
            again = await store.commit(batch(said("a"), said("b"), key="k"))
            assert again == replace(first, repeated=True)
            assert len((await store.load(ALICE.partition)).rows) == 2

        self.play(tmp_path, scenario)

    def test_the_same_key_sent_at_once_is_stored_once(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            answers = await asyncio.gather(*(store.commit(batch(said("a"), key="k")) for _ in range(20)))
            assert sum(not answer.repeated for answer in answers) == 1
            assert len({answer.memory_ids for answer in answers}) == 1

        self.play(tmp_path, scenario)

    def test_a_key_counts_in_its_own_partition(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await store.commit(batch(said("a"), key="k"))
            assert not (await store.commit(batch(said("a", scope=BOB), key="k"))).repeated

        self.play(tmp_path, scenario)

    def test_a_key_used_before_key_since_does_not_count(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await store.commit(batch(said("a"), key="k"))
            later = moment(seconds=10)
            in_time = await store.commit(batch(said("a"), key="k", at=later, key_since=NOW))
            too_late = await store.commit(batch(said("a"), key="k", at=later, key_since=later))
            after = await store.commit(batch(said("a"), key="k", at=later, key_since=later))
            assert [c.repeated for c in (in_time, too_late, after)] == [True, False, True]
            assert after.batch_id == too_late.batch_id

        self.play(tmp_path, scenario)

    @pytest.mark.parametrize("after", ["deleted", "updated", "erased"])
    def test_with_key_since_a_batch_is_no_repetition_of_what_is_not_current(
        self, tmp_path: Path, after: str
    ) -> None:
        async def scenario(store: Store) -> None:
            first = await store.commit(batch(said("a"), said("b"), key="k", key_since=NOW))
            memory = await got(store, first.memory_ids[1])
            match after:
                case "deleted":
                    await change(store, end(memory))
                case "updated":
                    await change(store, revision(memory, "c", at=NOW))
                case _:
                    await store.erase("default", [memory.id], at=NOW)
            again = await store.commit(batch(said("a"), said("b"), key="k", key_since=NOW))
            third = await store.commit(batch(said("a"), said("b"), key="k", key_since=NOW))
            assert (again.repeated, third.repeated) == (False, True)
            assert third.memory_ids == again.memory_ids
            assert (await got(store, again.memory_ids[1])).text == "b"

        self.play(tmp_path, scenario)

    def test_a_callers_own_key_counts_though_its_memories_were_deleted(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first = await store.commit(batch(said("a"), key="k"))
            await change(store, end(await got(store, first.memory_ids[0])))
            again = await store.commit(batch(said("a"), key="k", at=moment(days=999)))
            assert (again.repeated, again.memory_ids) == (True, first.memory_ids)

        self.play(tmp_path, scenario)

    def test_a_batch_that_failed_does_not_use_up_its_key(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "here")
            with pytest.raises(Conflict):
                await store.commit(batch(said("a"), replace(end(memory), replaces=99), key="k"))
            assert not (await store.commit(batch(said("a"), key="k"))).repeated

        self.play(tmp_path, scenario)

    # ---- versions

    def test_a_new_version_closes_the_old_one_and_keeps_its_place(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            old = await add(store, "tea")
            await change(store, revision(old, "coffee", at=moment(hours=1)), at=moment(hours=1))
            new = await got(store, old.id)
            assert (new.text, new.version, new.ord, new.place) == ("coffee", 2, 2, 1)
            assert await store.read(ALICE.partition, [2, 1]) == [
                new,
                replace(old, retired_at=moment(hours=1)),
            ]

        self.play(tmp_path, scenario)

    def test_a_version_with_the_same_text_keeps_its_entry(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, revision(memory, at=moment(hours=1), metadata={"a": 1}))
            [row] = (await store.load(ALICE.partition)).rows
            assert (row.ord, row.words, row.vectors) == (2, entry("tea").words, entry("tea").vectors)

        self.play(tmp_path, scenario)

    def test_a_memory_can_come_back_after_its_end(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, end(memory))
            back = replace(memory, version=2, recorded_at=moment(hours=2))
            restored = Write(event="RESTORE", memory_id=memory.id, memory=back, entry=entry("tea"))
            await change(store, restored, at=moment(hours=2))
            assert (await got(store, memory.id)).place == memory.place
            with pytest.raises(Conflict):
                await change(store, replace(restored, memory=replace(back, version=3)))

        self.play(tmp_path, scenario)

    def test_facts_have_no_place_in_the_conversation(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            write = fact("likes tea")
            await store.commit(batch(write))
            assert (await got(store, write.memory_id)).place is None

        self.play(tmp_path, scenario)

    def test_get_answers_the_last_version_of_what_was_deleted(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, end(memory), at=moment(hours=1))
            assert await got(store, memory.id) == replace(memory, retired_at=moment(hours=1))
            assert await store.get("default", "unknown") is None

        self.play(tmp_path, scenario)

    # ---- sessions

    def test_what_becomes_known_later_reaches_an_index_and_is_no_line_of_history(
        self, tmp_path: Path
    ) -> None:
        async def scenario(store: Store) -> None:
            memory, other = await add(store, "tea"), await add(store, "coffee")
            held = Replica()
            held.apply(await store.load(ALICE.partition))
            late = entry("tea", vectors=b"\x01\x02" * 4)
            refine = Write(
                event="REFINE",
                memory_id=memory.id,
                refines=memory.ord,
                entry=late,
                salience=0.25,
                categories=("food",),
            )
            await change(store, refine)
            held.apply(await store.load(ALICE.partition, since=held.head))
            assert [row.vectors for row in held.rows.values()] == [late.vectors, entry("coffee").vectors]
            assert await got(store, memory.id) == replace(memory, salience=0.25, categories=("food",))
            nothing = Write(event="REFINE", memory_id=memory.id, refines=memory.ord, categories=())
            await change(store, nothing)
            assert (await got(store, memory.id)).categories == ("food",)
            assert [c.event for c in await store.history("default", memory.id)] == ["ADD"]
            await change(store, end(other))
            refine = Write(event="REFINE", memory_id=other.id, refines=other.ord, entry=late, salience=0.0)
            await change(store, refine)
            assert (await got(store, other.id)).salience == 1
            held.apply(await store.load(ALICE.partition, since=held.head))
            assert list(held.rows) == [memory.ord]

        self.play(tmp_path, scenario)

    def test_a_memory_is_not_derived_from_an_erased_turn(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await store.erase("default", [memory.id], at=NOW)
            with pytest.raises(Conflict):
                await store.commit(batch(fact("likes tea", sources=(memory.id,))))

        self.play(tmp_path, scenario)

    def test_what_was_derived_from_what_is_gone_meanwhile_is_not_stored(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            here, deleted, erased = [await add(store, text) for text in ("tea", "coffee", "milk")]
            await change(store, end(deleted))
            await store.erase("default", [erased.id], at=NOW)
            there = (here.id, deleted.id)
            for needs, saw in (
                (there, ()),
                ((), (*there, erased.id)),
                (("unknown",), ()),
                ((), ("unknown",)),
            ):
                with pytest.raises(Conflict):
                    await store.commit(batch(fact("likes tea"), needs=needs, saw=saw))
            assert (await store.load(ALICE.partition)).rows[-1].id == here.id
            await store.commit(batch(fact("likes tea"), needs=(here.id,), saw=there))
            with pytest.raises(Conflict):
                await store.commit(batch(fact("likes tea", scope=BOB), needs=(here.id,)))

        self.play(tmp_path, scenario)

    def test_a_session_ends_with_a_silence_of_more_than_an_hour(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first = await add(store, "hello")
            second = await add(store, "still here", at=moment(hours=1))
            third = await add(store, "back again", at=moment(hours=2, microseconds=1))
            assert [m.session for m in (first, second, third)] == [first.id, first.id, third.id]

        self.play(tmp_path, scenario)

    def test_a_session_is_of_the_very_same_scope(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first = await add(store, "hello")
            other = await add(store, "hello", scope=replace(ALICE, agent_id="cook"))
            run = await add(store, "hello", scope=replace(ALICE, run_id="r1"))
            assert (first.session, other.session, run.session) == (first.id, other.id, "r1")

        self.play(tmp_path, scenario)

    def test_turns_of_one_batch_continue_each_others_session(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            pairs = [said("a"), said("b", at=moment(minutes=5)), said("c", at=moment(hours=3))]
            await store.commit(batch(*pairs))
            ids = [turn.id for turn, _ in pairs]
            assert [turn.session for turn in await store.turns("default", ids)] == [ids[0], ids[0], ids[2]]
            assert [row.session for row in (await store.load(ALICE.partition)).rows] == [
                ids[0],
                ids[0],
                ids[2],
            ]

        self.play(tmp_path, scenario)

    # ---- erase, reset

    def test_what_was_erased_has_no_words_left(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "secret", speaker="Ann", metadata={"pin": 1})
            await change(store, replace(revision(memory, "secret too", at=NOW), reason="because secret"))
            other = await add(store, "harmless")
            erased = await store.erase("default", [memory.id], at=moment(hours=1), reason="asked")
            assert {name: erased.removed[name] for name in ("memories", "turns", "entries")} == {
                "memories": 2,
                "turns": 1,
                "entries": 2,
            }
            assert await store.get("default", memory.id) is None
            assert await store.read(ALICE.partition, [1, 2, 3]) == [other]
            assert await store.turns("default", [memory.id]) == []
            everything = query(show_retired=True, show_expired=True, show_superseded=True)
            assert texts(await store.find(everything)) == ["harmless"]
            assert texts(await store.find(query(known_at=NOW))) == ["harmless"]
            history = await store.history("default", memory.id)
            assert [(c.event, c.old_text, c.new_text, c.reason) for c in history] == [
                ("ADD", None, None, None),
                ("UPDATE", None, None, None),
                ("ERASE", None, None, "asked"),
            ]

        self.play(tmp_path, scenario)

    def test_erasing_a_fact_erases_the_turns_that_it_came_from_and_their_memories(
        self, tmp_path: Path
    ) -> None:
        async def scenario(store: Store) -> None:
            turn = await add(store, "my name is Ann, my pin is 1")
            secret, name = (fact(text, sources=(turn.id,)) for text in ("pin is 1", "is called Ann"))
            await store.commit(batch(secret, name))
            await store.erase("default", [secret.memory_id], at=NOW)
            assert texts(await store.find(query())) == ["is called Ann"]
            assert await store.turns("default", [turn.id]) == []

        self.play(tmp_path, scenario)

    def test_erasing_a_turn_erases_what_came_from_it_alone(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            one, two = await add(store, "tea"), await add(store, "coffee")
            alone = fact("likes tea", sources=(one.id,))
            both = fact("likes drinks", sources=(one.id, two.id))
            await store.commit(batch(alone, both))
            await store.erase("default", [one.id], at=NOW)
            assert await store.get("default", alone.memory_id) is None
            assert (await got(store, both.memory_id)).text == "likes drinks"
            await store.erase("default", [two.id], at=NOW)
            assert await store.get("default", both.memory_id) is None

        self.play(tmp_path, scenario)

    def test_an_index_learns_of_what_was_erased(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "secret")
            before = (await store.load(ALICE.partition)).head
            await store.erase("default", [memory.id], at=NOW)
            delta = await store.load(ALICE.partition, since=before)
            assert (list(delta.dead), list(delta.rows)) == ([1], [])

        self.play(tmp_path, scenario)

    def test_an_erased_id_cannot_be_used_again(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "secret")
            await store.erase("default", [memory.id], at=NOW)
            with pytest.raises(Conflict, match=r"erased|was one"):
                await add(store, "secret", id=memory.id)
            again = await store.erase("default", [memory.id, "unknown"], at=NOW)
            assert not any(again.removed.values())

        self.play(tmp_path, scenario)

    def test_erasing_keeps_to_its_tenant(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "secret")
            await store.erase("other", [memory.id], at=NOW)
            assert (await got(store, memory.id)).text == "secret"

        self.play(tmp_path, scenario)

    def test_reset_removes_a_tenant_and_no_other(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "a")
            await add(store, "b", scope=BOB)
            other = await add(store, "o", scope=replace(ALICE, tenant="other"))
            await store.reset("default")
            assert await store.find(query(show_retired=True)) == []
            assert await store.partitions("default") == []
            assert await store.history("default", memory.id) == []
            assert await store.turns("default", [memory.id]) == []
            assert (await got(store, other.id, tenant="other")).text == "o"
            stats = await store.stats("default")
            assert (stats.partitions, stats.turns, stats.memories, stats.changes) == (0, 0, 0, 0)

        self.play(tmp_path, scenario)

    def test_an_index_that_slept_through_a_reset_shows_nothing_of_what_was_removed(
        self, tmp_path: Path
    ) -> None:
        async def scenario(store: Store) -> None:
            replica = Replica()
            for text in "abc":
                await add(store, text)
            replica.apply(await store.load(ALICE.partition))
            await store.reset("default")
            gone = await store.load(ALICE.partition, since=replica.head)
            for text in "defgh":
                await add(store, text)
            back = await store.load(ALICE.partition, since=replica.head)
            assert min(gone.head, back.head) > replica.head
            replica.apply(back)
            assert list(replica.rows.values()) == list((await store.load(ALICE.partition)).rows)

        self.play(tmp_path, scenario)

    # ---- opening and closing

    def test_a_closed_store_refuses_everything(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            store = self.make(tmp_path)
            await store.open(SPACE)
            await store.aclose()
            await store.aclose()
            for call in (
                store.commit(batch(said("a"))),
                store.load(ALICE.partition),
                store.find(query()),
                store.get("default", "x"),
                store.stats("default"),
            ):
                with pytest.raises(Closed):
                    await call

        asyncio.run(scenario())

    def test_stats_count(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "a")
            await add(store, "b", scope=BOB)
            await change(store, end(memory))
            stats = await store.stats("default")
            assert (stats.partitions, stats.turns, stats.memories, stats.retired, stats.changes) == (
                2,
                2,
                1,
                1,
                3,
            )
            assert stats.space == SPACE

        self.play(tmp_path, scenario)
