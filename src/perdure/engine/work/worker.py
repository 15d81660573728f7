"""Does what adds have left to be done, behind the callers' backs: what this process left, and what others did."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, TypeAlias

from perdure.engine.work.attempts import failed
from perdure.errors import Closed, ModelMismatch
from perdure.ids import new_id
from perdure.load import Load
from perdure.ports import Job, Store
from perdure.threads import Threads

POLL: Final = 1.0
"""Seconds between two looks for jobs that others left, or that have become due."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two looks when the store cannot be had; the first pause is as long as ever."""

Do: TypeAlias = Callable[[Job], Awaitable[object]]
"""Does a job: it is gone afterwards, or the store knows how the attempt failed."""
Told: TypeAlias = Callable[[Any], object]
"""A function that is called with what became of an add; it may be asynchronous."""

log = logging.getLogger("perdure")


class Worker:
    """Takes jobs from the store while there are any, in the order that the store gives them out in.

    It starts when it is woken, and stops when nothing is left that it could do.
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        do: Mapping[str, Do],
        *,
        clock: Callable[[], datetime],
        at_once: int,
        attempts: int,
        lease: timedelta,
        event: Callable[[str], Awaitable[object]],
        overtaken: Callable[[], object],
        unasked: bool = True,
    ) -> None:
        """Nothing is done before it is woken.

        Args:
            do: what does jobs of each kind; those of other kinds are left to others.
            at_once: so many jobs are worked on at the same time.
            attempts: so often a job is tried.
            lease: so long a job stays with a worker that is heard of no more; while it works, it extends its leases.
            event: tells what became of an add, for those who want to hear of it.
            overtaken: is called when another model's vectors are in use: jobs are left to those who have it.
            unasked: False takes no jobs but during `stay` and `drain`.
        """
        self.name = new_id()
        self._store = store
        self._tenant = tenant
        self._do = do
        self._clock = clock
        self._at_once = at_once
        self._attempts = attempts
        self.lease = lease
        self._event = event
        self._overtaken = overtaken
        self._unfit: ModelMismatch | None = None
        """Why it takes no jobs, until it is woken again."""
        self._unasked = unasked
        self._held: set[str] = set()
        """Jobs whose leases are to be extended."""
        self._returned: set[str] = set()
        """Jobs that were held by callers who gave up."""
        self._listeners: dict[str, list[Told]] = {}
        self._threads = Threads("callbacks", 1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: asyncio.Task[None] | None = None
        self._heart: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tellings: set[asyncio.Task[None]] = set()
        """Callbacks that are being called: they may take long, or use this worker, so that nothing here waits for them."""
        self._news = asyncio.Event()
        self._stays = 0
        self._asked = 0
        """How many want jobs to be done: those who stay, and those who drain."""
        self._closed = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of jobs that it can do."""
        return tuple(self._do)

    def loads(self, waiting: int | None) -> dict[str, Load]:
        """How busy it is, when so many jobs wait in the store, if that is known."""
        jobs = Load(running=len(self._tasks), bound=self._at_once, waiting=waiting)
        return {"jobs": jobs, "callbacks": self._threads.load()}

    @contextmanager
    def hold(self, job_id: str) -> Iterator[None]:
        """Keep the lease of a job that a caller does himself; who gives up leaves it to the worker.

        It begins before the job is stored: what is being stored when its caller gives up may be stored all the same.
        """
        self._held.add(job_id)
        self._beat()
        try:
            yield
        except BaseException:
            self.leave(job_id)
            raise
        finally:
            self._held.discard(job_id)

    def leave(self, job_id: str) -> None:
        """Let whoever can do a job have it at once."""
        self._returned.add(job_id)
        self.wake()

    def listen(self, event_id: str, told: Told) -> None:
        """Call a function when this add's jobs are done or given up, by whomever."""
        self._listeners.setdefault(event_id, []).append(told)
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        if self._closed or not self._do:
            return
        self._unfit = None
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._news, self._tasks, self._tellings = loop, asyncio.Event(), set(), set()
            self._runner = None
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        self._news.set()

    async def stay(self) -> None:
        """Look for jobs until this is cancelled.

        Raises:
            ModelMismatch: another model's vectors are in use than those that could be made here.
        """
        self._stays += 1
        try:
            with self._bidden():
                while not self._closed:
                    self.wake()
                    await asyncio.sleep(POLL)
                    self._check_fit()
        finally:
            self._stays -= 1

    async def drain(self) -> None:
        """Return when everything that can be done now was tried; raises as `stay` does."""
        with self._bidden():
            while not self._closed and await self._untried():
                self.wake()
                await self._one_done(POLL / 10)
                self._check_fit()

    def _check_fit(self) -> None:
        if self._unfit is not None:
            raise self._unfit

    async def close(self, grace: float) -> None:
        """Finish what is in hand within so many seconds, and give the rest back."""
        self._closed = True
        if self._loop is asyncio.get_running_loop():
            if self._runner is not None:
                self._runner.cancel()
            end = monotonic() + grace
            await _finish(self._tasks, end)
            await _finish(self._tellings, end)  # also of what has just ended
            if self._heart is not None:
                self._heart.cancel()
        await self._give_back({*self._held, *self._returned})
        self._threads.close()

    @contextmanager
    def _bidden(self) -> Iterator[None]:
        """Take jobs while this lasts, also if it takes none unasked."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    # ---- the loop

    async def _run(self) -> None:
        failures = 0
        try:
            while True:
                try:
                    if await self._looked():
                        return
                except Closed:
                    return
                except Exception as error:  # noqa: BLE001  # the store cannot be had: it may come back
                    failures += 1
                    if failures == 1:
                        log.warning("background work pauses: %s", type(error).__name__)
                    await asyncio.sleep(min(POLL * failures, LONGEST_PAUSE))
                else:
                    failures = 0
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), POLL)
        except asyncio.CancelledError:
            if not self._closed:  # the loop ends, and nobody has closed us
                await self._abandon()
            raise
        finally:
            if asyncio.current_task() is self._runner:
                self._runner = None

    async def _looked(self) -> bool:
        """Take what there is to do; whether nothing is left."""
        self._news.clear()
        await self._give_back(self._returned)
        await self._tell_of_others()
        claimed = await self._claim()
        for job in claimed:
            self._start(job)
        return not (claimed or self._tasks or self._news.is_set()) and await self._finished()

    async def _abandon(self) -> None:
        """Let others have at once what is in hand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Exception):  # the leases will end
            await self._give_back({*self._held, *self._returned})

    async def _claim(self) -> list[Job]:
        free = self._at_once - len(self._tasks)
        if free <= 0 or self._unfit or not (self._unasked or self._asked):
            return []
        now = self._clock()
        return await self._store.claim(
            self._tenant, self.kinds, worker=self.name, now=now, until=now + self.lease, limit=free
        )

    def _start(self, job: Job) -> None:
        self._held.add(job.id)
        self._beat()
        task = asyncio.create_task(self._work(job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._news.set()

    async def _work(self, job: Job) -> None:
        try:
            await self._do[job.kind](job)
        except ModelMismatch as mismatch:  # no attempt: it is others who can do it
            self._returned.add(job.id)
            if self._unfit is None:
                self._unfit = mismatch
                self._overtaken()
        except Exception as error:  # noqa: BLE001  # the job stays, with the reason
            reason = type(error).__name__
            log.warning("a job of the kind %s failed: %s", job.kind, reason)
            with suppress(Exception):  # its lease will end
                await self._store.keep_job(failed(job, reason, now=self._clock(), most=self._attempts))
        except BaseException:
            self._returned.add(job.id)
            raise
        finally:
            self._held.discard(job.id)
        await self._tell_of_others()

    async def _finished(self) -> bool:
        """Whether nothing is left that this worker could ever do."""
        if self._stays or self._listeners or self._news.is_set():
            return False
        if self._unfit or not (self._unasked or self._asked):
            return True
        left = await self._store.jobs(self._tenant, kinds=self.kinds, given_up=False, limit=1)
        return not left and not self._news.is_set()

    async def _untried(self) -> bool:
        """Whether a job is being worked on, or could be now."""
        now, waits = self._clock(), set()
        for job in await self._store.jobs(self._tenant, kinds=self.kinds, given_up=False):
            if job.due_at is not None and job.due_at > now and not job.leased(now):
                waits.add(job.partition)
            if job.partition not in waits:
                return True
        return False

    async def _one_done(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(seconds)

    # ---- leases

    def _beat(self) -> None:
        if self._closed:  # what is held then was given back
            return
        loop = asyncio.get_running_loop()
        if self._heart is None or self._heart.done() or self._heart.get_loop() is not loop:
            self._heart = loop.create_task(self._extend())

    async def _extend(self) -> None:
        while self._held:
            await asyncio.sleep(self.lease.total_seconds() / 3)
            if self._held:
                until = self._clock() + self.lease
                with suppress(Exception):  # whoever takes them meanwhile does them as well
                    await self._store.extend(self._tenant, list(self._held), worker=self.name, until=until)

    async def _give_back(self, ids: set[str]) -> None:
        if ids:
            given, now = list(ids), self._clock()
            await self._store.extend(self._tenant, given, worker=self.name, until=now)
            ids.difference_update(given)

    # ---- who wants to hear of it

    async def _tell_of_others(self) -> None:
        """Begin to call those who wait for jobs that are done or given up."""
        if not self._listeners:
            return
        wanted = list(self._listeners)
        open_ = {job.id for job in await self._store.jobs(self._tenant, ids=wanted) if not job.given_up}
        for event_id in wanted:
            if event_id not in open_:
                for told in self._listeners.pop(event_id, ()):
                    task = asyncio.create_task(self._tell(event_id, told))
                    self._tellings.add(task)
                    task.add_done_callback(self._tellings.discard)

    async def _tell(self, event_id: str, told: Told) -> None:
        try:
            event = await self._event(event_id)
            if inspect.iscoroutinefunction(told):
                await told(event)
                return
            answer = await self._threads.run(told, event)
            if inspect.isawaitable(answer):
                await answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # somebody else's function, which may want to end its thread
            log.warning("the callback of an add failed: %s", type(error).__name__)


async def _finish(tasks: Collection[asyncio.Task[None]], end: float) -> None:
    """Let tasks end until that moment, and cancel those that have not."""
    if tasks:
        _, late = await asyncio.wait(list(tasks), timeout=max(0.0, end - monotonic()))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
