"""Calls of verbs: counted while they are in flight, refused beyond a bound, told to who observes them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar, overload

from perdure.arguments import verb as helpful
from perdure.errors import Overloaded
from perdure.load import Load, Observer

P = ParamSpec("P")
R = TypeVar("R")

WINDOW: Final = 5.0
"""Seconds over which a rate is taken."""
LEAST_WAIT, FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0, 60.0
"""Seconds: what a refused caller is asked to wait at least, where nothing is known yet, and at most."""


class Calls:
    """The calls in flight of one engine: numbers, no queue, so that order and speed are those of the event loop."""

    def __init__(self, most: int, clock: Callable[[], float] = perf_counter) -> None:
        """`most` in flight at once."""
        self._most = most
        self._clock = clock
        self._running = 0
        self._refused = 0
        self._observers: tuple[Observer, ...] = ()
        self._since = 0.0
        self._ended = 0
        """Calls that have ended since then, in a window of a few busy seconds."""
        self._rate = 0.0
        """Calls that ended in a second of the window before."""

    def watch(self, observer: Observer) -> None:
        """Tell it of every call that ends from now on."""
        self._observers = (*self._observers, observer)

    def load(self) -> Load:
        """Nobody waits: a call is taken on at once, or refused."""
        return Load(running=self._running, bound=self._most, refused=self._refused)

    def enter(self, verb: str, *, bounded: bool = True) -> float:
        """Take a call on; the moment at which it began.

        Raises:
            Overloaded: too many are in flight.
        """
        now = self._clock()
        if not bounded:
            return now
        if not self._running or now - self._since > WINDOW:
            self._rate = self._ended / (now - self._since) if self._running else 0.0
            self._since, self._ended = now, 0
        if self._running >= self._most:
            raise self._overloaded(verb, now)
        self._running += 1
        return now

    def leave(self, verb: str, began: float, error: str | None, *, bounded: bool = True) -> None:
        """A call that was taken on has ended; `error` is the name of the class of what it raised."""
        if bounded:
            self._running -= 1
            self._ended += 1
        if self._observers:
            seconds = self._clock() - began
            for observer in self._observers:
                observer.ended(verb, seconds, error)

    def _overloaded(self, verb: str, now: float) -> Overloaded:
        self._refused += 1
        for observer in self._observers:
            observer.refused(verb)
        return Overloaded(
            f"{self._running} calls are in flight, as many as `calls_at_once` allows: nothing of this one was done, "
            "try it again later",
            retry_after=self._wait(now - self._since),
        )

    def _wait(self, seconds: float) -> float:
        """Seconds until half of those in flight will have ended, at the rate of this window or the one before it."""
        rate = max(self._rate, self._ended / seconds if seconds else 0.0)
        return min(LONGEST_WAIT, max(LEAST_WAIT, self._most / 2 / rate)) if rate else FIRST_WAIT


@overload
def verb(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def verb(*, bounded: bool = True, configured: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def verb(
    function: Callable[..., Any] | None = None, *, bounded: bool = True, configured: bool = False
) -> Callable[..., Any]:
    """Make a method of the engine a verb: its arguments are looked at (`arguments.verb`), its calls are counted.

    A verb does not call another one, or one call would be two. One that gives an iterator is not counted: nothing of it
    is in flight between two of its items.

    Of an engine with a former embedder, the call is one of the embedder whose vectors are in use; see `succession`.

    Args:
        bounded: False takes the call on however many are in flight: to look after an engine that is overloaded.
        configured: True makes it one of the configured embedder, whatever is in use.

    Raises:
        Overloaded: (the decorated method) before anything is done.
    """
    if function is None:
        return functools.partial(_verb, bounded=bounded, configured=configured)
    return _verb(function, bounded=bounded, configured=configured)


def _verb(function: Callable[..., Any], *, bounded: bool, configured: bool) -> Callable[..., Any]:
    checked = helpful(function)
    if not inspect.iscoroutinefunction(function):
        return checked
    name = function.__name__

    @functools.wraps(function)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls: Calls = self._calls
        began, error = calls.enter(name, bounded=bounded), None
        try:
            if configured:
                return await checked(self, *args, **kwargs)
            return await self._succession.call(checked, *args, **kwargs)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            calls.leave(name, began, error, bounded=bounded)

    return call
