"""The blocking face of asynchronous classes, over one event loop per process in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sized
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import copy_context
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeAlias, TypeVar, cast

from perdure.errors import Closed, WouldDeadlock

P = ParamSpec("P")
R = TypeVar("R")
A_co = TypeVar("A_co", bound=AbstractAsyncContextManager[Any, Any], covariant=True)

PAGE = 100
"""So many items of a generator go to the loop at once."""
NAP: Final = 0.5
"""Seconds for which a thread waits without looking up: a Ctrl-C that comes just before it falls asleep does not wake it."""


def blocking(
    method: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A_co], P], R]:
    """Derive the blocking twin of an asynchronous method, with the same arguments.

    `add = blocking(AsyncMemory.add)` in the body of a `Blocking[AsyncMemory]` is all. A call waits while the
    method runs on the portal's loop; errors keep their type and traceback, the method sees the caller's context
    variables, and Ctrl-C cancels it.

    Raises:
        Closed: `close()` was called before.
        WouldDeadlock: the caller runs on the portal's own loop, which would wait for itself.
    """

    @functools.wraps(method)
    def call(self: Blocking[A_co], /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal, engine = self._bind()
        return portal.run(method(engine, *args, **kwargs))

    return call


def direct(
    method: Callable[Concatenate[A_co, P], R],
) -> Callable[Concatenate[Blocking[A_co], P], R]:
    """The twin of a method that waits for nothing, and may be called from any thread: it is called in the caller's."""

    @functools.wraps(method)
    def call(self: Blocking[A_co], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self._bind()[1], *args, **kwargs)

    return call


