"""The truth in one SQLite file, which several processes may use at once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, TypeVar

from perdure.errors import Closed
from perdure.ports import Batch, Committed, Delta, Erased, Query, Space, StoreStats
from perdure.stores import sqlfilters
from perdure.stores.sqlite import commit, read, spaces
from perdure.stores.sqlite.connection import Opener, check_place, explained, identify
from perdure.stores.sqlite.migrations import scripts, upgrade
from perdure.stores.sqlite.workers import Crew, group_commit, snapshot
from perdure.types import Change, Memory, Partition, Scope, Turn

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SqliteStore:
    """One file, one thread that writes and a few that read, each with a connection of its own.

    After a fork, open another in the child.
    """

    path: Path | str
    """The file; its directory exists. Beside it are `-wal` and `-shm` while it is in use."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """NORMAL: a power failure may take the last moments' commits, a crash of the process never."""
    busy_timeout: float = 10.0
    """Seconds to wait for another process's lock."""
    readers: int = 2
    """Threads that read."""
    page_size: int = 8_192
    """Of a new file; larger for vectors of more than 1,000 dimensions."""
    group: int = 256
    """So many commits that come together are made in one transaction, with one wait for the disk."""

    async def open(self, space: Space | None) -> None:
        """Create or upgrade the file, check it, adopt or check the space."""
        self._use.space = space
        await self._use.writer.do(partial(_prepare, self._file, self._connections, space), alone=True)
        self._use.is_open = True

    async def aclose(self) -> None:
        """Finish what was begun; the last process that closes folds the log into the file."""
        self._use.is_open = False
        await self._use.readers.go_home()
        await self._use.writer.go_home()

    async def commit(self, batch: Batch) -> Committed:
        """Durable when this returns."""
        return await self._write(partial(commit.commit, batch=batch, space=self._use.space))

    async def load(self, partition: Partition, *, since: int = 0, known_at: datetime | None = None) -> Delta:
        """What came after `since`; with `known_at`, all rows that were current then."""
        space = self._use.space
        return await self._read(
            lambda c: read.load(c, partition, since=since, known_at=known_at, space=space)
        )

    async def read(self, partition: Partition, ords: Sequence[int]) -> list[Memory]:
        """The versions with these row numbers, in the order asked."""
        return await self._read(lambda c: read.read(c, partition, ords))

    async def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The current version, or the last one, retired."""
        return await self._read(lambda c: read.get(c, tenant, memory_id))

    async def find(self, query: Query) -> list[Memory]:
        """What the query describes, in its order."""
        return await self._read(lambda c: read.find(c, query))

    async def select(self, partition: Partition, query: Query) -> list[int]:
        """The row numbers of what `find` would list in this partition."""
        return await self._read(lambda c: read.select(c, partition, query))

    async def partitions(self, tenant: str, within: Sequence[Scope] | None = None) -> list[Partition]:
        """The partitions that hold memories under one of these scopes."""
        return await self._read(lambda c: read.partitions(c, tenant, within))

    async def history(self, tenant: str, memory_id: str) -> list[Change]:
        """What happened to a memory, oldest first."""
        return await self._read(lambda c: read.history(c, tenant, memory_id))

    async def turns(self, tenant: str, ids: Sequence[str]) -> list[Turn]:
        """The turns with these ids, in the order asked."""
        return await self._read(lambda c: read.turns(c, tenant, ids))

    async def stats(self, tenant: str) -> StoreStats:
        """Sizes of a tenant's part of the store."""
        return await self._read(
            lambda c: read.stats(c, tenant, log_bytes=_size(Path(f"{self._file}-wal")))
        )

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        return await self._use.writer.do(work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        return await self._use.readers.do(work)

    def _check_open(self) -> None:
        if not self._use.is_open:
            raise Closed("this store is not open: open it, or another one when it was closed")

    @property
    def _file(self) -> Path:
        return Path(self.path).expanduser().absolute()

    @cached_property
    def _connections(self) -> Opener:
        return Opener(
            path=self._file,
            synchronous=self.synchronous,
            busy_timeout=self.busy_timeout,
            page_size=self.page_size,
        )

    @cached_property
    def _use(self) -> _Use:
        explain = partial(explained, path=self._file)
        return _Use(
            writer=Crew("write", self._connections, serve=group_commit, explain=explain, most=self.group),
            readers=Crew(
                "read",
                partial(_reading, self._connections),
                serve=snapshot,
                explain=explain,
                threads=self.readers,
            ),
        )


@dataclass(kw_only=True)
class _Use:
    """What there is while a store is open."""

    writer: Crew
    readers: Crew
    space: Space | None = None
    is_open: bool = False


def _prepare(path: Path, connections: Opener, space: Space | None, connection: sqlite3.Connection) -> None:
    """Make the file a store of the newest schema, or refuse it before anything in it is changed."""
    identify(connection, path, newest=len(scripts()))
    connections.use_log(connection)
    upgrade(connection, path)
    if space is not None:
        connection.execute("BEGIN IMMEDIATE")
        spaces.adopt(connection, space)
        connection.execute("COMMIT")


def _reading(connections: Opener) -> sqlite3.Connection:
    connection = connections()
    connection.execute("PRAGMA query_only=ON")
    sqlfilters.register(connection)
    return connection


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
