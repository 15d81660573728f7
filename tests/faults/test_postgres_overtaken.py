"""Commits to PostgreSQL that are decided by what the last ones left: one round trip, and right whoever came between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from perdure.errors import Conflict, ModelMismatch
from perdure.ports import Batch, Export, Job
from perdure.stores.postgres import PostgresStore, connection, guessing
from perdure.testing.servers import PostgresServer
from perdure.testing.store.scenes import (
    ALICE,
    BOB,
    NOW,
    SPACE,
    add,
    batch,
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
from perdure.types import Scope

NAMES = count(1)
LATER = moment(days=2)
WORK = Scope(user_id="alice", agent_id="work")
AWAY = Scope(user_id="alice", run_id="away")
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perdure' AND wait_event_type = 'Lock'"
)


class Stage:
    """Two stores over one schema, as two processes have them, and how often the database is asked."""

    def __init__(self, server: PostgresServer, asked: list[int]) -> None:
        self.server = server
        self.schema = f"overtaken{next(NAMES)}"
        self.here, self.there = (PostgresStore(url=server.url(), schema=self.schema) for _ in range(2))
        self._asked = asked

    async def trips(self, *batches: Batch, store: PostgresStore | None = None) -> int:
        """Round trips of these commits, that are made at once."""
        self._asked.clear()
        await asyncio.gather(*map((store or self.here).commit, batches))
        return len(self._asked)


@pytest.fixture
def stage(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Stage:
    asked: list[int] = []
    ask = connection.ask

    async def counting(to: connection.Connection, statements: Sequence[connection.Statement]) -> Any:
        asked.append(len(statements))
        return await ask(to, statements)

    monkeypatch.setattr(connection, "ask", counting)
    return Stage(postgres_server, asked)


@asynccontextmanager
async def opened(stage: Stage) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Both of them; what is stored in the end is sound."""
    for store in (stage.here, stage.there):
        await store.open(SPACE)
    yield stage.here, stage.there
    assert await stage.here.check() == []
    for store in (stage.here, stage.there):
        await store.aclose()


def words(text: str, *, scope: Scope = ALICE, minutes: float = 0, **fields: Any) -> Batch:
    return batch(said(text, scope=scope, at=NOW + timedelta(minutes=minutes)), **fields)


async def session(store: PostgresStore, made: Batch) -> str | None:
    [turn] = await store.turns(made.partition.tenant, [made.turns[0].id])
    return turn.session


async def heads(store: PostgresStore, *scopes: Scope) -> list[int]:
    return [stand.head for stand in await store.standing([scope.partition for scope in scopes])]


# ---- how often it is asked


def test_an_add_after_an_add_is_one_round_trip(stage):
    async def scenario() -> None:
        async with opened(stage):
            assert await stage.trips(words("one")) > 1
            assert await stage.trips(words("two")) == 1
            assert await stage.trips(words("three", key="k", key_since=NOW)) == 1
            assert texts(await stage.here.find(query())) == ["three", "two", "one"]

    asyncio.run(scenario())


def test_adds_of_many_users_at_once_are_one_round_trip(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, _):
            scopes = [Scope(user_id=f"user {n}") for n in range(200)]
            await stage.trips(*(words("first", scope=scope) for scope in scopes))
            second = [words("second", scope=scope, minutes=1) for scope in scopes]
            assert await stage.trips(*second) == 1
            assert await heads(here, *scopes) == [2] * len(scopes)
            sessions = {scope: made.turns[0].scope for scope, made in zip(scopes, second, strict=True)}
            assert len(sessions) == len({await session(here, made) for made in second})

    asyncio.run(scenario())


def test_scopes_of_one_partition_do_not_displace_each_other(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, _):
            for scope in (ALICE, WORK, AWAY):
                await here.commit(words("first", scope=scope))
            assert [await stage.trips(words("second", scope=s)) for s in (ALICE, WORK, AWAY)] == [1, 1, 1]

    asyncio.run(scenario())


