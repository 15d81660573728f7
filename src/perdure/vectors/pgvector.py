"""Vectors in PostgreSQL with pgvector: a table for a store, in which an owner's rows are searched exactly."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeAlias, TypeVar

from psycopg import ProgrammingError, errors, sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from perdure.beside import Opened, lost, owner
from perdure.errors import ConfigurationError, PerdureError
from perdure.lanes import Lanes
from perdure.options import ESCAPED, at_least, unclear
from perdure.ports.derived import Near, Point
from perdure.types import Partition
from perdure.vectors.points import batches, changed, nearest_once
from perdure.vectors.postgreslink import UNDEFINED, Connection, Connections, Floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
Statement: TypeAlias = tuple[sql.Composed, tuple[Any, ...]]

_MARK: Final = "00000000-0000-0000-0000-000000000000"
"""The owner of the row that tells contents apart."""
_FLOATS: Final = 250_000
"""So many numbers are written at once, at most: 1 MB."""
_MOST: Final = 1 << 20
"""Pieces that are asked for at most."""
_INDEXED: Final = 2_000
"""Dimensions that pgvector's index takes at most."""
_FARTHEST: Final = 1_000
"""How far pgvector's index looks at most, before it goes on step by step."""
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (owner uuid NOT NULL, ord bigint NOT NULL, piece integer NOT NULL, "
    "vector vector({dimensions}), PRIMARY KEY (owner, ord, piece)) WITH (toast_tuple_target = 8160)"
)
"""Rows of up to 8 kB stay whole: a search reads all of an owner's."""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS {index} ON {table} USING hnsw (vector vector_ip_ops) {options}"
_MARKED: Final = (
    "INSERT INTO {table} SELECT %s, %s, 0, NULL WHERE NOT EXISTS (SELECT FROM {table} WHERE owner = %s)"
)
_CHECK: Final = "SELECT ord FROM {table} WHERE owner = %s"
_DELETE: Final = "DELETE FROM {table} WHERE owner = %s AND ord = ANY(%s::bigint[])"
_FORGET: Final = "DELETE FROM {table} WHERE owner = %s"
_INSERT: Final = "INSERT INTO {table} VALUES (%s, %s, %s, %s::real[]::vector)"
_SIZE: Final = "SELECT count(*) FROM (SELECT FROM {table} WHERE owner = %s LIMIT %s) AS held"
_NEAREST: Final = (
    "SELECT ord, -(vector <#> (SELECT %s::real[]::vector)) AS cosine FROM {table} WHERE owner = %s "
    "AND (%s::bigint[] IS NULL OR ord = ANY(%s::bigint[])) ORDER BY "
)
_EXACTLY: Final = _NEAREST + "cosine DESC LIMIT %s"
"""Ordered by what no index is in order of."""
_BY_INDEX: Final = _NEAREST + "vector <#> (SELECT %s::real[]::vector) LIMIT %s"


