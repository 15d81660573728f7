"""mem0's memories in PostgreSQL with pgvector: a table whose payloads are JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from perdure.errors import ConfigurationError, MissingExtra, Unavailable
from perdure.migrate.mem0.files import PAGE, in_thread
from perdure.migrate.mem0.payloads import Point
from perdure.options import ESCAPED, unclear


def points(options: Mapping[str, Any]) -> AsyncIterator[list[Point]]:
    """All of a collection, page by page, in one snapshot.

    Args:
        options: mem0's of this store: `connection_string`, or its parts; `collection_name`.

    Raises:
        MissingExtra: psycopg is not installed.
        ConfigurationError: there is no such table, or the role may not read it.
        Unavailable: the server does not answer, or does not let the role in.
    """
    return in_thread(_pages(options, options["collection_name"]))


def _pages(options: Mapping[str, Any], collection: str) -> Iterator[list[Point]]:
    try:
        import psycopg
        from psycopg.sql import SQL, Identifier
    except ImportError as error:
        raise MissingExtra("memories in pgvector need psycopg: pip install 'perdure[pgvector]'") from error
    address = _address(options)
    if "://" in address and unclear(address, ends="/"):
        raise ConfigurationError(
            f"the address of PostgreSQL in mem0's configuration cannot be told apart: {ESCAPED}"
        )
    try:
        with psycopg.connect(address, **_more(options)) as connection:
            connection.read_only = True
            with connection.cursor(name="memories") as cursor:
                cursor.execute(SQL("SELECT id, payload FROM {}").format(Identifier(collection)))
                while rows := cursor.fetchmany(PAGE):
                    yield [Point(str(name), _payload(payload)) for name, payload in rows]
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise ConfigurationError(
            f"the database has no table {collection!r} of mem0's: look at collection_name and dbname"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"the role may not read the table {collection!r}: GRANT SELECT, or name another user"
        ) from error
    except psycopg.ProgrammingError:  # its message may repeat a part of the address, and so a password
        raise ConfigurationError("connection_string in mem0's configuration cannot be read") from None
    except psycopg.OperationalError as error:
        raise Unavailable(
            "PostgreSQL cannot be asked: look at host, port, user and password in mem0's configuration"
        ) from error


def _address(options: Mapping[str, Any]) -> str:
    """As mem0 makes it of its parts: whoever has an odd password has escaped it for that."""
    if options.get("connection_string"):
        return str(options["connection_string"])
    user, password, host, port = (options.get(name) or "" for name in ("user", "password", "host", "port"))
    return f"postgresql://{user}:{password}@{host}:{port}/{options.get('dbname') or 'postgres'}"


def _more(options: Mapping[str, Any]) -> dict[str, Any]:
    """What goes over the address."""
    return {"sslmode": options["sslmode"]} if options.get("sslmode") else {}


def _payload(value: Any) -> Mapping[str, Any]:
    """What the column holds, also when somebody made it a text."""
    held = json.loads(value) if isinstance(value, str) else value
    return held if isinstance(held, dict) else {}
