"""The schema's versions: numbered SQL files, each applied in one transaction by one of those who open the store."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from perdure.errors import ConfigurationError, NewerSchema, NotAStore, StoreError, StoreUnwritable
from perdure.stores.postgres.connection import Connection, Settings, Statement, Transaction, quoted
from perdure.threads import Threads

OLDEST: Final = 14
"""Of the versions of PostgreSQL that we know to do what is asked for here."""

_FOUND: Final = Statement(
    "SELECT to_regclass('meta') IS NOT NULL, (SELECT count(*) FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm')), "
    "(SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s)"
)
_VERSION: Final = Statement("SELECT value FROM meta WHERE key = 'schema'")
_STORE: Final = Statement("SELECT to_regclass('spaces') IS NOT NULL AND to_regclass('changes') IS NOT NULL")


@cache
def scripts() -> tuple[str, ...]:
    """The SQL of each version, oldest first; the first one makes schema 1."""
    files = resources.files("perdure.stores.postgres").joinpath("migrations").iterdir()
    return tuple(
        file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    )


async def upgrade(connection: Connection, settings: Settings, place: str) -> None:
    """Bring the schema to the newest version, one transaction a step.

    The version is read again under the store's lock, so that of several processes that open it at once one does each
    step and the others find it done. Who finds the newest version needs no right to change the schema.

    Raises:
        ConfigurationError: the server is too old, or its texts are not UTF-8.
        NotAStore: other tables are there.
        NewerSchema: it is a store of a newer Perdure.
        StoreUnwritable: the role may not look.
    """
    await _check_server(connection, place)
    await _read_scripts()
    while await _version(connection, settings, place) < len(scripts()):
        transaction = Transaction(connection, settings.for_(None))
        await transaction.ask(
            settings.alone, Statement(f"CREATE SCHEMA IF NOT EXISTS {quoted(settings.schema)}")
        )
        version = await _identified(transaction, settings, place)
        if version < len(scripts()):
            await connection.execute(scripts()[version].encode(), prepare=False)
            keep = "INSERT INTO meta VALUES ('schema', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            await transaction.ask(Statement(keep, (version + 1,)))
        await transaction.end()


async def examine(connection: Connection, settings: Settings, place: str) -> None:
    """Refuse what is no store of the newest schema.

    Raises:
        StoreError: there is none, or it has an older schema; else as `upgrade`.
    """
    await _check_server(connection, place)
    await _read_scripts()
    version = await _version(connection, settings, place)
    if not version:
        raise StoreError(f"there is no store in {place}: name one that is there")
    if version < len(scripts()):
        raise StoreError(
            f"{place} has schema {version}, and this Perdure reads {len(scripts())}: open it once without read_only"
        )


async def _read_scripts() -> None:
    """Files are read beside the event loop; after that they are known."""
    threads = Threads("schema", 1)
    try:
        await threads.run(scripts)
    finally:
        threads.close()


async def _check_server(connection: Connection, place: str) -> None:
    cursor = await connection.execute("SHOW server_encoding", prepare=False)
    [[encoding]] = await cursor.fetchall()
    if connection.info.server_version < OLDEST * 10_000:
        raise ConfigurationError(
            f"{place} is PostgreSQL {connection.info.server_version // 10_000}: {OLDEST} is needed"
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"{place} keeps texts as {encoding}: CREATE DATABASE ... ENCODING 'UTF8', which holds all of them"
        )


async def _version(connection: Connection, settings: Settings, place: str) -> int:
    transaction = Transaction(connection, settings.for_(None))
    version = await _identified(transaction, settings, place)
    await transaction.end()
    return version


async def _identified(transaction: Transaction, settings: Settings, place: str) -> int:
    """The schema's version; 0 when there is nothing yet."""
    [[[is_there, tables, usable]]] = await transaction.ask(_FOUND._replace(values=(settings.schema,) * 2))
    if not tables:
        return 0
    if not usable:
        raise StoreUnwritable(f"{place}: this role may not use the schema: GRANT it what it needs")
    [[[is_ours]]] = await transaction.ask(_STORE)
    if not (is_there and is_ours):
        raise NotAStore(f"{place} holds other tables: name another `schema` for the store")
    [[[version]]] = await transaction.ask(_VERSION)
    if version > len(scripts()):
        raise NewerSchema(
            f"{place} has schema {version}, this Perdure knows schemas up to {len(scripts())}: "
            "upgrade it (pip install --upgrade perdure)"
        )
    return int(version)
