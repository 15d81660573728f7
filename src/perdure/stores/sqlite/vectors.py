"""Vectors of any texts, kept so that a service is not asked for them again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

SPARED = 0.9
"""Of the bytes allowed, this share is left when the oldest had to go: so that they do not have to each time."""


def cached(
    connection: sqlite3.Connection, tenant: str, names: Sequence[str]
) -> tuple[list[bytes | None], int]:
    """What there is for each name, and the number of erasures so far."""
    [erased] = connection.execute("SELECT value FROM meta WHERE key = 'erased'").fetchone()
    held = dict(
        connection.execute(
            "SELECT v.name, v.vector FROM json_each(?) n CROSS JOIN vectors v ON v.tenant = ? AND v.name = n.value",
            (json.dumps(list(names)), tenant),
        )
    )
    return [held.get(name) for name in names], int(erased)


def cache(
    connection: sqlite3.Connection,
    tenant: str,
    vectors: Mapping[str, bytes],
    *,
    erasures: int,
    max_bytes: int,
) -> None:
    """Keep vectors, unless something was erased since they were made: one of them may be of those words."""
    [erased] = connection.execute("SELECT value FROM meta WHERE key = 'erased'").fetchone()
    if erased != erasures:
        return
    new = 0
    for name, vector in vectors.items():
        row = (tenant, name, vector)
        sql = "INSERT INTO vectors (tenant, name, vector) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        new += len(vector) * connection.execute(sql, row).rowcount
    if _count(connection, new) > max_bytes:
        _make_room(connection, int(SPARED * max_bytes))


def forget(connection: sqlite3.Connection, tenant: str) -> None:
    """Remove all of a tenant's: they are not told apart by whose words they are of."""
    [held] = connection.execute(
        "SELECT ifnull(sum(length(vector)), 0) FROM vectors WHERE tenant = ?", (tenant,)
    ).fetchone()
    connection.execute("DELETE FROM vectors WHERE tenant = ?", (tenant,))
    _count(connection, -held)


def size(connection: sqlite3.Connection) -> int:
    """The bytes that all vectors take."""
    [held] = connection.execute("SELECT value FROM meta WHERE key = 'vector_bytes'").fetchone()
    return int(held)


def _make_room(connection: sqlite3.Connection, most: int) -> None:
    """Let the oldest go until no more than so many bytes are left."""
    held, last, gone = size(connection), 0, 0
    for number, length in connection.execute("SELECT id, length(vector) FROM vectors ORDER BY id"):
        if held - gone <= most:
            break
        last, gone = number, gone + length
    connection.execute("DELETE FROM vectors WHERE id <= ?", (last,))
    _count(connection, -gone)


def _count(connection: sqlite3.Connection, more: int) -> int:
    """The bytes that all vectors take, so many more than before."""
    connection.execute("UPDATE meta SET value = value + ? WHERE key = 'vector_bytes'", (more,))
    return size(connection)
