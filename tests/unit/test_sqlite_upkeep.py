"""What a store does for its keepers: indexes told of new entries, keys forgotten when nobody asks for them."""

import asyncio
import os

import pytest

from perdure.engine.indexes import Indexes
from perdure.ports import Entry
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import ALICE, BOB, NOW, SPACE, add, batch, moment, played, query, said


async def at_once(work):
    return work()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.db"


def play(path, scenario):
    return played(SqliteStore(path=path), scenario)


def test_an_index_is_read_again_when_another_process_made_its_entries_again(path):
    async def scenario(store):
        other = SqliteStore(path=path)
        await other.open(None)
        memory = await add(store, "tea")
        indexes = Indexes(store, dimensions=4, max_bytes=10**6, work=at_once)
        held = await indexes.current(ALICE.partition)
        assert await indexes.current(ALICE.partition) is held
        await other.prepare(SPACE, [(ALICE.partition, memory.ord, Entry(words=b"12345678" * 9))])
        again = await indexes.current(ALICE.partition)
        assert again is not held
        assert await indexes.current(ALICE.partition) is again
        await other.aclose()

    play(path, scenario)


def test_a_mark_stands_until_any_process_commits(path):
    async def scenario(store):
        other = SqliteStore(path=path)
        await other.open(None)
        await add(store, "tea")
        mark = (await store.load(ALICE.partition)).stand.mark
        await store.find(query())
        assert store.stands(mark)
        await add(other, "coffee", scope=BOB)
        assert not store.stands(mark)
        mark = (await store.load(ALICE.partition)).stand.mark
        assert store.stands(mark)
        if (child := os.fork()) == 0:
            os._exit(store.stands(mark))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0, "a child is told nothing"
        assert not store.stands(mark), "the connection is another since the fork"
        mark = (await store.load(ALICE.partition)).stand.mark
        await other.aclose()
        assert store.stands(mark)
        await store.aclose()
        assert not store.stands(mark)

    play(path, scenario)


def test_a_long_listing_has_the_order_of_short_ones(path):
    async def scenario(store):
        days = [(7 * n) % 50 for n in range(1_100)]
        await store.commit(batch(*(said(str(n), at=moment(days=days[n])) for n in range(1_100))))
        short = [
            m for start in range(0, 1_100, 100) for m in await store.find(query(offset=start, limit=100))
        ]
        assert await store.find(query(limit=1_050, offset=10)) == short[10:1_060]
        assert await store.find(query(limit=None)) == short

    play(path, scenario)


def test_keys_made_from_words_are_forgotten_after_their_time_and_callers_keys_are_kept(path):
    async def scenario(store):
        for n in range(10):
            await store.commit(batch(said("x"), key=f"passing {n}", key_since=NOW))
        await store.commit(batch(said("x"), key="a caller's"))
        for n in range(3):
            later = batch(said("x", scope=BOB), key=f"later {n}", key_since=moment(days=2), at=moment(days=2))
            await store.commit(later)
        held = "SELECT key FROM keys ORDER BY key"
        return [key for [key] in await store._use.readers.do(lambda c: c.execute(held).fetchall())]

    assert play(path, scenario) == ["a caller's", "later 0", "later 1", "later 2"]


def test_forgetting_keys_reads_no_others(path):
    async def scenario(store):
        def plan(c):
            asked = []
            c.set_trace_callback(asked.append)
            return asked

        asked = await store._use.writer.do(plan, alone=True)
        await store.commit(batch(said("x"), key="k", key_since=NOW))
        [forget] = [sql for sql in asked if sql.startswith("DELETE FROM keys")]
        steps = await store._use.writer.do(lambda c: c.execute(f"EXPLAIN QUERY PLAN {forget}").fetchall())
        return [step[3] for step in steps]

    steps = play(path, scenario)
    assert not [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
