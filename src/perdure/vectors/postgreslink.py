"""Connections to PostgreSQL, of one event loop: work is done on one of them, within its time."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
from psycopg import AsyncConnection, Error, InterfaceError, OperationalError
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format, TransactionStatus

from perdure.errors import ConfigurationError, PerdureError, Unavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
UNDEFINED: Final = "42P01"
"""There is no such table."""
_REAL: Final = 700
"""The number of the type `real` in every PostgreSQL."""
_REALS: Final = 1021
_MENDED: Final = ("28", "3D000", "3F000", "42501", "42704", "42883")
"""Codes of what waits for a configuration: no way in, no database, schema or right, no type of the extension."""
_REFUSALS: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "not permitted",
    "invalid connection option",
    "does not support SSL",
    "certificate verify failed",
)
"""A connection that is refused while it is made has no code, only the server's words."""


class Floats:
    """Numbers as PostgreSQL's `real[]`, which pgvector takes as a vector."""

    def __init__(self, vector: NDArray[np.float32]) -> None:
        """`vector`: one row of numbers."""
        elements = np.empty(len(vector), dtype=[("size", ">i4"), ("value", ">f4")])
        elements["size"], elements["value"] = 4, vector
        self.binary = struct.pack("!iiIii", 1, 0, _REAL, len(vector), 1) + elements.tobytes()


class _FloatsDumper(Dumper):
    format = Format.BINARY
    oid = _REALS

    def dump(self, obj: Floats) -> Buffer:
        return obj.binary


class Connections:
    """Made when they are needed, and kept for the next who needs one."""

    def __init__(self, *, name: str, options: Mapping[str, Any], most: int, timeout: float) -> None:
        """Nothing is connected yet.

        Args:
            name: for errors.
            options: of libpq.
            most: at once.
            timeout: seconds that one piece of work may take, connecting apart.
        """
        self._name = name
        self._options = dict(options)
        self._timeout = timeout
        self._gate = asyncio.Semaphore(most)
        self._free: list[Connection] = []
        self._closed = False

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The result of `work`, which is done again when a connection had ended while nobody used it.

        Raises:
            Unavailable: not now.
            ConfigurationError: not with this configuration.
        """
        async with self._gate:
            while True:
                kept = bool(self._free)
                connection = self._free.pop() if kept else await self._connected()
                try:
                    return await self._in_time(connection, work)
                except (InterfaceError, OperationalError) as error:
                    if not (kept and connection.closed):
                        raise explained(error, self._name) from error
                except Error as error:
                    raise explained(error, self._name) from error
                finally:
                    await self._give_back(connection)

    async def aclose(self) -> None:
        """Close those that nobody uses; the others are closed when they are given back."""
        self._closed = True
        while self._free:
            await self._free.pop().close()

    async def _connected(self) -> Connection:
        patience = max(2, math.ceil(self._timeout))  # libpq takes whole seconds, two at least
        try:
            async with asyncio.timeout(self._timeout):
                connection = await AsyncConnection.connect(
                    **self._options, autocommit=True, connect_timeout=patience, application_name="perdure"
                )
        except (Error, OSError) as error:  # a time-out is an OSError
            raise explained(error, self._name) from error
        connection.adapters.register_dumper(Floats, _FloatsDumper)
        return connection

    async def _in_time(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        late = asyncio.Event()

        def end() -> None:
            late.set()
            _cut(connection)

        timer = asyncio.get_running_loop().call_later(self._timeout, end)
        try:
            return await work(connection)
        except Error as error:
            if late.is_set():
                raise Unavailable(f"{self._name} gives no answer within {self._timeout:g} s") from error
            raise
        finally:
            timer.cancel()

    async def _give_back(self, connection: Connection) -> None:
        idle = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        if idle and not self._closed:
            self._free.append(connection)
        else:
            await connection.close()


def explained(error: Exception, name: str) -> PerdureError:
    """What an error means; of the server's own words only those about a refused connection, which hold no data."""
    state, said = getattr(error, "sqlstate", None) or "", str(error).strip().splitlines()
    if state.startswith(_MENDED):
        return ConfigurationError(
            f"{name} refuses us ({state}): mend the user, its rights, the database or the schema"
        )
    if not state and said and any(words in said[-1] for words in _REFUSALS):
        return ConfigurationError(f"{name} refuses us ({said[-1][-200:]}): mend the configuration")
    return Unavailable(f"{name} cannot be had ({state or type(error).__name__})")


def _cut(connection: Connection) -> None:
    """End a connection: who waits for an answer on it gets an `OperationalError`.

    Its socket is shut down, not closed, so that no other can have got its number when they notice.
    """
    with suppress(OSError, OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)
