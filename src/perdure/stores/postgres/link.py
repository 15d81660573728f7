"""How a store asks its server: each event loop by its own connections, again when one is lost, in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from psycopg import Error

from perdure.errors import Closed, StoreUnwritable, Unavailable
from perdure.lanes import Lanes
from perdure.load import Load
from perdure.ports import Batch, Committed, Space
from perdure.stores.postgres import erase, meanings
from perdure.stores.postgres.committing import Committer
from perdure.stores.postgres.connection import (
    Connection,
    Row,
    Settings,
    Statement,
    Transaction,
    snapshot,
)
from perdure.stores.postgres.lanes import Lane, Server, in_time
from perdure.stores.traces import Traces

T = TypeVar("T")

VACUUM: Final = 600.0
"""Seconds that removing dead rows may take."""


class Link:
    """The connections of a store, whatever is asked over them."""

    def __init__(self, server: Server, settings: Settings, *, read_only: bool, group: int) -> None:
        """Args: group: so many commits that come together are made in one transaction."""
        self.is_open = False
        self.space: Space | None = None
        """What the store's entries are computed with."""
        self.traces = Traces()
        self._server = server
        self._settings = settings
        self._read_only = read_only
        self._group = group
        self._lanes = Lanes(lambda: Lane(server), Lane.aclose, subject=server.place)
        self._committers: WeakKeyDictionary[Lane, Committer] = WeakKeyDictionary()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Connection]:
        """A connection for one task alone, which may take long; raises as `ask` does."""
        connection = await self._server.connect()
        try:
            yield connection
        except Error as error:
            raise meanings.explained(error, self._server.place) from error
        finally:
            await connection.close()

    def in_time(self, connection: Connection) -> AbstractContextManager[None]:
        """What is asked within it takes no longer than one call may."""
        return in_time(connection, self._server.timeout, self._server.place)

    async def ask(self, tenant: str | None, *statements: Statement) -> list[list[Row]]:
        """The rows of each statement, as they are at one moment; None: of all tenants.

        Raises:
            Closed: the store is not open.
            Unavailable: the server cannot be had.
        """
        settings = self._settings.for_(tenant, kept=all(statement.prepare for statement in statements))
        return await self.do(lambda connection: snapshot(connection, settings, *statements))

    async def do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Read; when the connection is lost, again. Raises as `ask` does."""
        return await (await self._lane()).persist(work)

    async def write(
        self,
        tenant: str | None,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        alone: bool = False,
        repeatable: bool = True,
    ) -> T:
        """Write in one transaction; raises as `ask` does.

        Args:
            alone: the work waits until nobody else writes.
            repeatable: doing it twice is as doing it once; else it is not done again when nobody knows whether it was.
        """
        self._check_writable()
        settings = self._settings.for_(tenant, writes=not alone)
        tried: list[Transaction] = []

        async def attempt(connection: Connection) -> T:
            tried.append(Transaction(connection, settings))
            result = await work(tried[-1])
            await tried[-1].end()
            return result

        result = await (await self._lane()).persist(
            attempt, in_doubt=lambda: any(one.in_doubt for one in tried), repeatable=repeatable
        )
        await self._after_write()
        return result

    async def commit(self, batch: Batch) -> Committed:
        """Durable when this returns; raises as `ask` does."""
        self._check_writable()
        lane = await self._lane()
        committer = self._committers.get(lane)
        if committer is None:
            committer = self._committers[lane] = Committer(lane, self._settings, group=self._group)
        committed = await committer.commit(batch, self.space)
        await self._after_write()
        return committed

    async def vacuum(self) -> bool:
        """Remove dead rows; when that cannot be done now, after later writes."""
        try:
            done = await (await self._lane()).once(lambda c: erase.vacuum(c, self._settings), VACUUM)
        except (Error, Unavailable):  # the erasure itself is done, this comes later
            done = False
        self.traces.tried(done=done)
        return done

    def check_open(self) -> None:
        """Raises: Closed: the store is not open."""
        if not self.is_open:
            raise Closed("this store is not open: open it, or another one when it was closed")

    def loads(self) -> dict[str, Load]:
        """Of connections, of all event loops together, and of commits: what is taken up together, and what waits."""
        commits = [committer.load() for committer in list(self._committers.values())]
        pools = [lane.pool.get_stats() for lane in self._lanes.clients()]
        return {
            "connections": Load(
                running=sum(one.get("pool_size", 0) - one.get("pool_available", 0) for one in pools),
                bound=self._server.most * max(len(pools), 1),
                waiting=sum(one.get("requests_waiting", 0) for one in pools),
            ),
            "commits": Load(
                running=sum(load.running for load in commits),
                bound=sum(load.bound for load in commits) or self._group,
                waiting=sum(load.waiting or 0 for load in commits),
            ),
        }

    async def aclose(self) -> None:
        """Finish what was begun, and give the connections back."""
        self.is_open = False
        for committer in list(self._committers.values()):
            await committer.aclose()
        await self._lanes.aclose()

    async def _lane(self) -> Lane:
        self.check_open()
        lane = await self._lanes.client()
        if not lane.is_open:
            await lane.open()
        return lane

    def _check_writable(self) -> None:
        if self._read_only:
            raise StoreUnwritable(f"{self._server.place} was opened to be read only: nothing was changed")

    async def _after_write(self) -> None:
        if self.traces.are_due():
            await self.vacuum()