def test_where_two_take_turns_nobody_pays_for_guesses_that_fail(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            trips = []
            for _ in range(5):
                trips.append(await stage.trips(words("here")))
                trips.append(await stage.trips(words("there"), store=there))
            assert max(trips[4:]) == 2
            alone = [await stage.trips(words(f"alone {n}")) for n in range(3)]
            assert alone == [2, 2, 1]  # the second has found that nobody came between
            assert await heads(here, ALICE) == [13]

    asyncio.run(scenario())


def test_where_the_database_has_another_isolation_for_its_default_nothing_is_guessed(stage):
    """What has waited for upkeep would there not see what that has changed."""
    url = f"{stage.server.url()}?options=-c%20default_transaction_isolation%3Dserializable"
    stage.here = PostgresStore(url=url, schema=stage.schema)

    async def scenario() -> None:
        async with opened(stage):
            assert [await stage.trips(words(f"word {n}")) for n in range(4)][1:] == [2, 2, 2]

    asyncio.run(scenario())


def test_a_connection_that_has_another_isolation_stores_nothing_by_guess(stage):
    stage.here = replace(stage.here, max_connections=1)
    other = "SET default_transaction_isolation TO 'repeatable read'"

    async def scenario() -> None:
        async with opened(stage) as (here, _):
            await here.commit(words("first"))
            lane = await here._link._lane()
            await lane.once(lambda held: held.execute(other), 10)
            assert [await stage.trips(words(f"word {n}")) for n in range(3)] == [3, 2, 2]

    asyncio.run(scenario())


def test_what_is_remembered_is_bounded(stage, monkeypatch):
    monkeypatch.setattr(guessing, "BOUND", 2)

    async def scenario() -> None:
        async with opened(stage):
            scopes = [Scope(user_id=f"user {n}") for n in range(3)]
            for scope in scopes:
                await stage.trips(words("first", scope=scope))
            assert [await stage.trips(words("second", scope=s)) for s in scopes[::-1]] == [1, 1, 2]

    asyncio.run(scenario())


def test_statements_that_were_planned_for_an_empty_store_go_by_indexes_when_it_has_grown(stage):
    sql = (
        "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables WHERE schemaname = %s "
        "AND relname IN ('turns', 'memories', 'keys', 'scopes', 'partitions', 'changes')"
    )

    async def scans() -> int:
        async with await psycopg.AsyncConnection.connect(stage.server.url()) as connection:
            [found] = await (await connection.execute(sql, [stage.schema])).fetchall()
            return int(found[0])

    async def scenario() -> None:
        for store in (stage.there, stage.here):
            await store.open(SPACE)
        await stage.there.aclose()
        before = await scans()
        for n in range(20):
            made = said(f"word {n}", scope=Scope(user_id=f"user {n % 3}"))
            await stage.here.commit(batch(made, key=f"key {n}", key_since=NOW))
            held = await stage.here.get("default", made[0].id)
            assert held is not None
            await stage.here.commit(batch(revision(held, "other words", at=LATER)))
        await stage.here.aclose()  # what a connection has counted is told at its end
        assert await scans() == before

    asyncio.run(scenario())


# ---- who comes between


def test_whoever_is_overtaken_goes_on_where_the_other_has_stopped(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            first, second, third = (words(f"word {n}", minutes=20 * n) for n in range(3))
            await here.commit(first)
            await there.commit(second)
            assert (await here.commit(third)).head == 3
            assert {await session(here, made) for made in (second, third)} == {await session(here, first)}
            await there.commit(words("of Bob", scope=BOB))
            assert await heads(here, ALICE, BOB) == [3, 1]

    asyncio.run(scenario())


def test_what_another_has_stored_with_the_key_is_not_stored_again(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            await here.commit(words("first"))
            for key, since in (("own", None), ("passing", NOW)):
                theirs = await there.commit(words("theirs", key=key, key_since=since))
                mine = await here.commit(words("mine", key=key, key_since=since))
                assert (mine.repeated, mine.batch_id) == (True, theirs.batch_id)
                again = words("again", key=key, key_since=since)
                for _ in range(2):  # since the first, nobody came between
                    repeated = await here.commit(again)
                    assert (repeated.repeated, repeated.batch_id) == (True, theirs.batch_id)
            late = words("late", key="passing", key_since=LATER)
            assert await stage.trips(late) == 1
            assert texts(await here.find(query()))[0] in ("late", "theirs")
            assert sorted(texts(await here.find(query()))) == ["first", "late", "theirs", "theirs"]

    asyncio.run(scenario())


def test_a_turn_that_is_taken_in_without_a_step_of_the_sequence_is_the_last_one(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            first, second = words("first"), words("second", minutes=2)
            await here.commit(first)
            imported, write = said("imported", at=NOW + timedelta(minutes=1))
            imported = replace(imported, session="of another store")
            before = await heads(here, ALICE)
            assert await there.restore([Export(ALICE.partition, imported)]) == 1
            assert await heads(here, ALICE) == before
            await here.commit(second)
            assert await session(here, second) == "of another store"
            assert write.memory is not None
            assert await there.restore([Export(ALICE.partition, write.memory, write.entry)]) == 1

    asyncio.run(scenario())


def test_a_commit_that_makes_no_step_takes_none_of_another_back(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            first = await add(here, "first")
            await there.commit(batch(end(first), partition=ALICE.partition))
            job = Job(id="job", partition=ALICE.partition, kind="k", turns=(first.id,), made_at=NOW)
            await here.commit(Batch(id="b", partition=ALICE.partition, at=NOW, jobs=(job,)))
            assert await heads(here, ALICE) == [2]

    asyncio.run(scenario())


@pytest.mark.parametrize("table", ["partitions", "scopes"])
def test_numbers_that_a_backup_has_others_of_are_not_used(stage, table):
    """As where a database was put back, and somebody else made the partition or the scope after that."""
    held = {
        "partitions": ("partition", ("scopes", "turns", "memories", "entries", "changes")),
        "scopes": ("scope", ("turns", "memories")),
    }

    async def scenario() -> None:
        async with opened(stage) as (here, _):
            await here.commit(words("first"))
            column, tables = held[table]
            sql = "".join(f"UPDATE {stage.schema}.{name} SET {column} = 777; " for name in tables)
            insert = "ALTER COLUMN id SET GENERATED BY DEFAULT"
            stage.server.sql(f"ALTER TABLE {stage.schema}.{table} {insert}")
            stage.server.sql(f"{sql} UPDATE {stage.schema}.{table} SET id = 777")
            await here.commit(words("second"))
            found = await here.find(query(partitions=(ALICE.partition,)))
            assert texts(found) == ["second", "first"]
            assert {memory.scope for memory in found} == {ALICE}
            assert len((await here.load(ALICE.partition)).rows) == 2

    asyncio.run(scenario())


def test_what_is_changed_while_a_commit_waits_for_its_lock_is_seen(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, _):
            first, second = words("first"), words("second", minutes=2)
            await here.commit(first)
            async with await psycopg.AsyncConnection.connect(stage.server.url()) as other:
                await other.execute(f"SET search_path TO {stage.schema}")
                await other.execute("SET perdure.tenant TO 'default'")
                await other.execute("UPDATE partitions SET seq = seq")
                commit = asyncio.create_task(here.commit(second))
                async with asyncio.timeout(30):
                    while stage.server.sql(WAITS) == [(0,)]:
                        await asyncio.sleep(0.01)
                await other.execute("UPDATE turns SET session = 'changed meanwhile'")
                await other.commit()
            await commit
            assert await session(here, second) == "changed meanwhile"

    asyncio.run(scenario())


def test_what_another_has_erased_is_not_stored_again(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            gone = await add(here, "to be erased")
            await there.erase("default", [gone.id], at=NOW)
            await here.commit(words("after it"))
            with pytest.raises(Conflict, match="erased"):
                await here.commit(batch(said("once more", id=gone.id)))
            with pytest.raises(Conflict, match="erased"):
                await here.commit(batch(fact("derived from it", sources=(gone.id,))))
            assert texts(await here.find(query())) == ["after it"]

    asyncio.run(scenario())


def test_an_id_that_another_has_used_is_refused_and_fails_nobody_beside_it(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            await here.commit(words("of Alice"))
            await here.commit(words("of Bob", scope=BOB))
            theirs = await add(there, "theirs", scope=BOB)
            taken = here.commit(batch(said("mine", scope=BOB, id=theirs.id)))
            refused, _ = await asyncio.gather(taken, here.commit(words("beside it")), return_exceptions=True)
            assert isinstance(refused, Conflict)
            assert sorted(texts(await here.find(query()))) == ["beside it", "of Alice", "of Bob", "theirs"]

    asyncio.run(scenario())


def test_after_a_reset_by_another_a_partition_begins_anew(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            for n in range(3):
                await here.commit(words(f"word {n}"))
            [before] = await heads(here, ALICE)
            await there.reset("default")
            made = words("after it", minutes=1)
            assert (await here.commit(made)).head > before
            assert await session(here, made) == made.turns[0].id
            await there.reset("default")
            await there.commit(words("theirs", scope=BOB))
            await here.commit(words("mine", scope=BOB))
            assert sorted(texts(await here.find(query()))) == ["mine", "theirs"]

    asyncio.run(scenario())


def test_a_space_that_another_has_switched_to_is_noticed(stage):
    other = replace(SPACE, model="large/2", dimensions=8)

    async def scenario() -> None:
        async with opened(stage) as (here, there):
            await here.commit(words("first"))
            entries = [(p, m.ord, entry(m.text)) for p, m in await there.missing(other, limit=10)]
            await there.prepare(other, entries)
            assert await there.activate(other) == 0
            with pytest.raises(ModelMismatch, match="large/2"):
                await here.commit(words("in the old space"))
            await there.commit(words("in the new space"))
            assert sorted(texts(await here.find(query()))) == ["first", "in the new space"]
            assert (await there.stats("default")).space == other

    asyncio.run(scenario())


def test_what_is_learned_and_ended_between_adds_is_no_reason_to_ask_more(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, _):
            first = await add(here, "first")
            learned = batch(fact("learned", sources=(first.id,)), needs=(first.id,))
            assert await stage.trips(learned) == 2
            assert await stage.trips(words("second")) == 1
            held = await got(here, learned.writes[0].memory_id)
            assert await stage.trips(batch(end(held), partition=ALICE.partition)) == 2
            assert await stage.trips(words("third")) == 1
            assert sorted(texts(await here.find(query()))) == ["first", "second", "third"]

    asyncio.run(scenario())


def of(stores: Iterable[PostgresStore]) -> Any:
    """Many commits of each, on two partitions, that come as they come."""
    scopes = (ALICE, BOB)
    return asyncio.gather(
        *(
            store.commit(words(f"word {n}", scope=scopes[n % 2], key=f"key {n}", key_since=NOW))
            for n in range(100)
            for store in stores
        )
    )


def test_two_that_write_to_the_same_partitions_all_the_time_store_each_once(stage):
    async def scenario() -> None:
        async with opened(stage) as (here, there):
            done = await of((here, there))
            pairs = zip(done[::2], done[1::2], strict=True)
            assert [one.repeated + other.repeated for one, other in pairs] == [1] * 100
            assert len({*texts(await here.find(query(limit=1_000)))}) == 100
            assert await heads(here, ALICE, BOB) == [50, 50]

    asyncio.run(scenario())
