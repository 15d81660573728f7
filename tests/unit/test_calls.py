"""Calls in flight: counted, refused beyond the bound, told to who observes."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.calls import FIRST_WAIT, LEAST_WAIT, LONGEST_WAIT, WINDOW, Calls, verb
from perdure.engine.succession import Succession
from perdure.errors import Overloaded, Unavailable, UnknownArgument, answer


@dataclass
class Seconds:
    """A clock in seconds."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Notes:
    """Writes down what an observer is told."""

    ends: list[tuple[str, float, str | None]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def ended(self, verb: str, seconds: float, error: str | None) -> None:
        self.ends.append((verb, seconds, error))

    def refused(self, verb: str) -> None:
        self.refusals.append(verb)


class Shelf:
    def __init__(self, most: int) -> None:
        self._calls = Calls(most)
        self._succession = Succession(self)
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    @verb
    async def put(self, thing: str) -> str:
        """Put."""
        self.begun.append(thing)
        await self.go_on.wait()
        return thing

    @verb
    async def fail(self) -> None:
        raise LookupError

    @verb(bounded=False)
    async def look(self) -> int:
        return self._calls.load().running

    @verb
    def count(self, *, of: str) -> int:
        return len(of)


def waits(calls: Calls) -> float:
    """What a call that is one too many is asked to wait."""
    with pytest.raises(Overloaded) as refused:
        calls.enter("add")
    return refused.value.retry_after


def test_a_call_too_many_is_refused_before_anything_of_it_is_done():
    async def main() -> None:
        shelf = Shelf(2)
        first = [asyncio.create_task(shelf.put(name)) for name in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="calls_at_once"):
            await shelf.put("c")
        assert shelf.begun == ["a", "b"]
        shelf.go_on.set()
        assert await asyncio.gather(*first) == ["a", "b"]
        assert await shelf.put("c") == "c"
        load = shelf._calls.load()
        assert (load.running, load.bound, load.refused) == (0, 2, 1)

    asyncio.run(main())


def test_a_failure_a_cancelled_call_and_a_wrong_argument_give_their_place_back():
    async def main() -> None:
        shelf = Shelf(1)
        for _ in range(3):
            with pytest.raises(LookupError):
                await shelf.fail()
            with pytest.raises(UnknownArgument, match="thing"):
                await shelf.put(thng="a")
            waiting = asyncio.create_task(shelf.put("a"))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert shelf._calls.load().running == 0

    asyncio.run(main())


def test_what_is_not_bounded_is_answered_when_nothing_else_is():
    async def main() -> None:
        shelf = Shelf(1)
        waiting = asyncio.create_task(shelf.put("a"))
        await asyncio.sleep(0)
        assert await shelf.look() == 1
        waiting.cancel()

    asyncio.run(main())


def test_a_verb_is_still_itself():
    assert inspect.iscoroutinefunction(Shelf.put)
    assert (Shelf.put.__name__, Shelf.put.__doc__) == ("put", "Put.")
    assert list(inspect.signature(Shelf.put).parameters) == ["self", "thing"]
    assert Shelf(0).count(of="abc") == 3  # what is no coroutine is in no flight


def test_an_observer_hears_how_each_call_ended():
    clock, notes = Seconds(), Notes()
    calls = Calls(1, clock)
    calls.watch(notes)
    began = calls.enter("add")
    waits(calls)
    clock.now += 2.5
    calls.leave("add", began, None)
    calls.leave("get", calls.enter("get"), "NotFound")
    assert notes.ends == [("add", 2.5, None), ("get", 0.0, "NotFound")]
    assert notes.refusals == ["add"]


def test_a_refused_caller_is_told_when_half_of_the_calls_will_have_ended():
    clock = Seconds()
    calls = Calls(100, clock)
    for _ in range(100):
        calls.enter("add")
    assert waits(calls) == FIRST_WAIT  # nothing has ended yet: nobody knows
    for _ in range(20):
        clock.now += 0.1  # ten calls end in a second
        calls.leave("add", 0.0, None)
        calls.enter("add")
    assert waits(calls) == pytest.approx(5.0)


def test_a_pause_tells_nothing_of_the_rate():
    clock = Seconds()
    calls = Calls(2, clock)
    calls.leave("add", calls.enter("add"), None)
    clock.now += 3600
    calls.enter("add")
    calls.enter("add")
    clock.now += 1
    assert waits(calls) == FIRST_WAIT


def test_the_rate_is_that_of_the_last_seconds():
    clock = Seconds()
    calls = Calls(10, clock)
    for _ in range(10):
        calls.enter("add")

    def ends(times: int, every: float) -> None:
        for _ in range(times):
            clock.now += every
            calls.leave("add", 0.0, None)
            calls.enter("add")

    ends(1000, 0.001)
    ends(int(3 * WINDOW), 1.0)
    assert waits(calls) == pytest.approx(5.0, rel=0.1)


@given(most=st.integers(1, 10**6), steps=st.lists(st.floats(0, 10**4), max_size=20))
def test_the_wait_is_always_a_sensible_time(most, steps):
    clock = Seconds()
    calls = Calls(most, clock)
    calls._running = most
    for step in steps:
        calls.leave("add", 0.0, None)
        clock.now += step
        calls.enter("add")
        assert LEAST_WAIT <= waits(calls) <= LONGEST_WAIT


def test_overloaded_is_a_thing_to_try_again_and_survives_a_pickle():
    error = pickle.loads(pickle.dumps(Overloaded("full", retry_after=7.0)))
    assert isinstance(error, Unavailable)
    assert (str(error), error.retry_after, answer(error).http) == ("full", 7.0, 503)
