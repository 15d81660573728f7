"""The truth in one SQLite file, which several processes may use at once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Final, Literal, TypeVar

from perdure.errors import Closed, StoreError, StoreUnwritable, Unavailable
from perdure.load import Load
from perdure.moments import micros
from perdure.ports import Batch, Committed, Delta, Entry, Erased, Export, Job, Query, Space, Stand, StoreStats
from perdure.ports.derived import Cursor
from perdure.stores import sqlfilters
from perdure.stores.sqlite import (
    backup,
    check,
    commit,
    cursors,
    erase,
    exports,
    jobs,
    read,
    reindex,
    spaces,
    standing,
    vectors,
    workers,
)
from perdure.stores.sqlite.connection import Opener, explained, identify
from perdure.stores.sqlite.identity import Identity
from perdure.stores.sqlite.migrations import scripts, upgrade
from perdure.stores.sqlite.news import Look, Mark, News, look
from perdure.stores.sqlite.watch import Watch
from perdure.stores.sqlite.workers import Crew, Outcome, Serve, group_commit, plainly, snapshot
from perdure.stores.traces import Traces
from perdure.types import Change, Memory, Partition, Scope, Turn

T = TypeVar("T")

LONGEST_WAIT: Final = 86_400
"""Seconds; SQLite counts milliseconds in 32 bits."""
MOST_READERS: Final = 64


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
    read_only: bool = False
    """Refuse every write; the file has to be there, with the present schema."""

    def __post_init__(self) -> None:
        """Refuse what SQLite would fail at later, or take for something else.

        Raises:
            ValueError: an option is out of its range.
        """
        sizes = [2**n for n in range(9, 17)]
        for name, fits, range_ in (
            ("synchronous", self.synchronous in ("FULL", "NORMAL"), "FULL or NORMAL"),
            ("busy_timeout", 0 <= self.busy_timeout <= LONGEST_WAIT, f"seconds, from 0 to {LONGEST_WAIT}"),
            ("readers", 1 <= self.readers <= MOST_READERS, f"from 1 to {MOST_READERS}"),
            ("page_size", self.page_size in sizes, "a power of two from 512 to 65536"),
            ("group", self.group >= 1, "1 or more"),
        ):
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it has to be {range_}")

    async def open(self, space: Space | None) -> None:
        """Create or upgrade the file, check it, adopt or check the space; if it is only read, look at it."""
        self._use.space = space
        if self.read_only:
            await self._use.readers.do(partial(_examine, self._file, space))
            self._use.is_open = True
            return
        await self._use.writer.do(partial(_prepare, self._file, self._connections, space), alone=True)
        await self._remove_traces()  # of an erasure that was cut off
        self._use.is_open = True

    async def aclose(self) -> None:
        """Finish what was begun; the last process that closes folds the log into the file."""
        self._use.is_open = False
        self._use.watch.close()
        await self._use.readers.go_home()
        await self._use.writer.go_home()

    def loads(self) -> dict[str, Load]:
        """Of those who read, and of the one who writes, who takes up to `group` commits together."""
        return {"readers": self._use.readers.load(), "writer": self._use.writer.load()}

    async def commit(self, batch: Batch) -> Committed:
        """Durable when this returns."""
        return await self._write(partial(commit.commit, batch=batch, space=self._use.space))

    async def load(
        self,
        partition: Partition,
        *,
        since: int = 0,
        known_at: datetime | None = None,
        with_vectors: bool = True,
    ) -> Delta:
        """What came after `since`; with `known_at`, all rows that were current then."""
        work = partial(
            read.load,
            partition=partition,
            since=since,
            known_at=known_at,
            with_vectors=with_vectors,
            space=self._use.space,
        )
        delta, told = await self._look(work)
        return replace(delta, stand=replace(delta.stand, mark=Mark(partition, told.stamp, told.whole)))

    def stands(self, mark: object) -> bool:
        """Whether nobody has changed the partition since the load that gave this mark, as far as is known."""
        use = self._use
        return use.is_open and isinstance(mark, Mark) and use.news.stands(mark, use.watch.version_at_once())

    async def identity(self) -> str:
        """The random name that the file got when it was made."""
        return await self._read(standing.identity)

    async def standing(self, partitions: Sequence[Partition]) -> list[Stand]:
        """How far each has come."""
        stands, told = await self._look(lambda c: standing.standing(c, partitions))
        return [
            replace(stand, mark=Mark(partition, told.stamp, told.whole))
            for partition, stand in zip(partitions, stands, strict=True)
        ]

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

    async def erase(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> Erased:
        """Remove the words from the file and from its log."""
        removed = await self._write(lambda c: erase.erase(c, tenant, memory_ids, at=at, reason=reason))
        done = await self._remove_traces()
        return Erased(removed=removed.rows, log_truncated=done, partitions=removed.partitions)

    async def erase_alone(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> None:
        """Remove the words of exactly these, from the file and from its log."""
        await self._write(lambda c: erase.erase(c, tenant, memory_ids, at=at, reason=reason, alone=True))
        await self._remove_traces()

    async def reset(self, tenant: str) -> None:
        """Remove all of a tenant, from the file and from its log."""
        await self._write(lambda c: erase.reset(c, tenant))
        await self._remove_traces()

    async def stats(self, tenant: str) -> StoreStats:
        """Sizes of a tenant's part of the store."""
        return await self._read(lambda c: read.stats(c, tenant, log_bytes=_size(Path(f"{self._file}-wal"))))

    async def backup(self, target: Path) -> None:
        """Copy the store as it is now to a new file, checked; reading and writing go on meanwhile."""
        await self._read(lambda c: backup.backup(c, target))

    async def place(self) -> str:
        """Which file it is, whatever links lead to it."""
        status = await self._read(lambda _: self._file.stat())
        return f"sqlite:{status.st_dev}:{status.st_ino}"

    async def tenants(self) -> list[str]:
        """All that have anything here."""
        return await self._read(exports.tenants)

    async def export(
        self, tenant: str, partitions: Sequence[Partition] | None = None, *, with_entries: bool = False
    ) -> AsyncIterator[Export]:
        """Everything of a tenant, or of some partitions, as it was when the first record was taken."""
        self._check_open()
        crew = self._crew("export", serve=plainly)
        begun: list[tuple[sqlite3.Connection, Iterator[list[Export]]]] = []

        def next_page(connection: sqlite3.Connection) -> list[Export] | None:
            if not begun:
                connection.execute("BEGIN")
                pages = exports.pages(connection, tenant, partitions, with_entries=with_entries)
                begun.append((connection, pages))
            first, pages = begun[0]
            if (
                connection is not first
            ):  # a fork closes all connections, and the snapshot is gone with its own
                raise Unavailable("the export was cut off by a fork of this process: start it again")
            return next(pages, None)

        try:
            while (page := await crew.do(next_page)) is not None:
                for record in page:
                    yield record
        finally:
            await crew.go_home()

    async def restore(self, records: Sequence[Export]) -> int:
        """Put exported records in, in the order in which they were exported; those that are known are left alone."""
        space = self._use.space
        return await self._write(lambda c: exports.restore(c, records, space))

    async def jobs(
        self,
        tenant: str,
        *,
        ids: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        given_up: bool | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """What is still to be done, oldest first."""
        return await self._read(
            lambda c: jobs.listed(c, tenant, ids=ids, kinds=kinds, given_up=given_up, limit=limit)
        )

    async def keep_job(self, job: Job) -> bool:
        """Note how an attempt ended."""
        return await self._write(lambda c: jobs.keep(c, job))

    async def cached_vectors(self, tenant: str, names: Sequence[str]) -> tuple[list[bytes | None], int]:
        """What there is for each name, and the number of erasures so far."""
        return await self._read(lambda c: vectors.cached(c, tenant, names))

    async def cache_vectors(
        self, tenant: str, made: Mapping[str, bytes], *, erasures: int, max_bytes: int
    ) -> None:
        """Keep vectors by names, unless something was erased since `erasures`."""
        await self._write(lambda c: vectors.cache(c, tenant, made, erasures=erasures, max_bytes=max_bytes))

    async def claim(
        self, tenant: str, kinds: Sequence[str], *, worker: str, now: datetime, until: datetime, limit: int
    ) -> list[Job]:
        """Lease jobs that are due, oldest first."""

        def take(connection: sqlite3.Connection) -> list[Job]:
            ids = jobs.claim(
                connection, tenant, kinds, worker=worker, now=micros(now), until=micros(until), limit=limit
            )
            return jobs.listed(connection, tenant, ids=ids) if ids else []

        return await self._write(take)

    async def extend(self, tenant: str, ids: Sequence[str], *, worker: str, until: datetime) -> None:
        """Move the end of a worker's leases."""
        await self._write(lambda c: jobs.extend(c, tenant, ids, worker=worker, until=micros(until)))

    async def written(self, tenant: str, batch_id: str) -> list[Change]:
        """The history that batches with this id wrote."""
        return await self._read(lambda c: read.written(c, tenant, batch_id))

    async def take_cursor(
        self, engine: str, partition: Partition, *, worker: str, now: datetime, until: datetime
    ) -> int | None:
        """Lease an engine's cursor in a partition: how far it is."""
        return await self._write(
            lambda c: cursors.take(c, engine, partition, worker=worker, now=micros(now), until=micros(until))
        )

    async def move_cursor(self, engine: str, partition: Partition, seq: int, *, worker: str) -> bool:
        """Note how far the engine is, and give the lease back."""
        return await self._write(lambda c: cursors.move(c, engine, partition, seq, worker=worker))

    async def cursors(
        self, tenant: str, engine: str, *, partition: Partition | None = None, limit: int | None = None
    ) -> list[Cursor]:
        """Where the engine is behind, the farthest first."""
        return await self._read(lambda c: cursors.behind(c, tenant, engine, partition, limit))

    async def drop_cursors(self, tenant: str, engine: str) -> None:
        """Begin anew: the engine is behind with everything."""
        await self._write(lambda c: cursors.drop(c, tenant, engine))

    async def vectors(self, partition: Partition, ords: Sequence[int]) -> list[bytes]:
        """The vectors of these versions, in the order asked."""
        space = self._use.space
        return await self._read(lambda c: read.vectors_of(c, partition, ords, space))

    async def missing(
        self, space: Space, *, limit: int, after: tuple[Partition, int] | None = None
    ) -> list[tuple[Partition, Memory]]:
        """Versions, also retired ones, that have no entry in `space` yet."""
        return await self._read(lambda c: reindex.missing(c, space, limit=limit, after=after))

    async def prepare(self, space: Space, entries: Sequence[tuple[Partition, int, Entry]]) -> None:
        """Store entries in a space that need not be in use."""
        await self._write(lambda c: reindex.prepare(c, space, entries))

    async def activate(self, space: Space, *, leaving: int = 0) -> int:
        """Use `space` from now on and drop the others, unless more than `leaving` is missing in it."""
        lacking = await self._write(lambda c: reindex.activate(c, space, leaving=leaving))
        if not lacking:
            self._use.space = space
        return lacking

    async def check(self) -> list[str]:
        """What is wrong, one sentence each; empty when the store is sound."""
        return await self._read(check.check)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        if self.read_only:
            raise StoreUnwritable(f"{self._file} was opened to be read only: nothing was changed")
        result = await self._use.writer.do(work)
        if self._use.traces.are_due():
            await self._remove_traces()
        return result

    async def _remove_traces(self) -> bool:
        """Take what was erased out of the file and its log; when that cannot be done now, after later writes."""
        done = await self._use.writer.do(erase.remove_traces, alone=True)
        self._use.traces.tried(done=done)
        return done

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        return await self._use.readers.do(work)

    async def _look(self, work: Callable[[sqlite3.Connection], T]) -> tuple[T, Look]:
        """Read, and take in which partitions have changed meanwhile; the others need not be read again.

        With the result comes what was told of changes in the same snapshot.
        """
        news, watch = self._use.news, self._use.watch
        known = news.stamp
        # The version is told before the snapshot begins, which is with the first statement.
        version, result, told = await self._read(lambda c: (watch.version(), work(c), look(c, known)))
        news.take(version, told)
        return result, told

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
            identity=Identity(self._file),
        )

    @cached_property
    def _use(self) -> _Use:
        serve = partial(_write_in_place, self._connections.identity)
        writer = Crew("write", self._connections, serve=serve, explain=self._explain, most=self.group)
        readers = self._crew("read", serve=snapshot, threads=self.readers)
        return _Use(writer=writer, readers=readers, watch=Watch(replace(self._connections, busy_timeout=0)))

    def _crew(self, name: str, *, serve: Serve, threads: int = 1) -> Crew:
        """Threads that read."""
        connect = partial(_reading, self._connections, existing=self.read_only)
        return Crew(name, connect, serve=serve, explain=self._explain, threads=threads)

    def _explain(self, error: Exception) -> Exception:
        return explained(error, self._file)


