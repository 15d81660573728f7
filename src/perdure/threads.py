"""A few threads for work that would hold up an event loop; they work until the interpreter is really gone."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeAlias, TypeVar

from perdure.errors import Closed
from perdure.load import Load

P = ParamSpec("P")
R = TypeVar("R")

Job: TypeAlias = Callable[[], None]

LOADING = threading.RLock()
"""Held by a thread that imports a library: what is half imported in a process can never be imported in its forks."""


class Threads:
    """Threads that share a queue and are started when there is something to do.

    The standard library's executors refuse work as soon as the main thread has ended, when other threads and
    `atexit` handlers may still have something to remember. These go on until this module's own handler.
    """

    def __init__(self, name: str, most: int) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._names = [f"perdure-{name}-{n}" for n in range(most)]
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._running: set[Job] = set()
        _OPEN.add(self)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """What the function will return; one that is cancelled before its turn is not called.

        Raises:
            Closed: after `close`.
        """
        future: Future[R] = Future()
        running = self._running  # adding to a set and taking from it are atomic

        def job() -> None:
            if future.set_running_or_notify_cancel():
                running.add(job)
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:  # noqa: BLE001  # it belongs to those who wait
                    running.discard(job)
                    future.set_exception(error)
                else:
                    running.discard(job)
                    future.set_result(result)

        with self._lock:
            if self._closed:
                raise Closed("this memory was closed: open another")
            self._start()
            self._queue.put(job)
        return future

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns; raises as `submit` does."""
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def load(self) -> Load:
        """How busy the threads are, in jobs."""
        return Load(running=len(self._running), bound=len(self._names), waiting=self._queue.qsize())

    def close(self, last: Job | None = None) -> None:
        """End the threads when they have done what was submitted, and `last` after it; without threads, nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if last is not None and self._threads:
                    self._queue.put(last)
                _send_home(self._queue, len(self._threads))

    def _start(self) -> None:
        if self._threads:
            return
        for name in self._names:
            thread = threading.Thread(target=_serve, args=(self._queue,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
            _RUNNING.add(thread)
        # Threads whose owner was forgotten without being closed would wait for ever.
        weakref.finalize(self, _send_home, self._queue, len(self._threads)).atexit = False


def _serve(queue: SimpleQueue[Any]) -> None:
    while (job := queue.get()) is not None:
        job()
        del job  # what it holds is not to be kept until the next one


def _send_home(queue: SimpleQueue[Any], threads: int) -> None:
    for _ in range(threads):
        queue.put(None)


_OPEN: weakref.WeakSet[Threads] = weakref.WeakSet()
_RUNNING: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    """Finish what was submitted: a thread that the end of the interpreter meets inside a model ends the process."""
    for threads in list(_OPEN):
        threads.close()
    for thread in list(_RUNNING):
        thread.join()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release
    )
    # The threads are the parent's.
    os.register_at_fork(after_in_child=_OPEN.clear)
    os.register_at_fork(after_in_child=_RUNNING.clear)
