"""mem0's memories in Chroma: in a folder, or in a server."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from perdure.errors import ConfigurationError, Unavailable
from perdure.migrate.mem0.files import PAGE, database, in_thread
from perdure.migrate.mem0.payloads import Point
from perdure.migrate.mem0.web import server

_API: Final = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_COLUMNS: Final = "id, key, string_value, int_value, float_value, bool_value"
_NAMED: Final = """
    SELECT s.id, c.id FROM segments s JOIN collections c ON c.id = s.collection
    WHERE s.scope = 'METADATA' AND c.name = ?
"""


def points(options: Mapping[str, Any]) -> AsyncIterator[list[Point]]:
    """All of a collection, page by page.

    The folder is read as the SQLite database that it is (Chroma 0.4 to 1.x), and not with Chroma: that would write
    to it, upgrade it, and install a hundred packages.

    Args:
        options: mem0's of this store: `host` and `port`, else `path`; `collection_name`.

    Raises:
        ConfigurationError: there is no such collection, or it is in Chroma's cloud.
        StoreDamaged: a folder cannot be read.
        Unavailable: a server does not answer.
    """
    collection = options["collection_name"]
    if options.get("api_key"):
        raise ConfigurationError(
            "memories in Chroma's cloud are not read: copy the collection to a server of yours"
        )
    if options.get("host") and options.get("port"):
        return _served(f"http://{options['host']}:{options['port']}", collection)
    return in_thread(_in_folder(Path(options.get("path") or "/tmp/chroma"), collection))  # noqa: S108  # mem0's place


async def _served(url: str, collection: str) -> AsyncIterator[list[Point]]:
    async with server("Chroma", url, {}) as asked:
        try:
            held = await asked.ask("GET", f"{_API}/{quote(collection, safe='')}")
            path = f"{_API}/{held['id']}/get"
            for offset in range(0, 2**62, PAGE):
                body = {"limit": PAGE, "offset": offset, "include": ["metadatas"]}
                answer = await asked.ask("POST", path, body)
                if not answer["ids"]:
                    return
                pairs = zip(answer["ids"], answer["metadatas"], strict=True)
                yield [Point(name, payload or {}) for name, payload in pairs]
        except (LookupError, TypeError) as error:
            raise Unavailable(f"what answers at {url} is no Chroma: look at the address") from error


def _in_folder(folder: Path, collection: str) -> Iterator[list[Point]]:
    place = folder / "chroma.sqlite3"
    with database(place, "vector_store.config.path") as connection:
        found = connection.execute(_NAMED, (collection,)).fetchone()
        if found is None:
            raise ConfigurationError(f"{place} has no collection {collection!r}: look at collection_name")
        segment, id_ = found
        _refuse_unapplied(connection, segment, id_, place)
        last = 0
        while rows := connection.execute(
            "SELECT id, embedding_id FROM embeddings WHERE segment_id = ? AND id > ? ORDER BY id LIMIT ?",
            (segment, last, PAGE),
        ).fetchall():
            payloads = _payloads(connection, rows[0][0], rows[-1][0])
            yield [Point(name, payloads.get(number, {})) for number, name in rows]
            last = rows[-1][0]


def _payloads(connection: sqlite3.Connection, first: int, last: int) -> dict[int, dict[str, Any]]:
    """Metadata by the numbers of rows from the first to the last; lists stand in a table of their own."""
    made: dict[int, dict[str, Any]] = {}
    between = "WHERE id BETWEEN ? AND ? ORDER BY id"
    rows = connection.execute(f"SELECT {_COLUMNS} FROM embedding_metadata {between}", (first, last))  # noqa: S608  # names of this file
    for number, name, *values in rows:
        made.setdefault(number, {})[name] = _value(values)
    if _has(connection, "embedding_metadata_array"):
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM embedding_metadata_array {between}, key, rowid",  # noqa: S608  # likewise
            (first, last),
        )
        for (number, name), items in groupby(rows, key=lambda row: (row[0], row[1])):
            made.setdefault(number, {}).setdefault(name, [_value(values) for _, _, *values in items])
    return made


def _value(values: list[Any]) -> Any:
    text, whole, number, truth = values
    return (
        bool(truth) if truth is not None else next((v for v in (text, whole, number) if v is not None), None)
    )


def _refuse_unapplied(connection: sqlite3.Connection, segment: str, collection: str, place: Path) -> None:
    """A write goes into Chroma's log first: what was killed in between has it there alone."""
    newest = "SELECT max(seq_id) FROM embeddings_queue WHERE topic LIKE '%/' || ?"
    written = connection.execute(newest, (collection,)).fetchone()[0]
    applied = connection.execute("SELECT max(seq_id) FROM max_seq_id WHERE segment_id = ?", (segment,))
    if written is not None and _number(written) > _number(applied.fetchone()[0]):
        raise ConfigurationError(
            f"{place} has writes that Chroma has not taken in yet: list the memories once with mem0, and close it"
        )


def _number(sequence: int | bytes | None) -> int:
    """Chroma 0.4 wrote some of its sequence as bytes."""
    return int.from_bytes(sequence, "big") if isinstance(sequence, bytes) else sequence or 0


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None
