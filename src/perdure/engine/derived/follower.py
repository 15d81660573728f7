"""One engine that follows the truth, partition by partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, TypeVar, cast

from perdure.engine.derived.telling import Teller
from perdure.errors import ConfigurationError, Unavailable
from perdure.ids import new_id
from perdure.load import Load
from perdure.ports import Delta, Space, Standing, Store
from perdure.ports.derived import Cursor, Followed
from perdure.types import Partition

LEASE: Final = timedelta(seconds=10)
"""So long nobody else tells the engine of a partition, should this process be heard of no more."""
FIRST_REST: Final = 1.0
"""Seconds for which an engine is left alone after a failure; twice as long after each further one."""
LONGEST_REST: Final = 60.0
PATIENCE: Final = 20
"""So often a process looks whether another one has done with a partition."""
PAUSE: Final = 0.05
"""Seconds between two looks."""
AT_ONCE: Final = 8
"""So many partitions are told to an engine at the same time."""

T = TypeVar("T")

log = logging.getLogger("perdure")


class Elsewhere(Unavailable):
    """Another process is telling the engine of this partition."""


class Follower:
    """Keeps an engine up with a store."""

    def __init__(self, teller: Teller, store: Store, tenant: str, clock: Callable[[], datetime]) -> None:
        """Nothing is opened yet.

        Raises:
            ConfigurationError: the store is none that engines can follow.
        """
        if not (isinstance(store, Followed) and isinstance(store, Standing)):
            raise ConfigurationError(
                f"{type(store).__name__} cannot be followed by other engines: leave {teller.role} out"
            )
        self.teller = teller
        self.problem: str | None = None
        """Why the engine cannot be had; None when the last call succeeded."""
        self._store = store
        self._log = cast("Followed", store)
        self._identity = cast("Standing", store).identity
        self._tenant = tenant
        self._clock = clock
        self._worker = new_id()
        self._contents: str | None = None
        self._known: dict[Partition, int] = {}
        """How far the engine is, as far as this process knows."""
        self.seen_whole: set[Partition] = set()
        """Partitions that were counted since the engine was opened, and are told again if it held too little."""
        self.lost: set[Partition] = set()
        """Partitions of which all is being told again."""
        self._telling: dict[Partition, asyncio.Task[None]] = {}
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
        self._failures = 0
        self._until = 0.0

    @property
    def name(self) -> str:
        """The engine, as users know it."""
        return self.teller.engine.name

    @property
    def rest(self) -> float:
        """Seconds for which the engine is still left alone."""
        return max(0.0, self._until - monotonic())

    @property
    def load(self) -> Load:
        """Partitions that are being told."""
        running = min(len(self._telling), AT_ONCE)
        return Load(running=running, bound=AT_ONCE, waiting=len(self._telling) - running)

    async def catch_up(self, partition: Partition, *, insist: bool = False) -> None:
        """Tell the engine all that was committed before this call.

        What is under way may have read the store before, so it is waited for and followed by one of our own; several
        who wait share that one. Who gives up does not take it away from the others.

        Args:
            insist: also while the engine is left alone.

        Raises:
            Unavailable: not now; it is told later.
            ConfigurationError: not until somebody mends the configuration.
        """
        if not insist:
            self._mind_rest()
        if (started := self._telling.get(partition)) is not None:
            await asyncio.wait([started])
        task = self._telling.get(partition)
        if task is None or task.done():
            task = asyncio.create_task(self._follow(partition))
            self._telling[partition] = task
            task.add_done_callback(lambda done: self._forget(partition, done))
        await asyncio.shield(task)

    def tell_anew(self, partition: Partition, known: int) -> None:
        """Tell the engine all of a partition, behind the caller's back: it holds less than what it was told.

        Args:
            known: how far it should be; where that is not so any more, somebody has begun already.
        """
        if partition not in self.lost:
            log.warning(
                "%s (%s) lost what it held of somebody: it is told again", self.name, self.teller.role
            )
            self.lost.add(partition)
            self._known.pop(partition, None)
            task = asyncio.create_task(self._follow(partition, lost=known))
            self._telling[partition] = task
            task.add_done_callback(lambda done: self._forget(partition, done))
            task.add_done_callback(lambda _: self.lost.discard(partition))

    async def behind(self, partition: Partition | None = None, *, limit: int | None = None) -> list[Cursor]:
        """Where the engine lacks something; raises as `catch_up` does when it cannot be opened."""
        try:
            contents = await self._opened()
            return await self._log.cursors(self._tenant, contents, partition=partition, limit=limit)
        except (Unavailable, ConfigurationError) as error:
            self._failed(error)
            raise

    async def known(self, partition: Partition, head: int) -> int:
        """Up to which change the engine knows all, if it is not the head as far as this process has seen."""
        known = self._known.get(partition, 0)
        if known < head:
            found = await self.behind(partition)
            known = self._known[partition] = found[0].seq if found else head
        return known

    async def aclose(self) -> None:
        """Give the engine's connections back."""
        under_way = [task for task in self._telling.values() if task.get_loop() is asyncio.get_running_loop()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self.teller.engine.aclose()

    async def asked(self, question: Callable[[], Awaitable[T]]) -> T:
        """What the engine answers, as it is to be asked: opened, and not while it is left alone.

        Raises:
            Unavailable: not now.
            ConfigurationError: not until somebody mends the configuration.
        """
        self._mind_rest()
        try:
            await self._opened()
            answer = await question()
        except (Unavailable, ConfigurationError) as error:
            self._failed(error)
            raise
        self._worked()
        return answer

    async def rebuild(self, before: Space | None) -> None:
        """Let the engine begin anew, empty, also without what was made with `before`; raises as `asked` does."""
        self._until = 0.0
        namespaces = self.teller.namespaces(await self._identity(), before)

        async def drop() -> None:
            for namespace in namespaces:
                await self.teller.engine.drop(namespace)

        await self.asked(drop)
        self._lose()

    async def _follow(self, partition: Partition, *, lost: int | None = None) -> None:
        async with self._turn():
            try:
                contents = await self._opened()
                since = await self._taken(contents, partition)
                if since == lost:  # from now on the engine is behind for everybody, also after a crash
                    await self._log.move_cursor(contents, partition, 0, worker=self._worker)
                    since = await self._taken(contents, partition)
                await self._tell(contents, partition, since)
            except Elsewhere:
                raise
            except (Unavailable, ConfigurationError) as error:
                self._failed(error)
                raise
            self._worked()

    async def _tell(self, contents: str, partition: Partition, since: int) -> None:
        """Tell what came after, and note how far it went, also when it was not all."""
        told = since
        try:
            delta = await self._load(partition, since)
            if delta.head < since:  # a backup was put back
                since, delta = 0, await self._load(partition, 0)
            if delta.head != since:
                async for told in self.teller.tell(partition, since, delta):
                    if told != delta.head:
                        await self._taken(contents, partition)  # for longer
        finally:
            await self._log.move_cursor(contents, partition, told, worker=self._worker)
        self._known[partition] = told

    async def _load(self, partition: Partition, since: int) -> Delta:
        return await self._store.load(partition, since=since, with_vectors=self.teller.with_vectors)

    async def _taken(self, contents: str, partition: Partition) -> int:
        """Lease the cursor: how far it is."""
        for _ in range(PATIENCE):
            now = self._clock()
            since = await self._log.take_cursor(
                contents, partition, worker=self._worker, now=now, until=now + LEASE
            )
            if since is not None:
                return since
            await asyncio.sleep(PAUSE)
        raise Elsewhere("another process is telling it")

    async def _opened(self) -> str:
        """The name of the engine with its contents, for cursors."""
        if self._contents is None:
            self._contents = f"{self.teller.role}-{await self.teller.open(await self._identity())}"
        return self._contents

    def _lose(self) -> None:
        """Look at the engine again before it is used: it may not hold any more what it was told."""
        self._contents = None
        self._known.clear()
        self.seen_whole.clear()

    def _mind_rest(self) -> None:
        if self.rest:
            raise Unavailable(f"{self.problem}; it is left alone for {self.rest:.0f} s")

    def _failed(self, error: Exception) -> None:
        self._lose()
        if self.problem is None:
            log.warning("%s", in_trouble(self.teller.role, self.name, str(error)))
        self.problem = str(error)
        self._until = monotonic() + min(FIRST_REST * 2.0**self._failures, LONGEST_REST)
        self._failures = min(self._failures + 1, 32)

    def _worked(self) -> None:
        if self.problem is not None:
            log.info("%s (%s) works again", self.name, self.teller.role)
        self.problem, self._failures, self._until = None, 0, 0.0

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._gate is None or self._gate[0] is not loop:
            self._gate = loop, asyncio.Semaphore(AT_ONCE)
        return self._gate[1]

    def _forget(self, partition: Partition, done: asyncio.Task[None]) -> None:
        if self._telling.get(partition) is done:
            del self._telling[partition]
        if not done.cancelled():
            done.exception()  # those who waited have it; nobody may have


def in_trouble(role: str, name: str, problem: str) -> str:
    """What is wrong with an engine, which many of its errors name themselves."""
    return f"{role} in {problem if problem.startswith(name) else f'{name} cannot be had: {problem}'}"