def iterating(
    method: Callable[Concatenate[A_co, P], AsyncIterator[R]],
) -> Callable[Concatenate[Blocking[A_co], P], Iterator[R]]:
    """The blocking twin of a method that gives one thing after another; each is waited for when it is asked for."""

    @functools.wraps(method)
    def call(self: Blocking[A_co], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        portal, engine = self._bind()
        source = method(engine, *args, **kwargs)
        while (item := portal.run(_next(source))) is not None:
            yield item[0]
            if _current() is not portal:
                raise Closed("this was begun before the process was forked: begin it again here")

    return call


def drawing(
    method: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A_co], P], R]:
    """The blocking twin of a method that takes an iterable, or an asynchronous one.

    Generators are drawn in the caller's thread, so that they may come from another blocking object; the method is
    given an asynchronous iterator instead.
    """

    @functools.wraps(method)
    def call(self: Blocking[A_co], /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal, engine = self._bind()
        feed = _Feed()
        told: Any = method  # takes both kinds of iterables, which its type need not say of each argument
        coroutine = told(engine, *map(feed.of, args), **{name: feed.of(arg) for name, arg in kwargs.items()})
        return cast("R", portal.run(feed.until_done(coroutine), meanwhile=feed.serve))

    return call


async def _next(source: AsyncIterator[R]) -> tuple[R] | None:
    async for item in source:
        return (item,)
    return None


class Blocking(Generic[A_co]):
    """A blocking object that makes its asynchronous engine at first use, and another in a forked child.

    The engine lives on the portal's loop. It is closed by `close()`, by the end of a `with`, or after the last
    reference to this object is gone. The end of the process closes nothing: what was acknowledged is safe.
    """

    def __init__(self, make: Callable[[], A_co]) -> None:
        """Take the recipe of the engine, a function that does no I/O."""
        self._make = make
        self._bond: _Bond[A_co] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        portal, engine = self._bind()
        portal.run(engine.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the engine; later calls raise `Closed`. Closing twice is closing once."""
        if sys.is_finalizing():  # a `__del__` at the end of the process, which closes nothing
            return
        portal = _current()
        with _lock:
            bond, self._bond, self._closed = self._bond, None, True
        if bond is not None and bond[0] is portal:  # the parent process's engine is left alone
            portal.run(portal.close(bond[1]))

    def _bind(self) -> _Bond[A_co]:
        """The engine of this process, and the portal behind which it lives."""
        portal = _current()
        bond = self._bond
        if bond is not None and bond[0] is portal:
            return bond
        with _lock:  # of many threads that come first, one makes the engine
            if self._closed:
                raise Closed("this memory was closed: open another")
            if self._bond is None or self._bond[0] is not portal:
                self._bond = bond = (portal, portal.run(portal.open(self._make)))
                weakref.finalize(self, _drop, bond).atexit = False
            return self._bond


class _Portal:
    """The way from any thread into one event loop, which runs in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._engines: set[object] = set()
        """Those that are open: the portal holds them, so that holding the portal is holding them all."""
        self._closing: set[asyncio.Task[None]] = set()
        thread = threading.Thread(target=_serve, args=(self._loop,), name="perdure", daemon=True)
        thread.start()
        self.thread = thread.ident

    async def open(self, make: Callable[[], A_co]) -> A_co:
        """Make an engine, on the loop that it will use."""
        engine = make()
        self._engines.add(engine)
        return engine

    async def close(self, engine: AbstractAsyncContextManager[Any, Any]) -> None:
        """Close an engine, unless that was done."""
        if engine in self._engines:
            self._engines.discard(engine)
            await engine.__aexit__(None, None, None)

    def run(self, coroutine: Coroutine[Any, Any, R], meanwhile: Callable[[], None] | None = None) -> R:
        """The result of a coroutine that runs on the loop while this thread waits, or does something else first."""
        call = _Call(self._loop, coroutine)
        try:
            self._loop.call_soon_threadsafe(call.start)
            if meanwhile is not None:
                meanwhile()
            call.wait()
        except BaseException:  # Ctrl-C, or what another signal handler raises
            self._loop.call_soon_threadsafe(call.cancel)
            if call.task is None or not call.task.done():
                call.wait()  # the coroutine tidies up; a second Ctrl-C does not wait for that
            raise
        return cast("asyncio.Task[R]", call.task).result()

    def drop(self, engine: AbstractAsyncContextManager[Any, Any]) -> None:
        """Close an engine without waiting: this runs in any thread, wherever the garbage collector strikes."""
        self._loop.call_soon_threadsafe(self._close_later, engine)

    def _close_later(self, engine: AbstractAsyncContextManager[Any, Any]) -> None:
        task = self._loop.create_task(self.close(engine))
        self._closing.add(task)  # the loop itself holds its tasks only weakly
        task.add_done_callback(self._closing.discard)


_Bond: TypeAlias = tuple[_Portal, A_co]


class _Call(Generic[R]):
    """One coroutine on its way: a bare lock says that it is done, in half the time of a `Future`."""

    __slots__ = ("_context", "_coroutine", "_loop", "done", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, R]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._context = copy_context()
        self.task: asyncio.Task[R] | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def start(self) -> None:
        self.task = self._loop.create_task(self._coroutine, context=self._context)
        self.task.add_done_callback(self._finish)

    def wait(self) -> None:
        while not self.done.acquire(timeout=NAP):
            pass

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        else:  # the interrupt came before `start` was on its way
            self._coroutine.close()
            self.done.release()

    def _finish(self, task: asyncio.Task[R]) -> None:
        if not task.cancelled():
            task.exception()  # asyncio complains of errors that nobody looked at, as after Ctrl-C
        self.done.release()


class _Feed:
    """Iterables on their way from the thread that has them to the loop that wants what is in them."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Iterator[Any], asyncio.Future[list[Any]]] | None] = SimpleQueue()

    def of(self, value: Any) -> Any:
        """What stands for a generator and its like on the loop; other values are themselves."""
        lazy = isinstance(value, Iterable) and not isinstance(value, Sized)
        return self._items(iter(value)) if lazy else value

    async def until_done(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result; with it, `serve` ends."""
        try:
            return await coroutine
        finally:
            self._asked.put(None)

    def serve(self) -> None:
        """Draw what is asked for, in the thread that calls this."""
        while (asked := self._next()) is not None:
            source, page = asked
            drawn: list[Any] | Exception
            try:
                drawn = list(islice(source, PAGE))
            except Exception as error:  # noqa: BLE001  # it belongs to the coroutine, which may tidy up
                drawn = error
            page.get_loop().call_soon_threadsafe(_settle, page, drawn)

    def _next(self) -> tuple[Iterator[Any], asyncio.Future[list[Any]]] | None:
        while True:
            with suppress(Empty):
                return self._asked.get(timeout=NAP)

    async def _items(self, source: Iterator[Any]) -> AsyncIterator[Any]:
        while True:
            page: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._asked.put((source, page))
            if not (items := await page):
                return
            for item in items:
                yield item


def _settle(page: asyncio.Future[list[Any]], drawn: list[Any] | Exception) -> None:
    if page.done():  # its coroutine was cancelled
        return
    if isinstance(drawn, Exception):
        page.set_exception(drawn)
    else:
        page.set_result(drawn)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit):  # out of a coroutine: its caller has it, the others go on
            continue


def _current() -> _Portal:
    """The portal of this process, which the caller may wait for."""
    if sys.is_finalizing():
        raise Closed("the interpreter is shutting down: use and close memories before that")
    portal = _portal or _begin()
    if portal.thread == threading.get_ident():
        raise WouldDeadlock(
            "this call was made on Perdure's own event loop, which would wait for itself for ever: "
            "await the asynchronous class there"
        )
    return portal


def _begin() -> _Portal:
    global _portal  # noqa: PLW0603  # one portal per process is what this file is about
    with _lock:
        if _portal is None:
            _portal = _Portal()
        return _portal


def _drop(bond: tuple[_Portal, AbstractAsyncContextManager[Any, Any]]) -> None:
    portal, engine = bond
    if portal is _portal:  # the parent process's engine is left alone
        portal.drop(engine)


def _begin_anew() -> None:
    """Forget the parent's portal in a forked child, and never let Python finalise what it holds.

    The loop's thread is gone here, and to close an inherited SQLite connection or epoll would reach into the
    parent. So the old portal, and with it every engine, gets one reference that is never given back.
    """
    global _portal, _lock
    inherited, _portal, _lock = _portal, None, threading.Lock()
    if inherited is not None:
        from ctypes import py_object, pythonapi  # seldom needed, slow to import

        pythonapi.Py_IncRef(py_object(inherited))


_portal: _Portal | None = None
_lock = threading.Lock()
"""Held while the portal or an engine is made; never by the portal's own thread."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
