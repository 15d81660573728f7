"""Calls for vectors that are shared: who goes at once, who waits, and whose trouble is whose."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from perdure.engine.caching.coalesced import CoalescedEmbedder
from perdure.errors import Unavailable
from perdure.testing.fakes import HashEmbedder

PATIENCE = 30
FOREVER = 3_600.0


@dataclass
class Gated:
    """An embedder that answers when it is let, and remembers what it was asked."""

    dimensions: int = 8
    model: str = "gated/1"
    calls: list[list[str]] = field(default_factory=list)
    cancelled: int = 0
    failing: str = "there is no such text"
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, texts):
        self.calls.append(list(texts))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing in texts:
            raise Unavailable("the service is busy")
        return await HashEmbedder(dimensions=self.dimensions).embed(texts)

    async def aclose(self):
        pass


def play(scenario, **options):
    async def run():
        inner = Gated()
        async with asyncio.timeout(PATIENCE):
            await scenario(inner, CoalescedEmbedder(inner, **{"wait": FOREVER, **options}))

    asyncio.run(run())


async def begun(*requests):
    tasks = [asyncio.create_task(request) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_the_first_goes_at_once_and_the_others_gather_until_it_is_back():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([text]) for text in "abcd"))
        assert inner.calls == [["a"]]
        inner.gate.set()
        made = await asyncio.gather(*tasks)
        assert inner.calls == [["a"], ["b", "c", "d"]]
        alone = await HashEmbedder(dimensions=8).embed(list("abcd"))
        assert np.array_equal(np.concatenate(made), alone)

    play(scenario)


def test_identical_texts_in_flight_are_embedded_once():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed(["a", text, "a"]) for text in "bbcc"))
        inner.gate.set()
        made = await asyncio.gather(*tasks)
        assert sorted(text for call in inner.calls for text in call) == ["a", "b", "c"]
        assert np.array_equal(made[0], made[1])
        assert np.array_equal(made[0][0], made[3][2])

    play(scenario)


def test_as_many_calls_are_under_way_as_the_embedder_computes_at_once():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([text]) for text in "abcd"))
        assert inner.calls == [["a"], ["b"]]
        inner.gate.set()
        await asyncio.gather(*tasks)
        assert inner.calls == [["a"], ["b"], ["c", "d"]]

    play(scenario, at_once=2)


def test_nobody_waits_longer_than_agreed_for_a_call_that_takes_its_time():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([text]) for text in "abc"))
        while len(inner.calls) < 2:
            await asyncio.sleep(0.001)
        assert inner.calls == [["a"], ["b", "c"]]
        inner.gate.set()
        await asyncio.gather(*tasks)

    play(scenario, wait=0.001)


def test_a_call_has_no_more_texts_than_agreed():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([f"{n}"]) for n in range(8)))
        assert [len(call) for call in inner.calls] == [1, 3, 3]
        inner.gate.set()
        await asyncio.gather(*tasks)
        assert [len(call) for call in inner.calls] == [1, 3, 3, 1]

    play(scenario, most=3)


def test_a_call_has_no_more_characters_than_services_take():
    async def scenario(inner, embedder):
        tasks = await begun(embedder.embed(["a"]), *(embedder.embed([x * 150_000]) for x in "bcd"))
        inner.gate.set()
        await asyncio.gather(*tasks)
        assert [len(call) for call in inner.calls] == [1, 1, 1, 1]

    play(scenario)


def test_a_long_list_is_a_call_of_its_own():
    async def scenario(inner, embedder):
        tasks = await begun(embedder.embed(["a"]), embedder.embed(list("bcdef")))
        assert inner.calls == [["a"], list("bcdef")]
        inner.gate.set()
        await asyncio.gather(*tasks)
        assert (await embedder.embed([])).shape[0] == 0

    play(scenario, most=5)


def test_an_error_reaches_all_of_its_call_and_nobody_else():
    async def scenario(inner, embedder):
        inner.failing = "b"
        tasks = await begun(*(embedder.embed([text]) for text in "abc"))
        inner.gate.set()
        good, *bad = await asyncio.gather(*tasks, return_exceptions=True)
        assert good.shape == (1, 8)
        assert [type(error) for error in bad] == [Unavailable, Unavailable]
        inner.failing = ""
        assert (await embedder.embed(["b"])).shape == (1, 8)

    play(scenario)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_who_gives_up_takes_nothing_from_the_others(victim):
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed(["same", text]) for text in "abc"))
        tasks[victim].cancel()
        await begun()
        inner.gate.set()
        made = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in made].count(asyncio.CancelledError) == 1
        for number, one in enumerate(made):
            if number != victim:
                assert np.array_equal(one, await HashEmbedder(dimensions=8).embed(["same", "abc"[number]]))

    play(scenario)


def test_a_call_that_nobody_waits_for_any_more_is_given_up():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([text]) for text in "abc"))
        while len(inner.calls) < 2:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await begun()
        assert inner.cancelled == 2
        inner.gate.set()
        assert (await embedder.embed(["a"])).shape == (1, 8)

    play(scenario, wait=0.001)


def test_what_was_gathered_by_those_who_gave_up_is_not_sent():
    async def scenario(inner, embedder):
        tasks = await begun(*(embedder.embed([text]) for text in "abc"))
        for task in tasks[1:]:
            task.cancel()
        await begun()
        inner.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inner.calls == [["a"]]

    play(scenario)


def test_each_event_loop_has_calls_of_its_own():
    embedder = CoalescedEmbedder(HashEmbedder(dimensions=8))
    first, second = (asyncio.run(embedder.embed(["a"])) for _ in range(2))
    assert np.array_equal(first, second)
    assert (embedder.model, embedder.dimensions) == ("hash-8/1", 8)
