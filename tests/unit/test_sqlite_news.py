"""One look tells of all partitions whether they have changed: never too little, and seldom too much."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.ports import Space
from perdure.stores.sqlite import SqliteStore
from perdure.stores.sqlite.news import MOST_KEPT, MOST_NEWS, Look, Mark, News
from perdure.testing.store.scenes import NOW, SPACE, add, batch, entry, fact
from perdure.types import Partition, Scope

OWNERS = [Scope(user_id=name) for name in ("ann", "bob", "tom")]
P, Q = OWNERS[0].partition, OWNERS[1].partition

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "erase", "reset", "prepare", "vectors", "load", "standing"]),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=20,
)


def opened(path, scenario, *, stores=2):
    async def run():
        held = [SqliteStore(path=path, synchronous="NORMAL") for _ in range(stores)]
        try:
            for store in held:
                await store.open(SPACE)
            return await scenario(*held)
        finally:
            for store in held:
                await store.aclose()

    return asyncio.run(run())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_a_mark_that_stands_is_of_what_is_there(tmp_path_factory, script):
    path = tmp_path_factory.mktemp("news") / "memory.db"

    async def scenario(store, other):
        seen, ids = [], []
        for what, number, elsewhere in script:
            doing, scope = other if elsewhere else store, OWNERS[number]
            if what == "add":
                ids.append((await add(doing, "tea", scope=scope)).id)
            elif what == "erase" and ids:
                await doing.erase("default", [ids.pop(number % len(ids))], at=NOW)
            elif what == "reset":
                await doing.reset("default")
                ids.clear()
            elif what == "prepare" and ids:
                memory = await doing.get("default", ids[-1])
                await doing.prepare(SPACE, [(memory.scope.partition, memory.ord, entry("again"))])
            elif what == "vectors":
                _, erasures = await doing.cached_vectors("default", [])
                await doing.cache_vectors("default", {"a": b"1"}, erasures=erasures, max_bytes=100)
            elif what == "load":
                seen.append((scope.partition, (await store.load(scope.partition)).stand))
            elif what == "standing":
                partitions = [one.partition for one in OWNERS]
                seen += zip(partitions, await store.standing(partitions), strict=True)
            for partition, stand in seen:
                if store.stands(stand.mark):
                    assert await other.standing([partition]) == [stand]

    opened(path, scenario)


def test_after_one_look_everything_that_has_not_changed_stands(tmp_path):
    async def scenario(store, other):
        for scope in OWNERS:
            await add(store, "tea", scope=scope)
        marks = {s.partition: (await store.load(s.partition)).stand.mark for s in OWNERS}
        for writer in (store, other):
            await add(writer, "coffee", scope=OWNERS[0])
            assert not any(store.stands(mark) for mark in marks.values())
            marks[P] = (await store.load(P)).stand.mark
            assert all(store.stands(mark) for mark in marks.values())
        await other.reset("default")
        await store.load(P)
        assert not any(store.stands(mark) for mark in marks.values())

    opened(tmp_path / "memory.db", scenario)


def test_when_very_many_have_changed_all_count_as_changed(tmp_path):
    async def scenario(store, other):
        await add(store, "tea", scope=OWNERS[0])
        mark = (await store.load(P)).stand.mark
        for number in range(MOST_NEWS + 1):
            await other.commit(batch(fact("tea", scope=Scope(user_id=f"user-{number}"))))
        changed = await store.load(Q)
        assert not store.stands(mark)
        assert store.stands(changed.stand.mark)

    opened(tmp_path / "memory.db", scenario)


def test_what_is_known_of_partitions_is_bounded():
    news = News()
    news.take((1, 1), Look(0, (0, 0), {}))
    for start in range(0, MOST_KEPT + 2 * MOST_NEWS, MOST_NEWS):
        changed = {Partition("t", str(n)): n for n in range(start + 1, start + MOST_NEWS + 1)}
        news.take((1, start), Look(start + MOST_NEWS, (0, 0), changed))
    assert len(news._changed) <= MOST_KEPT + MOST_NEWS
    assert not news.stands(Mark(P, 0, (0, 0)), news.version)
    assert not news.stands(Mark(P, news.stamp, (0, 0)), None)
    assert news.stands(Mark(P, news.stamp, (0, 0)), news.version)


def test_a_space_is_no_part_of_what_changes(tmp_path):
    async def scenario(store):
        await add(store, "tea", scope=OWNERS[0])
        mark = (await store.load(P)).stand.mark
        new = Space(analyzer=1, model="large/1", dimensions=4)
        [(partition, memory)] = await store.missing(new, limit=5)
        await store.prepare(new, [(partition, memory.ord, entry("beside"))])
        assert not store.stands(mark)
        await store.load(Q)
        assert store.stands(mark), "entries beside those in use are nobody's business"
        await store.activate(new)
        await store.load(Q)
        assert not store.stands(mark)

    opened(tmp_path / "memory.db", scenario, stores=1)
