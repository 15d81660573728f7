"""The promises of the port `Store`: what is asked of it."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from perdure.filters import parse
from perdure.ports import Delta, EntryRow, Store
from perdure.testing.store.scenes import (
    ALICE,
    BOB,
    NOW,
    Play,
    add,
    change,
    end,
    entry,
    got,
    moment,
    query,
    revision,
    texts,
)
from perdure.types import Change, Partition, Scope


class Questions(Play):
    """Loading, reading, listing, history."""

    # ---- load

    def test_load_tells_what_came_and_what_ended_after_a_sequence(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            one, two, three = [await add(store, text) for text in "123"]
            await change(store, revision(two, "2b", at=moment(hours=1)))
            await change(store, end(three))
            delta = await store.load(ALICE.partition, since=3)
            assert (delta.head, [row.ord for row in delta.rows], list(delta.dead)) == (5, [4], [2, 3])
            fresh = await store.load(ALICE.partition)
            assert [row.ord for row in fresh.rows] == [one.ord, 4]
            assert _plain(await store.load(ALICE.partition, since=5)) == (5, [], [])

        self.play(tmp_path, scenario)

    def test_load_gives_what_ranking_needs(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea", speaker="Ann", valid_from=NOW, expires_at=moment(seconds=1))
            [row] = (await store.load(ALICE.partition)).rows
            micros = 1_767_614_400_000_000
            assert row == EntryRow(
                ord=1,
                id=memory.id,
                place=1,
                session=memory.id,
                speaker="Ann",
                role="user",
                words=entry("tea").words,
                speaker_words=b"",
                date_words=b"",
                flags=3,
                vectors=entry("tea").vectors,
                valid_from=micros,
                valid_to=None,
                expires_at=micros + 1_000_000,
                said_at=micros,
                scope=row.scope,
            )

        self.play(tmp_path, scenario)

    def test_load_at_an_earlier_moment_gives_what_was_current_then(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, revision(memory, "coffee", at=moment(hours=1)), at=moment(hours=1))
            times = (moment(seconds=-1), NOW, moment(minutes=59), moment(hours=1))
            deltas = [await store.load(ALICE.partition, known_at=at) for at in times]
            assert [[row.ord for row in delta.rows] for delta in deltas] == [[], [1], [1], [2]]

        self.play(tmp_path, scenario)

    def test_a_partition_without_memories_is_empty(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            assert _plain(await store.load(ALICE.partition)) == (0, [], [])
            assert await store.read(ALICE.partition, [1]) == []
            assert await store.select(ALICE.partition, query()) == []

        self.play(tmp_path, scenario)

    # ---- read, turns

    def test_rows_and_turns_come_in_the_order_asked(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memories = [await add(store, text) for text in "abc"]
            assert texts(await store.read(ALICE.partition, [3, 1, 9])) == ["c", "a"]
            ids = [memories[2].id, "unknown", memories[0].id]
            assert [turn.text for turn in await store.turns("default", ids)] == ["c", "a"]

        self.play(tmp_path, scenario)

    # ---- find, select

    def test_find_lists_newest_first_and_oldest_first(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "b", at=moment(hours=1))
            await add(store, "a")
            await add(store, "a2")
            await add(store, "c", at=moment(hours=2), scope=BOB)
            assert texts(await store.find(query(order="oldest"))) == ["a", "a2", "b", "c"]
            assert texts(await store.find(query())) == ["c", "b", "a2", "a"]
            assert texts(await store.find(query(limit=2, offset=1))) == ["b", "a2"]
            assert texts(await store.find(query(offset=3))) == ["a"]

        self.play(tmp_path, scenario)

    def test_find_keeps_to_its_tenant_and_partitions(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            other = replace(ALICE, tenant="other")
            for text, scope in (("a", ALICE), ("b", BOB), ("o", other)):
                await add(store, text, scope=scope)
            assert texts(await store.find(query(order="oldest"))) == ["a", "b"]
            assert texts(await store.find(query(partitions=(BOB.partition, other.partition)))) == ["b"]
            assert await store.find(query(partitions=())) == []
            assert await store.select(other.partition, query()) == []

        self.play(tmp_path, scenario)

    def test_find_filters(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "red wine", metadata={"price": 7}, categories=("drink",))
            await add(store, "bread", scope=replace(ALICE, agent_id="cook"))
            for wanted, found in (
                ({"price": {"gt": 5}}, ["red wine"]),
                ({"categories": "drink"}, ["red wine"]),
                ({"agent_id": "cook"}, ["bread"]),
                ({"NOT": {"memory": {"contains": "wine"}}}, ["bread"]),
            ):
                assert texts(await store.find(query(filter=parse(wanted)))) == found

        self.play(tmp_path, scenario)

    def test_what_ended_expired_or_is_not_salient_is_not_listed_unless_asked_for(
        self, tmp_path: Path
    ) -> None:
        async def scenario(store: Store) -> None:
            await change(store, end(await add(store, "deleted")))
            await add(store, "expired", expires_at=NOW)
            await add(store, "superseded", valid_to=NOW)
            await add(store, "faint", salience=0.1)
            await add(store, "future", valid_from=moment(days=1))
            for options, found in (
                ({"min_salience": 0.5}, ["future"]),
                ({}, ["faint", "future"]),
                ({"show_expired": True}, ["expired", "faint", "future"]),
                ({"show_superseded": True}, ["superseded", "faint", "future"]),
                ({"show_retired": True}, ["deleted", "faint", "future"]),
            ):
                listed = query(order="oldest", **cast("dict[str, Any]", options))
                assert texts(await store.find(listed)) == found
                assert texts(
                    await store.read(ALICE.partition, await store.select(ALICE.partition, listed))
                ) == (found)

        self.play(tmp_path, scenario)

    def test_deleted_memories_are_listed_by_their_last_version(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            await change(store, revision(memory, "coffee", at=NOW))
            await change(store, end(await got(store, memory.id)))
            assert texts(await store.find(query(show_retired=True))) == ["coffee"]

        self.play(tmp_path, scenario)

    def test_as_of_reads_what_was_true_then_and_known_at_what_was_known_then(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "Berlin", valid_from=moment(days=-9), valid_to=moment(days=-5))
            home = await add(store, "Rome", valid_from=moment(days=-5))
            await change(store, end(home), at=moment(days=2))
            assert texts(await store.find(query(as_of=moment(days=-6)))) == ["Berlin"]
            assert texts(await store.find(query(as_of=moment(days=-5)))) == []
            assert texts(await store.find(query(known_at=moment(days=1)))) == ["Rome"]
            assert texts(await store.find(query(known_at=moment(days=2)))) == []
            assert texts(await store.find(query(known_at=moment(days=-1), show_superseded=True))) == []

        self.play(tmp_path, scenario)

    # ---- partitions

    def test_partitions_are_found_by_any_of_their_ids(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            await add(store, "a", scope=Scope(user_id="alice", agent_id="cook"))
            await add(store, "b", scope=Scope(user_id="bob", agent_id="cook", run_id="r"))
            await add(store, "c", scope=Scope(agent_id="cook"))
            await add(store, "o", scope=Scope(agent_id="cook", tenant="other"))
            alice, bob, cook = (Partition("default", o) for o in ("user:alice", "user:bob", "agent:cook"))
            for scopes, found in (
                (None, [cook, alice, bob]),
                ([Scope(agent_id="cook")], [cook, alice, bob]),
                ([Scope(agent_id="cook", run_id="r")], [bob]),
                ([Scope(user_id="alice"), Scope(run_id="r")], [alice, bob]),
                ([Scope(user_id="nobody")], []),
                ([], []),
            ):
                assert sorted(await store.partitions("default", scopes)) == found

        self.play(tmp_path, scenario)

    # ---- history

    def test_history_tells_what_happened_when_by_whom_and_why(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            memory = await add(store, "tea")
            revised = replace(revision(memory, "coffee", at=moment(hours=1)), actor="ann", reason="asked")
            made = await change(store, revised, at=moment(hours=1))
            await change(store, end(await got(store, memory.id)), at=moment(hours=2))
            added, updated, deleted = await store.history("default", memory.id)
            assert updated == Change(
                seq=2,
                memory_id=memory.id,
                event="UPDATE",
                at=moment(hours=1),
                old_text="tea",
                new_text="coffee",
                actor="ann",
                reason="asked",
                write_id=made.batch_id,
            )
            assert (added.event, added.old_text, added.new_text) == ("ADD", None, "tea")
            assert (deleted.event, deleted.old_text, deleted.new_text) == ("DELETE", "coffee", None)
            assert await store.history("other", memory.id) == []

        self.play(tmp_path, scenario)


def _plain(delta: Delta) -> tuple[int, list[EntryRow], list[int]]:
    return delta.head, list(delta.rows), list(delta.dead)
