"""Threads that work on connections of their own, so that nothing waits for SQLite on the event loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar

from perdure.errors import Closed
from perdure.load import Load

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], T]

ENDING = 0.0005
"""Seconds between two looks whether threads that were sent home are gone."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something to do on a connection, and who waits for it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    alone: bool
    """Does its own transactions, or none."""

    @property
    def withdrawn(self) -> bool:
        """Whether its caller gave up before it was taken."""
        return self.future.cancelled()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: a value, or an error when there is one."""

    value: Any = None
    error: Exception | None = None


Serve: TypeAlias = Callable[[sqlite3.Connection, Sequence[Job]], list[Outcome]]
Explain: TypeAlias = Callable[[Exception], Exception]


class Crew:
    """A queue of jobs and the threads that take them from it, up to `most` at a time."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        *,
        serve: Serve,
        explain: Explain,
        threads: int = 1,
        most: int = 1,
    ) -> None:
        self.connect = connect
        self.serve = serve
        self.explain = explain
        self.most = most
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self._names = [f"perdure-{name}-{n}" for n in range(threads)]
        self._workers: list[_Worker] = []
        self._starting = threading.Lock()
        self._pid = os.getpid()
        self._closed = False

    async def do(self, work: Work[T], *, alone: bool = False) -> T:
        """The result of `work`, done in one of the threads.

        A caller that is cancelled before a thread has taken the job withdraws it; later, the job is done whole.

        Raises:
            Closed: the crew was sent home, or this is a child of the process that it works in.
        """
        if self._closed or self._pid != os.getpid():
            raise Closed("this store was closed, or opened before the process was forked: open another")
        if not self._workers:
            self._start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.queue.put(Job(work, future, alone))
        return await future

    def load(self) -> Load:
        """How busy the threads are, in jobs: those that one thread has taken together are all running."""
        running = sum(worker.taken for worker in self._workers)
        return Load(running=running, bound=len(self._names) * self.most, waiting=self.queue.qsize())

    async def go_home(self) -> None:
        """Finish what is in the queue, close the connections, end the threads."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        gone = [loop.create_future() for _ in self._workers]
        for worker, future in zip(self._workers, gone, strict=True):
            worker.gone = future
        for _ in self._workers:  # not before all know whom to tell: any of them may take the first
            self.queue.put(None)
        await asyncio.gather(*gone)
        # They have nothing left to do but to end, and can tell nobody that they have.
        while any(worker.is_alive() for worker in self._workers):  # noqa: ASYNC110  # likewise
            await asyncio.sleep(ENDING)

    def _start(self) -> None:
        with self._starting:
            if not self._workers:
                self._workers = [_Worker(self, name) for name in self._names]
                for worker in self._workers:
                    worker.start()

    def take(self) -> list[Job] | None:
        """Wait for jobs; None when it is time to go."""
        first = self.queue.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < self.most:
            try:
                job = self.queue.get_nowait()
            except Empty:
                break
            if job is None:
                self.queue.put(None)
                break
            jobs.append(job)
        return jobs


class _Worker(threading.Thread):
    """One thread and its connection; `lock` is held while SQLite is at work."""

    def __init__(self, crew: Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._crew = crew
        self._connection: sqlite3.Connection | None = None
        self.lock = threading.Lock()
        self.gone: asyncio.Future[None] | None = None
        self.taken = 0
        """Jobs in hand."""
        close_at_fork(self)

    def run(self) -> None:
        while (jobs := self._crew.take()) is not None:
            jobs = [job for job in jobs if not job.withdrawn]
            self.taken = len(jobs)
            with self.lock:
                outcomes = self._outcomes(jobs)
            self.taken = 0
            _answer(jobs, outcomes)
        with self.lock:
            self.hang_up()
        if self.gone is not None:
            _tell(self.gone.get_loop(), [(self.gone, Outcome())])

    def hang_up(self) -> None:
        """Close the connection; the next job makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _outcomes(self, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            if self._connection is None:
                self._connection = self._crew.connect()
            outcomes = self._crew.serve(self._connection, jobs)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to those who wait, not to this thread
            self.hang_up()  # it may be in the middle of something
            outcomes = [Outcome(error=error) for _ in jobs]
        return [o if o.error is None else Outcome(error=self._explained(o.error)) for o in outcomes]

    def _explained(self, error: Exception) -> Exception:
        meaning = self._crew.explain(error)
        if meaning is not error:
            meaning.__cause__ = error
        return meaning


def _answer(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Wake each event loop once, with all that is for it."""
    answers = list(zip((job.future for job in jobs), outcomes, strict=True))
    for loop in {future.get_loop() for future, _ in answers}:
        _tell(loop, [answer for answer in answers if answer[0].get_loop() is loop])


def _tell(loop: asyncio.AbstractEventLoop, answers: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    try:
        loop.call_soon_threadsafe(_settle, answers)
    except RuntimeError:  # the loop was closed: nobody waits any more
        return


def _settle(answers: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)


# ---- what the threads do with jobs


def plainly(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Each job as it comes; its transactions are its own."""
    return [_run(connection, job) for job in jobs]


def snapshot(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Each job in a read transaction: it sees the store at one moment, whatever is written meanwhile."""
    return [_alone(connection, job) if job.alone else _in_snapshot(connection, job) for job in jobs]


def group_commit(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Jobs that came together share one transaction, and so one wait for the disk."""
    outcomes: list[Outcome] = []
    for alone, group in groupby(jobs, key=lambda job: job.alone):
        if alone:
            outcomes += [_alone(connection, job) for job in group]
        else:
            outcomes += _together(connection, list(group))
    return outcomes


def _together(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        return [Outcome(error=error) for _ in jobs]
    try:
        outcomes = [_in_savepoint(connection, job) for job in jobs]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        if len(jobs) == 1:
            return [Outcome(error=error)]
        # The disk may have room for one where it has none for all; and none is to fail for its neighbours.
        return [outcome for job in jobs for outcome in _together(connection, [job])]
    return outcomes


def _in_savepoint(connection: sqlite3.Connection, job: Job) -> Outcome:
    connection.execute("SAVEPOINT job")
    outcome = _run(connection, job)
    if outcome.error is not None:
        if not connection.in_transaction and isinstance(outcome.error, sqlite3.Error):
            raise outcome.error  # SQLite has given up the whole transaction
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
    return outcome


def _in_snapshot(connection: sqlite3.Connection, job: Job) -> Outcome:
    connection.execute("BEGIN")
    return _alone(connection, job)


def _alone(connection: sqlite3.Connection, job: Job) -> Outcome:
    try:
        return _run(connection, job)
    finally:
        _roll_back(connection)


def _run(connection: sqlite3.Connection, job: Job) -> Outcome:
    try:
        return Outcome(job.work(connection))
    except Exception as error:  # noqa: BLE001  # it belongs to the caller
        return Outcome(error=error)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


# ---- fork: SQLite must not be inside a call, and must have no file open, when the process is copied.
# A child would otherwise believe that it holds locks that only its parent holds.


class Connected(Protocol):
    """What holds a connection: `lock` is held while SQLite is at work."""

    lock: threading.Lock

    def hang_up(self) -> None:
        """Close the connection; what needs it next makes another."""


def close_at_fork(connected: Connected, *, within: bool = False) -> None:
    """Close this connection whenever the process is forked, as long as it lives.

    Args:
        within: its lock is taken also by those who hold that of a connection that is not `within`.
    """
    with _roll:
        (_WITHIN if within else _CONNECTED).add(connected)


_CONNECTED: weakref.WeakSet[Connected] = weakref.WeakSet()
_WITHIN: weakref.WeakSet[Connected] = weakref.WeakSet()
_roll = threading.Lock()
_held: list[Connected] = []


def _before_fork() -> None:
    _roll.acquire()
    for connected in (*_CONNECTED, *_WITHIN):  # in another order, it and a thread would wait for each other
        connected.lock.acquire()
        connected.hang_up()
        _held.append(connected)


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _roll.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
