"""Connections and transactions: several statements go in one round trip, for one tenant, and are never left half done."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from psycopg import AsyncConnection, AsyncRawCursor, Error, errors
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumperUnknown, TextBinaryLoader, TextLoader

from perdure.stores.postgres import meanings

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
Row: TypeAlias = tuple[Any, ...]

NUL: Final = str.maketrans({"\x00": "\x01\x01", "\x01": "\x01\x02"})
"""PostgreSQL's texts have no NUL. What stands in its place keeps the order of texts, and is read back as it was."""


class Statement(NamedTuple):
    """SQL with `%s` for each of the values."""

    sql: str
    values: Sequence[Any] = ()
    prepare: bool = True
    """Kept by the server for the next time; not for SQL that hardly comes twice."""


BEGIN: Final = Statement("BEGIN ISOLATION LEVEL READ COMMITTED")
"""Said, since a database may have another one for its default: after a lock, what others have done is to be seen."""
SNAPSHOT: Final = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT: Final = Statement("COMMIT")
_SETTINGS: Final = (
    "SELECT set_config('search_path', %s, true), set_config('statement_timeout', %s, true), "
    "set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true), "
    "set_config('perdure.tenant', %s, true), set_config('perdure.every_tenant', %s, true), "
    "set_config('plan_cache_mode', %s, true)"
)
_INDEXED: Final = ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
"""Plans that are made while tables are small serve them when they have grown: what is written is found by indexes."""
_WRITING: Final = f"{_SETTINGS}, {_INDEXED}, pg_advisory_xact_lock_shared(%s, %s)"
LOCKS: Final = 0x50455244
"""`PERD`: the first half of the names of our advisory locks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every transaction sets for itself, so that poolers may do with connections what they like after it."""

    schema: str
    statement_timeout: float
    lock_timeout: float
    idle_timeout: float
    """Seconds for which a transaction may wait for us: then it is undone, and its locks are others'. 0: for ever."""

    def for_(self, tenant: str | None, *, writes: bool = False, kept: bool = True) -> Statement:
        """The first statement of a transaction, for a tenant's rows, or (None) for those of all.

        What `writes` waits for upkeep that has the whole store for itself (see `alone`), and that waits for it.
        Statements that are kept have one plan: none of them is better planned anew for its values.
        """
        times = map(_milliseconds, (self.statement_timeout, self.lock_timeout, self.idle_timeout))
        every = "yes" if tenant is None else ""
        plans = "force_generic_plan" if kept else "auto"
        values = (f"{quoted(self.schema)}, pg_temp", *times, tenant or "", every, plans)
        if writes:
            return Statement(_WRITING, (*values, *self.lock))
        return Statement(_SETTINGS, values)

    @property
    def alone(self) -> Statement:
        """Waits until nobody writes to the store, and keeps others from it until the end of the transaction."""
        return Statement("SELECT pg_advisory_xact_lock(%s, %s)", self.lock)

    @property
    def lock(self) -> tuple[int, int]:
        """The name of the store's lock in its database."""
        return LOCKS, zlib.crc32(self.schema.encode()) - 2**31


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1_000)) if seconds else 0)


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def array(values: Iterable[object]) -> str:
    """An array as PostgreSQL writes it, for `%s::text[]` or `%s::bigint[]`."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


async def ask(connection: Connection, statements: Sequence[Statement]) -> list[list[Row]]:
    """The rows of each statement, all of them sent in one go.

    Without `BEGIN` among them they are one transaction all the same, in which each sees what is committed by then.
    """
    cursors = [AsyncRawCursor(connection) for _ in statements]
    failed: Error | None = None
    try:
        async with connection.pipeline():
            try:
                for cursor, statement in zip(cursors, statements, strict=True):
                    await cursor.execute(
                        _numbered(statement.sql), statement.values, prepare=statement.prepare, binary=True
                    )
            except Error as error:  # told after the pipeline's end, which would log another of its own
                failed = error
    except Error as error:
        failed = failed or error
    if failed is not None:
        raise failed
    return [
        await cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else [] for cursor in cursors
    ]


@lru_cache(maxsize=1_000)
def _numbered(sql: str) -> bytes:
    """With `$1`, `$2` and so on for each `%s`, as the server wants it: psycopg itself would look for them each time."""
    first, *parts = sql.split("%s")
    return "".join([first, *(f"${n}{part}" for n, part in enumerate(parts, 1))]).encode()


async def snapshot(connection: Connection, settings: Statement, *statements: Statement) -> list[list[Row]]:
    """The rows of each statement, as they are at one moment."""
    if len(statements) == 1:
        return (await ask(connection, (settings, *statements)))[1:]
    return await Transaction(connection, settings, begin=SNAPSHOT).end(*statements)


def look(connection: Connection) -> None:
    """Notice that a connection has ended, before something is sent of which nobody would know what became of it.

    Raises:
        OperationalError: it has.
    """
    for _ in range(2):  # what the server said in parting may be there first
        connection.pgconn.consume_input()


async def at_once(connection: Connection, settings: Statement, *statements: Statement) -> None:
    """A whole transaction in one round trip: durable when this returns, and undone when one of them fails.

    The server begins and ends it by itself, so that a failure leaves nothing to be rolled back: psycopg forgets all
    statements that the server keeps when it sees a rollback.
    """
    await ask(connection, (settings, *statements))


async def scroll(
    connection: Connection, settings: Statement, statement: Statement, *, page: int
) -> AsyncGenerator[list[Row]]:
    """The rows of a statement, page by page: others have the event loop between them."""
    transaction = Transaction(connection, settings, begin=SNAPSHOT)
    declare = statement._replace(sql=f"DECLARE found NO SCROLL CURSOR FOR {statement.sql}")
    fetch = Statement(f"FETCH FORWARD {page} FROM found", prepare=False)
    _, rows = await transaction.ask(declare, fetch)
    while rows:
        yield rows
        [rows] = await transaction.ask(fetch) if len(rows) == page else [[]]
    await transaction.end()


class Transaction:
    """A transaction that is begun with the first questions, and ended with the last statements."""

    def __init__(self, connection: Connection, settings: Statement, *, begin: Statement = BEGIN) -> None:
        self.connection = connection
        self.in_doubt = False
        """Whether the end was sent and not answered: when the connection is lost then, nobody knows what became of it."""
        self._head: tuple[Statement, ...] = (begin, settings)

    async def ask(self, *statements: Statement) -> list[list[Row]]:
        """The rows of each."""
        head, self._head = self._head, ()
        return (await ask(self.connection, (*head, *statements)))[len(head) :]

    async def end(self, *statements: Statement) -> list[list[Row]]:
        """The rows of each of the last statements, after which everything is durable."""
        head, self._head = self._head, ()
        self.in_doubt = True
        try:
            found = await ask(self.connection, (*head, *statements, COMMIT))
        except Error as error:
            self.in_doubt = meanings.is_lost(error)
            raise
        self.in_doubt = False
        return found[len(head) : -1]

    async def give_up(self) -> None:
        """Undo what was done, if it was not ended."""
        if self.connection.pgconn.transaction_status != TransactionStatus.IDLE and not self.connection.closed:
            await self.connection.rollback()


def cut(connection: Connection) -> None:
    """End a connection, whoever waits for an answer on it: they get an `OperationalError`.

    Its socket is shut down, not closed, so that no other can have got its number when they notice.
    """
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as shared:
            shared.shutdown(socket.SHUT_RDWR)
    except (OSError, errors.OperationalError):  # it has ended already
        return


def prepare(connection: Connection, *, kept: bool) -> None:
    """Set a new connection up: how values travel, and whether statements are kept by the server.

    All texts and numbers go as literals of no type, so that a statement is the same one whatever its values are.
    """
    connection.prepare_threshold = 0 if kept else None
    connection.prepared_max = 300
    for kind, dumper in ((str, _Text), (int, _Whole)):
        connection.adapters.register_dumper(kind, dumper)
    for loader in (_TextLoader, _TextBinaryLoader):
        connection.adapters.register_loader("text", loader)


def plainly(text: str) -> str:
    """A text as it was before it was written; see `NUL`."""
    if "\x01" not in text:
        return text
    return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")


def unfolded(value: Any) -> Any:
    """What was read from JSON that the database made, its texts as they were before they were written."""
    if isinstance(value, str):
        return plainly(value)
    return [unfolded(part) for part in value] if isinstance(value, list) else value


class _Text(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return (obj.translate(NUL) if "\x00" in obj or "\x01" in obj else obj).encode()


class _Whole(Dumper):
    def dump(self, obj: int) -> Buffer | None:
        return b"%d" % obj


class _TextLoader(TextLoader):
    def load(self, data: Buffer) -> str:
        return plainly(bytes(data).decode())


class _TextBinaryLoader(TextBinaryLoader):
    def load(self, data: Buffer) -> str:
        return plainly(bytes(data).decode())
