"""The truth in a PostgreSQL database, which any number of processes on any number of machines may use at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Final

from psycopg import Error
from pydantic import SecretStr

from perdure.filters import matches
from perdure.load import Load
from perdure.moments import micros
from perdure.options import at_least, hide
from perdure.ports import (
    Batch,
    Committed,
    Delta,
    Entry,
    Erased,
    Export,
    Job,
    Query,
    Space,
    Stand,
    StoreStats,
)
from perdure.ports.derived import Cursor
from perdure.stores.postgres import (
    address,
    check,
    cursors,
    erase,
    exports,
    jobs,
    read,
    spaces,
    standing,
    vectors,
)
from perdure.stores.postgres.connection import (
    SNAPSHOT,
    Connection,
    Row,
    Settings,
    Statement,
    Transaction,
    scroll,
    snapshot,
)
from perdure.stores.postgres.lanes import Server
from perdure.stores.postgres.link import Link
from perdure.stores.postgres.loading import Wanted, load
from perdure.stores.postgres.migrations import examine, upgrade
from perdure.types import Change, Memory, Partition, Scope, Turn

LONGEST_NAME: Final = 63
"""Bytes of a schema's name."""


@dataclass(frozen=True, kw_only=True)
class PostgresStore:
    """A schema of its own in a database, and a pool of connections for each event loop.

    It may be used from any event loop, thread or forked child.
    """

    url: str = field(default="", repr=False)
    """Where it is: `postgresql://user:password@host:5432/dbname?sslmode=require`; what is given beside it goes over it."""
    host: str | None = None
    """The server."""
    port: int | None = None
    """Its port; 5432 where nothing is said."""
    user: str | None = None
    """The role. An ordinary one: superusers see all tenants' rows."""
    password: SecretStr | None = field(default=None, repr=False)
    """Its password, where the URL is not to hold it."""
    dbname: str | None = None
    """The database."""
    schema: str = "perdure"
    """Where the tables are; it is made when the store is opened first."""
    min_connections: int = 1
    """Kept open, of each event loop."""
    max_connections: int = 10
    """At once, of each event loop; who comes when all are at work waits."""
    connect_timeout: float = 10.0
    """Seconds to wait for a connection, or for a server that is starting again."""
    timeout: float = 60.0
    """Seconds that one call may take, with all that is tried again."""
    statement_timeout: float = 30.0
    """Seconds that one statement may take."""
    lock_timeout: float = 10.0
    """Seconds to wait for another process's lock."""
    group: int = 256
    """So many commits that come together are made in one transaction, with one wait for the disk."""
    prepared: bool = True
    """Whether the server keeps statements for their next use; not behind a pooler that cannot, as old PgBouncers."""
    read_only: bool = False
    """Refuse every write; the store has to be there, with the present schema."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a password that is a plain text is hidden.

        Raises:
            ValueError: an option is out of its range.
        """
        least = {
            "min_connections": 0, "max_connections": 1, "connect_timeout": 0.1, "timeout": 0.1,
            "statement_timeout": 0.001, "lock_timeout": 0.001, "group": 1,
        }  # fmt: skip
        at_least(self, **least)
        if self.min_connections > self.max_connections:
            raise ValueError("min_connections has to be max_connections or less")
        if not 0 < len(self.schema.encode()) <= LONGEST_NAME or "\x00" in self.schema:
            raise ValueError(f"schema has to be a name of at most {LONGEST_NAME} bytes")
        hide(self, "password")
        self._conninfo()

    async def open(self, space: Space | None) -> None:
        """Create or upgrade the schema, check it, adopt or check the space; if it is only read, look at it."""
        self._link.space = space
        async with self._link.apart() as connection:
            with self._link.in_time(connection):
                await (self._examine if self.read_only else self._prepare)(connection, space)
        self._link.is_open = True

    async def _prepare(self, connection: Connection, space: Space | None) -> None:
        await upgrade(connection, self._settings, self._server.place)
        if space is not None:
            transaction = Transaction(connection, self._settings.for_(None))
            await spaces.adopt(transaction, self._settings, space)
            await transaction.end()
        try:
            done = await erase.vacuum(connection, self._settings)  # what one that was cut off has left
        except Error:  # it takes too long now: it comes after later writes
            done = False
        self._link.traces.tried(done=done)

    async def _examine(self, connection: Connection, space: Space | None) -> None:
        await examine(connection, self._settings, self._server.place)
        [held] = await snapshot(connection, self._settings.for_(None), standing.SPACE)
        standing.fitting(standing.held(held[0]) if held else None, space)

    async def aclose(self) -> None:
        """Finish what was begun, and give the connections back."""
        await self._link.aclose()

    def loads(self) -> dict[str, Load]:
        """Of connections, of all event loops together, and of commits: what is taken up together, and what waits."""
        return self._link.loads()

    async def commit(self, batch: Batch) -> Committed:
        """Durable when this returns; a connection that is lost meanwhile makes no difference."""
        return await self._link.commit(batch)

    async def load(
        self,
        partition: Partition,
        *,
        since: int = 0,
        known_at: datetime | None = None,
        with_vectors: bool = True,
    ) -> Delta:
        """What came after `since`; with `known_at`, all rows that were current then."""
        wanted = Wanted(partition, since, known_at, with_vectors, self._link.space)
        return await self._link.do(lambda connection: load(connection, self._settings, wanted))

    def stands(self, mark: object) -> bool:  # noqa: ARG002
        """Never told: only the server knows, and asking it is what a `load` begins with."""
        return False

    async def identity(self) -> str:
        """The random name that the store got when it was made."""
        [[[number]]] = await self._link.ask(None, standing.IDENTITY)
        return f"{number:x}"

    async def standing(self, partitions: Sequence[Partition]) -> list[Stand]:
        """How far each has come."""
        tenants = {partition.tenant for partition in partitions}
        tenant = tenants.pop() if len(tenants) == 1 else None
        [rows] = await self._link.ask(tenant, standing.places(partitions))
        return [standing.place(row).stand for row in rows]

    async def read(self, partition: Partition, ords: Sequence[int]) -> list[Memory]:
        """The versions with these row numbers, in the order asked."""
        [rows] = await self._link.ask(partition.tenant, read.read(partition, ords))
        held = {memory.ord: memory for memory in read.memories(rows, partition.tenant)}
        return [held[ord_] for ord_ in ords if ord_ in held]

    async def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The current version, or the last one, retired."""
        [rows] = await self._link.ask(tenant, read.get(tenant, memory_id))
        return next(iter(read.memories(rows, tenant)), None)

    async def find(self, query: Query) -> list[Memory]:
        """What the query describes, in its order."""
        exact = read.is_exact(query)
        asked = read.find(query, exact=exact)
        if exact and query.limit is not None and query.limit <= read.PAGE:
            [rows] = await self._link.ask(query.tenant, asked)
            return read.memories(rows, query.tenant)
        if exact:
            return await self._matching(replace(query, filter=None, limit=None, offset=0), asked)
        return await self._matching(query, asked)

    async def select(self, partition: Partition, query: Query) -> list[int]:
        """The row numbers of what `find` would list in this partition."""
        if read.is_exact(query):
            [rows] = await self._link.ask(query.tenant, read.select(partition, query))
            return [ord_ for [ord_] in rows]
        alone = replace(query, partitions=(partition,), limit=None, offset=0)
        return sorted(memory.ord for memory in await self._matching(alone, read.find(alone, exact=False)))

    async def _matching(self, query: Query, asked: Statement) -> list[Memory]:
        """What the filter matches of what a statement finds, page by page, until there is enough."""
        end = None if query.limit is None else query.offset + query.limit

        async def all_(connection: Connection) -> list[Memory]:
            found: list[Memory] = []
            settings = self._settings.for_(query.tenant, kept=False)
            async with aclosing(scroll(connection, settings, asked, page=read.PAGE)) as pages:
                async for rows in pages:
                    page = read.memories(rows, query.tenant)
                    found += [m for m in page if query.filter is None or matches(query.filter, m)]
                    if end is not None and len(found) >= end:
                        break
            return found[query.offset : end]

        return await self._link.do(all_)

    async def partitions(self, tenant: str, within: Sequence[Scope] | None = None) -> list[Partition]:
        """The partitions that hold memories under one of these scopes."""
        asked = read.partitions(tenant, within)
        found = await self._link.ask(tenant, *asked) if asked else []
        return sorted({Partition(tenant, owner) for rows in found for [owner] in rows})

    async def history(self, tenant: str, memory_id: str) -> list[Change]:
        """What happened to a memory, oldest first."""
        [rows] = await self._link.ask(tenant, read.history(tenant, memory_id))
        return list(map(read.change, rows))

    async def turns(self, tenant: str, ids: Sequence[str]) -> list[Turn]:
        """The turns with these ids, in the order asked."""
        [rows] = await self._link.ask(tenant, read.turns_of(tenant, ids))
        held = {turn.id: turn for turn in read.turns(rows, tenant)}
        return [held[turn_id] for turn_id in ids if turn_id in held]

    async def written(self, tenant: str, batch_id: str) -> list[Change]:
        """The history that batches with this id wrote."""
        [rows] = await self._link.ask(tenant, read.written(tenant, batch_id))
        return list(map(read.change, rows))

    async def erase(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> Erased:
        """Remove the words from the tables, and the dead rows that held them."""
        removed = await self._link.write(
            tenant, lambda t: erase.erase(t, tenant, memory_ids, at=at, reason=reason), repeatable=False
        )
        done = await self._link.vacuum()
        return Erased(removed=removed.rows, log_truncated=done, partitions=removed.partitions)

    async def erase_alone(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> None:
        """Remove the words of exactly these, and the dead rows that held them."""
        await self._link.write(
            tenant,
            lambda t: erase.erase(t, tenant, memory_ids, at=at, reason=reason, alone=True),
            repeatable=False,
        )
        await self._link.vacuum()

    async def reset(self, tenant: str) -> None:
        """Remove all of a tenant, and the dead rows that held it."""
        await self._link.write(None, lambda t: erase.reset(t, self._settings, tenant), alone=True)
        await self._link.vacuum()

    async def stats(self, tenant: str) -> StoreStats:
        """Sizes of a tenant's part of the store."""
        [sizes], space = await self._link.ask(tenant, read.sizes(tenant), standing.SPACE)
        held = standing.held(space[0]) if space else None
        return read.stats(sizes, None if held is None else held.space)

    async def place(self) -> str:
        """Which schema of which database of which server: by when that was started, as it has many addresses."""
        [[[server, database]]] = await self._link.ask(None, standing.SERVER)
        return f"postgres:{server}:{database}:{self.schema}"

    async def tenants(self) -> list[str]:
        """All that have anything here."""
        [rows] = await self._link.ask(None, read.TENANTS)
        return [tenant for [tenant] in rows]

    async def export(
        self, tenant: str, partitions: Sequence[Partition] | None = None, *, with_entries: bool = False
    ) -> AsyncIterator[Export]:
        """Everything of a tenant, or of some partitions, as it was when the first record was taken."""
        self._link.check_open()
        patient = replace(self._settings, idle_timeout=0)
        async with self._link.apart() as connection:  # whoever takes the records may take long
            transaction = Transaction(connection, patient.for_(tenant), begin=SNAPSHOT)
            pages = exports.pages(transaction, tenant, partitions, with_entries=with_entries)
            while True:
                with self._link.in_time(connection):
                    page = await anext(pages, None)
                if page is None:
                    break
                for record in page:
                    yield record

    async def restore(self, records: Sequence[Export]) -> int:
        """Put exported records in, in the order in which they were exported; those that are known are left alone."""
        new = 0
        tenants = dict.fromkeys(record.partition.tenant for record in records)
        for tenant in tenants:
            some = [record for record in records if record.partition.tenant == tenant]
            new += await self._link.write(
                tenant, partial(exports.restore, tenant, some, self._link.space), repeatable=False
            )
        return new

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
        asked = jobs.listed(tenant, ids=ids, kinds=kinds, given_up=given_up, limit=limit)
        [rows] = await self._link.ask(tenant, asked)
        return jobs.jobs(rows)

    async def keep_job(self, job: Job) -> bool:
        """Note how an attempt ended."""
        [rows] = await self._link.write(job.partition.tenant, lambda t: t.ask(jobs.keep(job)))
        return bool(rows)

    async def claim(
        self, tenant: str, kinds: Sequence[str], *, worker: str, now: datetime, until: datetime, limit: int
    ) -> list[Job]:
        """Lease jobs that are due, oldest first."""

        async def take(transaction: Transaction) -> list[Row]:
            ids = await jobs.claim(
                transaction, tenant, kinds, worker=worker, now=micros(now), until=micros(until), limit=limit
            )
            return (await transaction.ask(jobs.listed(tenant, ids=ids)))[0] if ids else []

        return jobs.jobs(await self._link.write(tenant, take, repeatable=False))

    async def extend(self, tenant: str, ids: Sequence[str], *, worker: str, until: datetime) -> None:
        """Move the end of a worker's leases."""
        moved = jobs.extend(tenant, ids, worker=worker, until=micros(until))
        await self._link.write(tenant, lambda t: t.ask(moved))

    async def take_cursor(
        self, engine: str, partition: Partition, *, worker: str, now: datetime, until: datetime
    ) -> int | None:
        """Lease an engine's cursor in a partition: how far it is."""
        taken = cursors.take(engine, partition, worker=worker, now=micros(now), until=micros(until))
        [rows] = await self._link.write(partition.tenant, lambda t: t.ask(taken))
        return rows[0][0] if rows else None

    async def move_cursor(self, engine: str, partition: Partition, seq: int, *, worker: str) -> bool:
        """Note how far the engine is, and give the lease back."""
        moved, gone = cursors.move(engine, partition, seq, worker=worker)
        rows, _ = await self._link.write(partition.tenant, lambda t: t.ask(moved, gone))
        return bool(rows)

    async def cursors(
        self, tenant: str, engine: str, *, partition: Partition | None = None, limit: int | None = None
    ) -> list[Cursor]:
        """Where the engine is behind, the farthest first."""
        [rows] = await self._link.ask(tenant, cursors.behind(tenant, engine, partition, limit))
        return [Cursor(Partition(tenant, owner), seq, head) for owner, seq, head in rows]

    async def drop_cursors(self, tenant: str, engine: str) -> None:
        """Begin anew: the engine is behind with everything."""
        await self._link.write(tenant, lambda t: t.ask(cursors.drop(tenant, engine)))

    async def vectors(self, partition: Partition, ords: Sequence[int]) -> list[bytes]:
        """The vectors of these versions, in the order asked."""

        async def find(connection: Connection) -> list[Row]:
            transaction = Transaction(connection, self._settings.for_(partition.tenant), begin=SNAPSHOT)
            [held] = await transaction.ask(standing.SPACE)
            space = standing.fitting(standing.held(held[0]) if held else None, self._link.space)
            [found] = await transaction.end(read.vectors_of(space, partition, ords))
            return found

        held: dict[int, bytes] = dict(await self._link.do(find))
        return [held.get(ord_, b"") for ord_ in ords]

    async def cached_vectors(self, tenant: str, names: Sequence[str]) -> tuple[list[bytes | None], int]:
        """What there is for each name, and the number of erasures so far."""
        [[erased]], rows = await self._link.ask(tenant, *vectors.cached(tenant, names))
        held: dict[str, bytes] = dict(rows)
        return [held.get(name) for name in names], int(erased)

    async def cache_vectors(
        self, tenant: str, made: Mapping[str, bytes], *, erasures: int, max_bytes: int
    ) -> None:
        """Keep vectors by names, unless something was erased since `erasures`."""
        held = await self._link.write(tenant, lambda t: vectors.cache(t, tenant, made, erasures=erasures))
        if held > max_bytes:
            await self._link.write(None, lambda t: vectors.make_room(t, max_bytes))

    async def missing(
        self, space: Space, *, limit: int, after: tuple[Partition, int] | None = None
    ) -> list[tuple[Partition, Memory]]:
        """Versions, also retired ones, that have no entry in `space` yet."""
        return await self._link.write(None, lambda t: spaces.missing(t, space, limit=limit, after=after))

    async def prepare(self, space: Space, entries: Sequence[tuple[Partition, int, Entry]]) -> None:
        """Store entries in a space that need not be in use."""
        await self._link.write(None, lambda t: spaces.prepare(t, self._settings, space, entries), alone=True)

    async def activate(self, space: Space, *, leaving: int = 0) -> int:
        """Use `space` from now on and drop the others, unless something is missing in it."""
        lacking = await self._link.write(
            None, lambda t: spaces.activate(t, self._settings, space, leaving=leaving), alone=True
        )
        if not lacking:
            self._link.space = space
        return lacking

    async def check(self) -> list[str]:
        """What is wrong, one sentence each; empty when the store is sound."""
        return check.told(await self._link.ask(None, *check.QUESTIONS))

    # ---- its parts

    def _conninfo(self) -> str:
        given = {"host": self.host, "port": self.port, "user": self.user, "dbname": self.dbname}
        secret = None if self.password is None else self.password.get_secret_value()
        return address.conninfo(self.url, **given, password=secret)

    @cached_property
    def _server(self) -> Server:
        conninfo = self._conninfo()
        return Server(
            place=address.place(conninfo, self.schema),
            conninfo=conninfo,
            least=self.min_connections,
            most=self.max_connections,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            kept=self.prepared,
        )

    @cached_property
    def _settings(self) -> Settings:
        return Settings(
            schema=self.schema,
            statement_timeout=self.statement_timeout,
            lock_timeout=self.lock_timeout,
            idle_timeout=self.statement_timeout,
        )

    @cached_property
    def _link(self) -> Link:
        return Link(self._server, self._settings, read_only=self.read_only, group=self.group)
