"""Spaces: what entries were computed with, and which of them is in use."""

from __future__ import annotations

import sqlite3

from perdure.ports import Space
from perdure.stores.spaces import Held, fits, mismatch


def active(connection: sqlite3.Connection) -> Held | None:
    """The space in use; None when the store was never opened with one."""
    row = connection.execute("SELECT id, analyzer, model, dimensions FROM spaces WHERE active = 1").fetchone()
    return None if row is None else Held(row[0], Space(analyzer=row[1], model=row[2], dimensions=row[3]))


def number_of(connection: sqlite3.Connection, space: Space) -> int | None:
    """The number of a space, in use or being prepared."""
    row = connection.execute(
        "SELECT id FROM spaces WHERE analyzer = ? AND model IS ? AND dimensions = ? ORDER BY active DESC",
        (space.analyzer, space.model, space.dimensions),
    ).fetchone()
    return None if row is None else int(row[0])


def fitting(connection: sqlite3.Connection, asked: Space | None) -> int:
    """The number of the space in use.

    Raises:
        ModelMismatch: it is another one than we were opened with: another process has switched.
    """
    held = active(connection)
    if held is None:
        return 0
    if asked is not None and not fits(held.space, asked):
        raise mismatch(held.space, asked)
    return held.id


def adopt(connection: sqlite3.Connection, asked: Space) -> None:
    """Begin to use a space, when nothing speaks against it.

    - The store has none, or no entries: it takes this one.
    - Its entries were made without a model: those that come now have one.
    - It fits: nothing to do.

    Raises:
        ModelMismatch: none of these.
    """
    held = active(connection)
    if held is None:
        insert(connection, asked, active=True)
    elif fits(held.space, asked):
        return
    elif not _has_entries(connection, held.id) or fits(asked, held.space):
        connection.execute(
            "UPDATE spaces SET analyzer = ?, model = ?, dimensions = ? WHERE id = ?",
            (asked.analyzer, asked.model, asked.dimensions, held.id),
        )
    else:
        raise mismatch(held.space, asked)


def insert(connection: sqlite3.Connection, space: Space, *, active: bool) -> int:
    """A new space; its number."""
    return int(
        connection.execute(
            "INSERT INTO spaces (analyzer, model, dimensions, active) VALUES (?, ?, ?, ?)",
            (space.analyzer, space.model, space.dimensions, active),
        ).lastrowid
        or 0
    )


def begin_generation(connection: sqlite3.Connection) -> None:
    """Tell the indexes that hold entries in use to read them again."""
    connection.execute("UPDATE meta SET value = value + 1 WHERE key IN ('generation', 'stamp')")


def _has_entries(connection: sqlite3.Connection, number: int) -> bool:
    [found] = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE space = ?)", (number,)
    ).fetchone()
    return bool(found)