@dataclass(kw_only=True)
class _Use:
    """What there is while a store is open."""

    writer: Crew
    readers: Crew
    watch: Watch
    space: Space | None = None
    is_open: bool = False
    news: News = field(default_factory=News)
    traces: Traces = field(default_factory=Traces)


def _prepare(path: Path, connections: Opener, space: Space | None, connection: sqlite3.Connection) -> None:
    """Make the file a store of the newest schema, or refuse it before anything in it is changed."""
    identify(connection, path, newest=len(scripts()))
    connections.use_log(connection)
    upgrade(connection, path)
    if space is not None:
        connection.execute("BEGIN IMMEDIATE")
        spaces.adopt(connection, space)
        connection.execute("COMMIT")


def _examine(path: Path, space: Space | None, connection: sqlite3.Connection) -> None:
    """Refuse what is no store of the newest schema, or another space than this."""
    schema, newest = identify(connection, path, newest=len(scripts())), len(scripts())
    if schema != newest:
        raise StoreError(
            f"{path} has schema {schema}, and this Perdure reads {newest}: open it once without read_only"
        )
    spaces.fitting(connection, space)


def _write_in_place(
    identity: Identity, connection: sqlite3.Connection, writes: Sequence[workers.Job]
) -> list[Outcome]:
    identity.check()
    return group_commit(connection, writes)


def _reading(connections: Opener, *, existing: bool) -> sqlite3.Connection:
    if existing and not connections.path.exists():
        raise StoreError(f"there is no store at {connections.path}: name one that is there")
    connection = connections()
    connection.execute("PRAGMA query_only=ON")
    sqlfilters.register(connection)
    return connection


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
