"""Making entries again in another space, beside those in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from perdure.ports import Entry, Space
from perdure.stores.sqlite import rows, spaces
from perdure.stores.sqlite.standing import place
from perdure.types import Memory, Partition

_MISSING: Final = (
    "FROM partitions p CROSS JOIN memories m ON m.partition = p.id "
    "LEFT JOIN entries e ON e.space = :space AND e.partition = m.partition AND e.ord = m.ord "
    "WHERE m.erased_at IS NULL "  # retired ones as well: `known_at` asks for them
    "AND (e.ord IS NULL OR (:vectors AND length(e.vectors) = 0))"
)
_BEHIND: Final = (
    "AND p.id >= :partition AND (p.id > :partition OR m.ord > :ord) ORDER BY p.id, m.ord LIMIT :limit"
)


def missing(
    connection: sqlite3.Connection, space: Space, *, limit: int, after: tuple[Partition, int] | None
) -> list[tuple[Partition, Memory]]:
    """Versions without an entry in `space`, or without vectors when it has a model, by partition and `ord`."""
    partition, ord_ = (place(connection, after[0]).number, after[1]) if after else (0, 0)
    found = connection.execute(
        f"SELECT p.tenant, p.owner, {rows.prefixed(rows.MEMORY, 'm')} {_MISSING} {_BEHIND}",
        {
            "space": spaces.number_of(connection, space),
            "vectors": space.model is not None,
            "limit": limit,
            "partition": partition,
            "ord": ord_,
        },
    ).fetchall()
    memories = rows.memories((row[2:] for row in found), rows.Scopes(connection))
    return [(Partition(*row[:2]), memory) for row, memory in zip(found, memories, strict=True)]


def prepare(
    connection: sqlite3.Connection, space: Space, entries: Sequence[tuple[Partition, int, Entry]]
) -> None:
    """Store entries in a space that need not be in use; what was erased meanwhile gets none."""
    number = spaces.number_of(connection, space) or spaces.insert(connection, space, active=False)
    if (in_use := spaces.active(connection)) is not None and in_use.id == number:
        spaces.begin_generation(connection)
    connection.executemany(
        "INSERT OR REPLACE INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors) "
        "SELECT ?, m.partition, m.ord, ?, ?, ?, ?, ? FROM partitions p JOIN memories m ON m.partition = p.id "
        "WHERE p.tenant = ? AND p.owner = ? AND m.ord = ? AND m.erased_at IS NULL",
        [
            (number, e.flags, e.speaker_words, e.date_words, e.words, e.vectors, *partition, ord_)
            for partition, ord_, e in entries
        ],
    )


_KEEP_WORDS: Final = (
    "INSERT INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors) "
    "SELECT :new, old.partition, old.ord, old.flags, old.speaker_words, old.date_words, old.words, x'' "
    "FROM entries old LEFT JOIN entries e ON e.space = :new AND e.partition = old.partition AND e.ord = old.ord "
    "WHERE old.space = :old AND e.ord IS NULL"
)


def activate(connection: sqlite3.Connection, space: Space, *, leaving: int) -> int:
    """Use `space` from now on and drop all others, unless more than `leaving` is missing in it: then, how much."""
    number = spaces.number_of(connection, space)
    [lacking] = connection.execute(
        f"SELECT count(*) {_MISSING}",
        {"space": number, "vectors": space.model is not None},
    ).fetchone()
    in_use = spaces.active(connection)
    same_words = in_use is not None and in_use.space.analyzer == space.analyzer
    if lacking > (leaving if same_words else 0):
        return int(lacking)
    number = number or spaces.insert(connection, space, active=False)
    if in_use is None or in_use.id != number:
        if in_use is not None and lacking:
            connection.execute(_KEEP_WORDS, {"new": number, "old": in_use.id})
        connection.execute("UPDATE spaces SET active = (id = ?)", (number,))
        spaces.begin_generation(connection)
    for [other] in connection.execute("SELECT id FROM spaces WHERE id <> ?", (number,)).fetchall():
        connection.execute("DELETE FROM entries WHERE space = ?", (other,))
        connection.execute("DELETE FROM spaces WHERE id = ?", (other,))
    return 0
