"""Relations in Neo4j: names are nodes, and what facts state between them are relationships, in one database for all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction
from neo4j.exceptions import ClientError, ConstraintError, DriverError, Neo4jError
from neo4j.exceptions import ConfigurationError as BadOptions
from pydantic import SecretStr

from perdure.beside import Opened, owner
from perdure.errors import ConfigurationError, PerdureError, Unavailable
from perdure.graphs.rows import row
from perdure.lanes import Lanes
from perdure.options import at_least, hide
from perdure.ports.derived import Stated
from perdure.types import Partition

T = TypeVar("T")

SCHEMES: Final = ("neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://")
_AT_ONCE: Final = 10_000
"""Nodes that are removed in one transaction."""
_SCHEMA: Final = (
    "CREATE CONSTRAINT {label}_name IF NOT EXISTS FOR (n:{label}Name) REQUIRE (n.scope, n.key) IS UNIQUE",
    "CREATE CONSTRAINT {label}_place IF NOT EXISTS FOR (p:{label}Place) REQUIRE p.place IS UNIQUE",
    "CREATE INDEX {label}_ord IF NOT EXISTS FOR ()-[s:{label}States]-() ON (s.scope, s.ord)",
)
_OPEN: Final = "MERGE (p:{label}Place {{place: $place}}) ON CREATE SET p.contents = $new RETURN p.contents"
_CHECK: Final = "MATCH (p:{label}Place {{place: $place}}) RETURN p.contents"
_ENDS: Final = (
    "MATCH (a:{label}Name)-[s:{label}States]->(b:{label}Name) WHERE s.scope = $scope AND s.ord IN $ords "
    "RETURN a.key, b.key"
)
_REMOVE: Final = "MATCH (:{label}Name)-[s:{label}States]->(:{label}Name) WHERE s.scope = $scope AND s.ord IN $ords DELETE s"
_SWEEP: Final = "MATCH (n:{label}Name) WHERE n.scope = $scope AND n.key IN $keys AND NOT (n)--() DELETE n"
_PUT: Final = (
    "UNWIND $rows AS row MERGE (a:{label}Name {{scope: $scope, key: row[1]}}) "
    "MERGE (b:{label}Name {{scope: $scope, key: row[4]}}) CREATE (a)-[:{label}States {{scope: $scope, ord: row[0], "
    "subject: row[2], relation: row[3], object: row[5]}}]->(b)"
)
_AROUND: Final = (
    "MATCH (a:{label}Name)-[s:{label}States]-(b:{label}Name) WHERE a.scope = $scope AND a.key IN $keys "
    "RETURN DISTINCT s.ord, b.key ORDER BY s.ord DESC LIMIT $most"
)
_FORGET: Final = (
    "MATCH (n:{label}Name) WHERE n.scope = $scope WITH n LIMIT $most DETACH DELETE n RETURN count(*)"
)
_DROP: Final = "MATCH (n:{label}Name) WHERE n.scope STARTS WITH $scope WITH n LIMIT $most DETACH DELETE n RETURN count(*)"
_CLOSE: Final = "MATCH (p:{label}Place {{place: $place}}) DELETE p"


@dataclass(frozen=True, kw_only=True)
class Neo4jGraph:
    """A name is a node of its owner's, by its folded spelling; values are parameters, never parts of a query.

    Neo4j can be told to log queries with their parameters (`db.logs.query.parameter_logging_enabled`), where words would
    outlive an erasure.
    """

    url: str = "neo4j://localhost:7687"
    """Where it is: `neo4j://`, `neo4j+s://` (TLS), `bolt://` and their like."""
    username: str = "neo4j"
    """The user."""
    password: SecretStr | None = field(default=None, repr=False)
    """The user's password; without one, nobody logs in."""
    database: str | None = None
    """The database; without it, the user's own."""
    prefix: str = "Perdure"
    """What labels and types begin with: letters, digits and `_`."""
    timeout: float = 5.0
    """Seconds that one call may take, connecting included."""
    connections: int = 10
    """At once, of one event loop."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a password that is a plain text is hidden.

        Raises:
            ValueError: an option is out of its range.
        """
        if not self.url.startswith(SCHEMES) or "@" in self.url:
            raise ValueError(f"url has to begin with one of {', '.join(SCHEMES)}, and holds no user")
        if not self.prefix.isascii() or not self.prefix.isidentifier():
            raise ValueError("prefix may have letters, digits and _, and begins with no digit")
        at_least(self, timeout=0.001, connections=1)
        hide(self, "password")

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        return f"Neo4j at {urlsplit(self.url).netloc}"

    async def open(self, namespace: str, dimensions: int) -> str:  # noqa: ARG002  # it holds no vectors
        """Have constraints and indexes; find the node that tells contents apart, or leave one."""
        for statement in _SCHEMA:
            await self._alone(statement)

        async def opened(transaction: AsyncManagedTransaction) -> str:
            new = secrets.token_hex(8)
            [[contents]] = await self._rows(transaction, _OPEN, place=namespace, new=new)
            return str(contents)

        contents = await self._transaction(opened)
        self._open.place, self._open.contents = namespace, contents
        return contents

    async def put_relations(
        self, partition: Partition, stated: Sequence[Stated], dead: Sequence[int]
    ) -> None:
        """Remove what is replaced or dead, with names that nothing is stated of any more; then take relations in."""
        scope = self._scope(partition)
        gone = list(dict.fromkeys([*dead, *(one.ord for one in stated)]))

        async def put(transaction: AsyncManagedTransaction) -> None:
            await self._check(transaction)
            if ends := await self._rows(transaction, _ENDS, scope=scope, ords=gone):
                keys = list(dict.fromkeys(key for pair in ends for key in pair))
                await self._rows(transaction, _REMOVE, scope=scope, ords=gone)
                await self._rows(transaction, _SWEEP, scope=scope, keys=keys)
            if stated:
                await self._rows(transaction, _PUT, scope=scope, rows=[row(one) for one in stated])

        if gone:
            await self._transaction(put)

    async def around(
        self, partition: Partition, names: Sequence[str], *, depth: int, limit: int
    ) -> list[int]:
        """Step by step from the names; of a step, the latest first."""
        scope = self._scope(partition)

        async def found(transaction: AsyncManagedTransaction) -> list[int]:
            await self._check(transaction)
            reached, ords, ring = set(names), dict[int, None](), list(names)
            for _ in range(depth):
                if not ring or len(ords) >= limit:
                    break
                step = await self._rows(transaction, _AROUND, scope=scope, keys=ring, most=limit)
                ords |= dict.fromkeys(int(ord_) for ord_, _ in step)
                ring = list({str(key) for _, key in step} - reached)
                reached |= set(ring)
            return list(ords)[:limit]

        return await self._transaction(found, reads=True)

    async def forget(self, partition: Partition) -> None:
        """Remove the owner's names."""
        await self._transaction(self._check)
        await self._empty(_FORGET, self._scope(partition))

    async def drop(self, namespace: str) -> None:
        """Remove all names of the namespace, after the node that tells contents apart."""

        async def closed(transaction: AsyncManagedTransaction) -> None:
            await self._rows(transaction, _CLOSE, place=namespace)

        await self._transaction(closed)
        await self._empty(_DROP, f"{namespace}/")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lanes.aclose()

    async def _empty(self, statement: str, scope: str) -> None:
        """Remove nodes, so many in a transaction that it stays small."""

        async def some(transaction: AsyncManagedTransaction) -> int:
            [[count]] = await self._rows(transaction, statement, scope=scope, most=_AT_ONCE)
            return int(count)

        while await self._transaction(some) == _AT_ONCE:
            pass

    async def _check(self, transaction: AsyncManagedTransaction) -> None:
        """Be sure that the contents are those that were opened.

        Raises:
            Unavailable: they are lost.
        """
        held = await self._rows(transaction, _CHECK, place=self._open.place)
        if held != [[self._open.contents]]:
            raise Unavailable(f"{self.name} has lost what it held: it is told again")

    async def _rows(self, transaction: AsyncManagedTransaction, statement: str, **values: Any) -> list[Any]:
        answer = await transaction.run(self._cypher(statement), values)
        return [list(record) async for record in answer]

    async def _transaction(
        self, work: Callable[[AsyncManagedTransaction], Awaitable[T]], *, reads: bool = False
    ) -> T:
        """The result of work in a transaction, which may be done again; raises as `_asked` does."""

        async def done(driver: AsyncDriver) -> T:
            async with driver.session(database=self.database) as session:
                return await (session.execute_read(work) if reads else session.execute_write(work))

        return await self._asked(done)

    async def _alone(self, statement: str) -> None:
        """Run what may be in no transaction with others."""

        async def done(driver: AsyncDriver) -> None:
            async with driver.session(database=self.database) as session:
                await (await session.run(self._cypher(statement))).consume()

        await self._asked(done)

    async def _asked(self, question: Callable[[AsyncDriver], Awaitable[T]]) -> T:
        """What Neo4j answers.

        Raises:
            Unavailable: not now.
            ConfigurationError: not with this configuration.
        """
        try:
            async with asyncio.timeout(self.timeout):
                return await question(await self._lanes.client())
        except (Neo4jError, DriverError, OSError) as error:  # a time-out is an OSError
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> PerdureError:
        code = getattr(error, "code", None) or type(error).__name__
        if isinstance(error, (ClientError, BadOptions)) and not isinstance(error, ConstraintError):
            return ConfigurationError(
                f"{self.name} refuses us ({code}): mend url, username, password or database"
            )
        return Unavailable(f"{self.name} cannot be had ({code})")

    def _cypher(self, statement: str) -> Any:
        """A statement with our labels: the prefix was looked at, and all else is a parameter."""
        return statement.format(label=self.prefix)

    def _scope(self, partition: Partition) -> str:
        """A partition of a namespace, always the same; names of users are no part of it."""
        return f"{self._open.place}/{owner(partition)}"

    def _driver(self) -> AsyncDriver:
        secret = None if self.password is None else (self.username, self.password.get_secret_value())
        return AsyncGraphDatabase.driver(
            self.url,
            auth=secret,
            connection_timeout=self.timeout,
            connection_acquisition_timeout=self.timeout,
            max_connection_pool_size=self.connections,
            max_transaction_retry_time=self.timeout,
            telemetry_disabled=True,
        )

    @cached_property
    def _open(self) -> Opened:
        return Opened()

    @cached_property
    def _lanes(self) -> Lanes[AsyncDriver]:
        return Lanes(self._driver, AsyncDriver.close, subject=self.name)