@dataclass(frozen=True, kw_only=True)
class PostgresVectors:
    """A piece of a text is a row, whose key begins with its owner; vectors have unit length."""

    url: SecretStr | None = field(default=None, repr=False)
    """A connection string, as `postgresql://user@host:5432/database`; what is given beside it goes over it."""
    host: str | None = None
    """The server; without it and `url`, what libpq's own variables say (`PGHOST`)."""
    port: int | None = None
    """Its port."""
    user: str | None = None
    """The role."""
    password: SecretStr | None = field(default=None, repr=False)
    """Its password."""
    dbname: str | None = None
    """The database."""
    sslmode: str | None = None
    """As libpq has it: `require`, `verify-full`, ..."""
    schema: str = "public"
    """Where tables are made; it has to be there."""
    prefix: str = "perdure"
    """What the names of all tables begin with."""
    timeout: float = 5.0
    """Seconds that one call may take, connecting apart."""
    connections: int = 10
    """At once, of one event loop."""
    hnsw: bool = False
    """Have an index over all vectors, for owners with more than `exact` of them; of up to 2,000 dimensions."""
    m: int = 16
    """Links of a vector in that index."""
    ef_construction: int = 64
    """How far the index looks when it takes a vector in."""
    max_scan_tuples: int = 100_000
    """Rows that the index looks at, at most, when few of those that are near are the owner's."""
    exact: int = 50_000
    """Owners with so many pieces are searched exactly, whatever `hnsw` says."""

    def __post_init__(self) -> None:
        """Refuse what could not work; secrets that are plain texts are hidden.

        Raises:
            ValueError: an option is out of its range.
        """
        at_least(self, timeout=0.001, connections=1, m=2, ef_construction=4, max_scan_tuples=1, exact=0)
        for name in ("url", "password"):
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, SecretStr(given))  # frozen, but not yet made
        try:
            _ = self._options
        except ProgrammingError as error:
            raise ValueError("url is no connection string of PostgreSQL") from error
        if self.url is not None and unclear(self.url.get_secret_value(), ends="/"):
            raise ValueError(f"url cannot be told apart: {ESCAPED}, or give `password` beside it")

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        options = self._options
        place = f"{options.get('host', 'localhost')}:{options.get('port', 5432)}"
        return f"pgvector at {place}/{options.get('dbname', '')}"

    async def open(self, namespace: str, dimensions: int) -> str:
        """Make the table, if there is none; find the row that tells contents apart, or leave one."""
        place = self._named(namespace)
        made = (_TABLE, _INDEX) if self.hnsw and dimensions <= _INDEXED else (_TABLE,)
        index = place[:55] + "_hnsw"
        options = sql.SQL("WITH (m = {}, ef_construction = {})").format(
            sql.Literal(self.m), sql.Literal(self.ef_construction)
        )

        async def work(connection: Connection) -> int:
            await self._extend(connection)
            async with connection.transaction():
                lock = int.from_bytes(blake2b(place.encode(), digest_size=7).digest(), "big")
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
                for statement in made:
                    await connection.execute(
                        sql.SQL(statement).format(
                            table=self._table(place),
                            dimensions=sql.Literal(dimensions),
                            index=sql.Identifier(index),
                            options=options,
                        )
                    )
                values = (_MARK, secrets.randbits(62), _MARK)
                await connection.execute(self._sql(_MARKED, place), values)
                found = await connection.execute(self._sql(_CHECK, place), (_MARK,))
                row = await found.fetchone()
                assert row is not None
                return int(row[0])

        self._open.place, self._open.contents = place, str(await self._run(work))
        return self._open.contents

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, and remove what they replace and what is dead, at once."""
        if not (ords := changed(points, dead)):
            return
        whose = owner(partition)

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await self._asked(connection, (self._sql(_DELETE), (whose, ords)))
                cursor = connection.cursor()
                for batch in batches(points, _FLOATS):
                    rows = [(whose, ord_, number, Floats(vector)) for ord_, number, vector in batch]
                    await cursor.executemany(self._sql(_INSERT), rows)

        await self._run(work)

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest, exactly unless the owner has many and there is an index."""
        whose, asked, wanted = owner(partition), Floats(vector), None if among is None else list(among)

        async def work(connection: Connection) -> list[Near]:
            indexed = self.hnsw and await self._is_large(connection, whose)

            async def ask(count: int) -> list[tuple[int, float]]:
                if not indexed:
                    exactly = (self._sql(_EXACTLY), (asked, whose, wanted, wanted, count))
                    [rows] = await self._asked(connection, exactly)
                else:
                    by_index = (self._sql(_BY_INDEX), (asked, whose, wanted, wanted, asked, count))
                    async with connection.transaction():
                        _, rows = await self._asked(connection, self._look_far(count), by_index)
                return [(int(ord_), float(cosine)) for ord_, cosine in rows]

            return await nearest_once(ask, limit=limit, most=_MOST)

        return await self._run(work)

    async def held(self, partition: Partition) -> int:
        """How many rows the owner has."""

        async def work(connection: Connection) -> int:
            [[(size,)]] = await self._asked(connection, (self._sql(_SIZE), (owner(partition), None)))
            return int(size)

        return await self._run(work)

    async def forget(self, partition: Partition) -> None:
        """Remove the owner's rows."""

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await self._asked(connection, (self._sql(_FORGET), (owner(partition),)))

        await self._run(work)

    async def drop(self, namespace: str) -> None:
        """Remove the table."""
        statement = self._sql("DROP TABLE IF EXISTS {table}", self._named(namespace))

        async def work(connection: Connection) -> None:
            await connection.execute(statement)

        await self._run(work)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lanes.aclose()

    async def _extend(self, connection: Connection) -> None:
        """Be sure that the database has the extension.

        Raises:
            ConfigurationError: it has not, and this role may not make it.
        """
        found = await connection.execute("SELECT FROM pg_extension WHERE extname = 'vector'")
        if await found.fetchone() is not None:
            return
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except (
            errors.InsufficientPrivilege,
            errors.UndefinedFile,
            errors.FeatureNotSupported,
        ) as error:  # for rights, or not installed on the server
            raise ConfigurationError(
                f"{self.name} has no pgvector: install it on the server, and have an administrator run CREATE EXTENSION "
                "vector in this database"
            ) from error

    async def _asked(self, connection: Connection, *statements: Statement) -> list[list[tuple[Any, ...]]]:
        """The rows of each, all in one round trip.

        Raises:
            Unavailable: the contents that were opened are lost.
        """
        check = (self._sql(_CHECK), (_MARK,))
        async with connection.pipeline():
            cursors = [
                await connection.execute(*statement, binary=True) for statement in (check, *statements)
            ]
        held, *found = [await cursor.fetchall() if cursor.description else [] for cursor in cursors]
        if [str(contents) for (contents,) in held] != [self._open.contents]:
            raise lost(self.name)
        return found

    async def _is_large(self, connection: Connection, whose: str) -> bool:
        [[(size,)]] = await self._asked(connection, (self._sql(_SIZE), (whose, self.exact + 1)))
        return bool(size > self.exact)

    def _look_far(self, count: int) -> Statement:
        """Has the index go on until it has found as many as are wanted, until the end of the transaction."""
        return sql.SQL(
            "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'strict_order', true), "
            "set_config('hnsw.max_scan_tuples', %s, true)"
        ).format(), (str(min(_FARTHEST, 2 * count)), str(self.max_scan_tuples))

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connections = await self._lanes.client()
        try:
            return await connections.run(work)
        except PerdureError as error:
            if getattr(error.__cause__, "sqlstate", None) == UNDEFINED:
                raise lost(self.name) from error
            raise

    def _sql(self, statement: LiteralString, place: str | None = None) -> sql.Composed:
        return sql.SQL(statement).format(table=self._table(self._open.place if place is None else place))

    def _table(self, place: str) -> sql.Identifier:
        return sql.Identifier(self.schema, place)

    def _named(self, namespace: str) -> str:
        """A table's name; those of PostgreSQL have 63 letters at most."""
        return f"{self.prefix[:40]}_{blake2b(namespace.encode(), digest_size=10).hexdigest()}"

    @cached_property
    def _options(self) -> dict[str, Any]:
        """What libpq is told."""
        told = conninfo_to_dict(self.url.get_secret_value()) if self.url is not None else {}
        beside = {name: getattr(self, name) for name in ("host", "port", "user", "dbname", "sslmode")}
        if self.password is not None:
            beside["password"] = self.password.get_secret_value()
        return {**told, **{name: value for name, value in beside.items() if value is not None}}

    @cached_property
    def _open(self) -> Opened:
        return Opened()

    @cached_property
    def _lanes(self) -> Lanes[Connections]:
        return Lanes(self._connections, Connections.aclose, subject=self.name)

    def _connections(self) -> Connections:
        return Connections(name=self.name, options=self._options, most=self.connections, timeout=self.timeout)
