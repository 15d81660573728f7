"""The parts that caches are put together from: names, seals, layers, writing behind, and insisting."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.caches.memory import MemoryCache
from perdure.engine.caching.answers import Answer, AnswerForm
from perdure.engine.caching.behind import MOST, Behind
from perdure.engine.caching.insisting import Insisting
from perdure.engine.caching.keys import digest
from perdure.engine.caching.layers import Layered
from perdure.engine.caching.scores import ScoreForm
from perdure.engine.caching.sealed import Sealed
from perdure.engine.caching.vectors import VectorForm
from perdure.filters import parse
from perdure.ports import Stand
from perdure.ports.caches import Item, Key
from perdure.testing.caches import CacheConformance, put, values
from perdure.testing.strategies import filters
from perdure.types import Mention, Partition

A, B = Key("g", "a"), Key("h", "b")
FOREVER = 600.0


@dataclass(frozen=True, kw_only=True)
class Counting(MemoryCache):
    """Remembers how it was used, and drops nothing while there is trouble."""

    calls: list = field(default_factory=list)
    trouble: set = field(default_factory=set)

    async def put(self, items):
        self.calls.append(list(items))
        await super().put(items)

    async def drop(self, groups):
        return not self.trouble and await super().drop(groups)


async def secret():
    return "a name that a store got"


class TestSealed(CacheConformance):
    def make(self):
        return Sealed(MemoryCache(), secret)


class TestInsisting(CacheConformance):
    def make(self):
        return Insisting(MemoryCache())


def test_different_things_have_different_names():
    moment = datetime(2026, 1, 5, 12, tzinfo=UTC)
    things = [
        (), (None,), ("",), ("None",), (1,), (1.0,), (True,), ("1",), ("a", "b"), ("ab",), (("a",), "b"), ("a, b",),
        (moment,), (moment.replace(tzinfo=None),), (moment + timedelta(microseconds=1),), ("\ud800",), ("'",), ('"',),
        (parse({"metadata": {"a.b": 1}}),), (parse({"metadata.a.b": 1}),),
        (parse({"a": 1}),), (parse({"a": True}),), (parse({"a": "1"}),), (parse({"a": {"gt": 1}}),),
        (parse({"NOT": [{"a": 1}]}),), (parse({"a": 1, "b": 2}),), (parse({"OR": [{"a": 1}, {"b": 2}]}),),
    ]  # fmt: skip
    assert len({digest(*parts) for parts in things}) == len(things)


@given(filters(), filters())
def test_filters_that_are_not_the_same_have_different_names(one, other):
    first, second = parse(one), parse(other)
    assert digest(first) == digest(parse(one))
    assert first == second or digest(first) != digest(second)


def test_a_value_is_believed_only_where_it_was_put_and_by_who_knows_the_name():
    async def scenario():
        inner = MemoryCache()
        await put(Sealed(inner, secret), A, b"value")

        async def another():
            return "another name"

        assert await values(Sealed(inner, another), A) == [None]
        [(hidden, item)] = inner._items.items()
        assert b"value" in item.value
        assert "g" not in (hidden.group, hidden.name)
        elsewhere = Key(hidden.group, "other")
        held = (await inner.get([elsewhere]))[0]
        await inner.put([Item(elsewhere, item.value, 5, FOREVER, held.version)])
        return await values(Sealed(inner, secret), A)

    assert asyncio.run(scenario()) == [b"value"]


def test_values_that_come_together_are_written_together_and_nobody_waits():
    async def scenario():
        cache = Counting()
        [held] = await cache.get([A])
        behind = Behind(cache, str.encode, pause=0.001)
        for number in range(10):
            behind.put([Item(Key("g", str(number)), f"value {number}", 7, FOREVER, held.version)])
        assert cache.calls == []
        await behind.settle()
        assert [len(call) for call in cache.calls] == [10]
        assert await values(cache, Key("g", "3")) == [b"value 3"]
        await behind.settle()

    asyncio.run(scenario())


def test_what_waits_to_be_written_is_bounded_and_can_be_forgotten():
    async def scenario():
        cache = Counting()
        [held] = await cache.get([A])
        behind = Behind(cache, bytes)
        items = [Item(Key(f"g{n % 2}", str(n)), b"", 0, FOREVER, held.version) for n in range(MOST + 500)]
        behind.put(items)
        behind.forget({"g1"})
        await behind.aclose()
        written = [item.key for call in cache.calls for item in call]
        assert written == [item.key for item in items[500:] if item.key.group == "g0"]

    asyncio.run(scenario())


def test_a_value_that_cannot_be_written_holds_up_no_other():
    async def scenario():
        cache = Counting()
        [held] = await cache.get([A])
        behind = Behind(cache, lambda value: value.encode("ascii"))
        behind.put([Item(Key("g", v), v, 1, FOREVER, held.version) for v in ("a", "ü", "b")])
        await behind.settle()
        assert [item.value for item in cache.calls[0]] == [b"a", b"b"]

    asyncio.run(scenario())


def test_writing_behind_goes_on_in_another_event_loop():
    cache = Counting()
    behind = Behind(cache, bytes)

    async def scenario(name, *, settle):
        [held] = await cache.get([A])
        behind.put([Item(Key("g", name), b"1", 1, FOREVER, held.version)])
        if settle:
            await behind.settle()

    asyncio.run(scenario("a", settle=False))
    asyncio.run(scenario("b", settle=True))
    assert asyncio.run(values(cache, Key("g", "b"))) == [b"1"]


@pytest.mark.parametrize("groups", [["g"], None])
def test_what_could_not_be_dropped_is_not_given_out_and_dropped_later(groups, monkeypatch):
    monkeypatch.setattr("perdure.engine.caching.insisting.AGAIN", 0.001)

    async def scenario():
        inner = Counting()
        cache = Insisting(inner)
        await put(cache, A, b"words")
        inner.trouble.add("away")
        assert not await cache.drop(groups)
        assert not await cache.drop(groups)
        assert await values(cache, A) == [None]
        assert await values(inner, A) == [b"words"]
        inner.trouble.clear()
        async with asyncio.timeout(30):
            while await values(inner, A) != [None]:
                await asyncio.sleep(0.001)
        await put(cache, A, b"new")
        assert await values(cache, A) == [b"new"]
        await cache.aclose()

    asyncio.run(scenario())


def test_closing_tries_once_more_to_drop_what_is_owed():
    async def scenario():
        inner = Counting()
        cache = Insisting(inner)
        await put(cache, A, b"words")
        inner.trouble.add("away")
        assert not await cache.drop(["g"])
        inner.trouble.clear()
        await cache.aclose()
        assert await values(inner, A) == [None]

    asyncio.run(scenario())


def test_what_only_others_had_is_held_here_from_then_on():
    async def scenario():
        local, shared = MemoryCache(), MemoryCache()
        form = ScoreForm()
        behind = Behind(shared, form.pack)
        there = Layered(form=form, local=None, shared=shared, behind=behind)
        here = Layered(form=form, local=local, shared=shared, behind=behind)
        await there.put([A], [0.25], await there.get([A]))
        await behind.settle()
        assert [(one.value, one.layer) for one in await here.get([A, B])] == [(0.25, "shared"), (None, None)]
        assert [(one.value, one.layer) for one in await here.get([A])] == [(0.25, "memory")]

    asyncio.run(scenario())


STANDS = {Partition("t", "user:ann"): Stand(head=5, generation=1, token="x/1/2", erasures=3)}


@pytest.mark.parametrize("result", [{}, {"results": [{"a": [1, 2.5, None, True, "ü\ud800", {"b": []}]}]}])
def test_an_answer_comes_back_as_it_was_without_its_marks(result):
    import marshal

    form = AnswerForm()
    when = Mention(
        text="before May", start=datetime.min.replace(tzinfo=UTC), end=datetime(2026, 5, 1, tzinfo=UTC)
    )
    answer = Answer(
        payload=marshal.dumps(result),
        stands=STANDS,
        since=1,
        until=2**62,
        language="en",
        when=when,
        right_at=1.5,
        ttl=60.0,
    )
    back = form.unpack(form.pack(answer))
    assert back is not None
    assert marshal.loads(back.payload) == result
    assert (back.stands, back.since, back.until, back.right_at, back.ttl) == (STANDS, 1, 2**62, 1.5, 60.0)
    assert next(iter(back.stands.values())).erasures == 3
    assert (back.language, back.when) == ("en", when)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_value_are_none(data):
    assert AnswerForm().unpack(data) is None
    score = ScoreForm().unpack(data)
    assert score is None or 0 <= score <= 1
    vector = VectorForm(8).unpack(data)
    assert vector is None or vector.shape == (8,)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=8, max_size=8), st.floats(0, 1))
def test_vectors_and_scores_come_back_exactly(numbers, score):
    vector = np.array(numbers, np.float32)
    assert VectorForm(8).unpack(VectorForm(8).pack(vector)).tobytes() == vector.tobytes()
    assert ScoreForm().unpack(ScoreForm().pack(score)) == score


def test_moments_of_other_zones_are_other_names_and_nothing_worse():
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert digest(noon) != digest(noon.astimezone(timezone(timedelta(hours=1))))
