"""The connections of an event loop: work is done on one of them, within its time, and again where that is safe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection, Error, OperationalError
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from perdure.errors import Unavailable
from perdure.stores.postgres import meanings
from perdure.stores.postgres.connection import Connection, cut, prepare

T = TypeVar("T")

FIRST_PAUSE: Final = 0.02
"""Seconds before the second try; each further one waits up to twice as long."""
LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the server is, and how patient we are."""

    place: str
    """For messages: no password."""
    conninfo: str = field(repr=False)
    least: int
    most: int
    timeout: float
    connect_timeout: float
    kept: bool
    """Whether statements are kept by the server."""

    @property
    def tries(self) -> int:
        """Enough to get past all connections of a pool that have ended meanwhile, and a server that starts again."""
        return self.most + 10

    def _options(self) -> Mapping[str, Any]:
        return {
            "autocommit": True,
            "client_encoding": "utf8",
            "connect_timeout": max(2, round(self.connect_timeout)),  # libpq takes whole seconds, two at least
            "application_name": "perdure",
        }

    async def connect(self) -> Connection:
        """A connection of its own.

        Raises:
            ConfigurationError: the server does not let us in.
            Unavailable: it is not there.
        """
        try:
            connection = await AsyncConnection.connect(self.conninfo, **self._options())
        except OperationalError as error:
            if meanings.is_refused(error):
                raise meanings.refused(error, self.place) from error
            raise meanings.unreachable(error, self.place) from error
        prepare(connection, kept=self.kept)
        return connection

    def pool(self) -> AsyncConnectionPool[Connection]:
        """Connections, not opened yet; those that have ended are replaced."""

        async def configure(connection: Connection) -> None:
            prepare(connection, kept=self.kept)

        return AsyncConnectionPool(
            self.conninfo,
            kwargs=dict(self._options()),
            min_size=self.least,
            max_size=self.most,
            open=False,
            configure=configure,
            timeout=self.connect_timeout,
            reconnect_timeout=self.connect_timeout,
            name=f"perdure {self.place}",
        )


class Lane:
    """The connections of one event loop."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pool = server.pool()
        self._opening = asyncio.Lock()
        self._open = False

    async def open(self) -> None:
        """Begin to make connections; a second time does nothing."""
        async with self._opening:
            if not self._open:
                await self.pool.open()
                self._open = True

    @property
    def is_open(self) -> bool:
        """Whether it has begun to make connections."""
        return self._open

    async def aclose(self) -> None:
        """End them."""
        # When a loop ends, its tasks were cancelled before, the pool's own among them.
        with suppress(asyncio.CancelledError):
            await self.pool.close()

    async def persist(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        in_doubt: Callable[[], bool] = lambda: False,
        repeatable: bool = True,
    ) -> T:
        """The result of `work`, which is done again when its connection ends or others are in its way.

        Args:
            in_doubt: whether nobody knows if it was done by what was tried so far.
            repeatable: it may be done again even then.

        Raises:
            PerdureError: see `meanings`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.server.timeout
        for attempt in count(1):
            try:
                return await self.once(work, deadline - loop.time())
            except Exception as error:
                passes = meanings.is_lost(error) or meanings.is_passing(error)
                wait = pause(attempt)
                if (
                    not passes
                    or attempt >= self.server.tries
                    or loop.time() + wait >= deadline
                    or (in_doubt() and not repeatable)
                ):
                    meaning = meanings.explained(error, self.server.place)
                    if in_doubt():
                        meaning = meanings.unanswered(self.server.place)
                    if meaning is error:
                        raise
                    raise meaning from error
                await asyncio.sleep(wait)
        raise AssertionError("counting does not end")

    async def once(self, work: Callable[[Connection], Awaitable[T]], seconds: float) -> T:
        """The result of `work`, done on one of the connections.

        Raises:
            Unavailable: it took longer than these seconds, or there was no connection for it.
            ConfigurationError: the server does not let us in any more.
            psycopg.Error: see `meanings`.
        """
        connection = await self._connection(seconds)
        with in_time(connection, seconds, self.server.place):
            try:
                return await work(connection)
            finally:
                await self._give_back(connection)

    async def _connection(self, seconds: float) -> Connection:
        try:
            return await self.pool.getconn(timeout=min(seconds, self.server.connect_timeout))
        except PoolTimeout as error:
            probe = await self.server.connect()  # tells why, unless there are just too many at work
            await probe.close()
            raise meanings.explained(error, self.server.place) from error

    async def _give_back(self, connection: Connection) -> None:
        """Undo what was left undone, and let others have it; one that is in the middle of something is closed."""
        try:
            if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                await connection.rollback()
        except Error:
            await connection.close()
        finally:
            await self.pool.putconn(connection)


@contextmanager
def in_time(connection: Connection, seconds: float, place: str) -> Iterator[None]:
    """End a connection after so many seconds, whoever waits for an answer on it.

    Raises:
        Unavailable: somebody did.
    """
    late = False

    def end() -> None:
        nonlocal late
        late = True
        cut(connection)

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        yield
    except Error as error:
        if late:
            raise Unavailable(
                f"{place} gave no answer in time: try again later, or raise `timeout`"
            ) from error
        raise
    finally:
        timer.cancel()


def pause(attempt: int) -> float:
    """Seconds before the next attempt: those that failed together do not come back together."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1))
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - no secret
