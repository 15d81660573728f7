"""A private database on the disk while mem0 is read: its points come in no order, and history stands elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from perdure.errors import InvalidInput
from perdure.migrate.mem0.payloads import Point, moment, plain, scope_in
from perdure.moments import micros

_SCHEMA: Final = """
    CREATE TABLE points (n INTEGER PRIMARY KEY, id TEXT UNIQUE, owner TEXT, at INTEGER, payload TEXT);
    CREATE TABLE lines (n INTEGER PRIMARY KEY, memory_id TEXT, at INTEGER, line TEXT);
"""
_SUBJECTS: Final = """
    SELECT p.id, p.owner, p.payload, l.line FROM points p LEFT JOIN lines l ON l.memory_id = p.id
    WHERE p.owner IS NOT NULL ORDER BY p.owner, p.at, p.n, l.n
"""

NOBODY: Final = "no user_id, agent_id or run_id says whose they are"
DELETED: Final = "deleted in mem0, and its history does not say whose they were"
ODD_ID: Final = "an id of more than 256 characters, or with some that cannot be printed"
TWICE: Final = "a second point with the same id"
"""Why something is left out."""


class Subject(NamedTuple):
    """All that mem0 has of one memory."""

    id: str
    payload: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]


class Spool:
    """Takes points and lines, and gives them again by owners and times; nobody else sees it, and it ends with it."""

    def __init__(self, tenant: str, unowned: Mapping[str, Any], left_out: Counter[str]) -> None:
        """Begin empty, in a temporary file that SQLite makes and removes.

        Args:
            unowned: ids for what names nobody; empty: it is left out.
            left_out: counts what is.
        """
        self._tenant = tenant
        self._unowned = unowned
        self._left_out = left_out
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")  # never committed: there is nobody to see it

    def close(self) -> None:
        """Forget all."""
        self._connection.close()

    def put_points(self, points: Sequence[Point]) -> None:
        """Take a page of points; of two with one id the first."""
        for point in points:
            payload = plain(point.payload)
            if not self._put(point.id, payload, at=moment(payload.get("created_at")), nobody=NOBODY):
                self._left_out[TWICE] += 1

    def put_lines(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take a page of lines of the history, in the order in which they were written."""
        self._connection.executemany(
            "INSERT INTO lines (memory_id, at, line) VALUES (?, ?, ?)",
            [(str(row["memory_id"]), row["near"], json.dumps(row)) for row in rows if row["memory_id"]],
        )

    def subjects(self, now: datetime) -> Iterator[list[Subject]]:
        """All memories with their lines, also those that only the history has; an owner's together, oldest first.

        Args:
            now: orders what has no time at all.
        """
        self._connection.execute("CREATE INDEX by_memory ON lines (memory_id, n)")
        self._put_deleted()
        self._connection.execute(
            "UPDATE points SET at = coalesce((SELECT min(at) FROM lines WHERE memory_id = points.id), ?) "
            "WHERE at IS NULL",
            (micros(now),),
        )
        rows = self._connection.execute(_SUBJECTS)
        for _, same in groupby(rows, key=lambda row: row[1]):
            yield from _pages(same)

    def _put_deleted(self) -> None:
        """What mem0 deleted is known by its history alone, which seldom says whose it was."""
        lost = self._connection.execute(
            "SELECT l.memory_id, l.line FROM lines l WHERE l.memory_id NOT IN (SELECT id FROM points) "
            "AND l.n = (SELECT min(n) FROM lines WHERE memory_id = l.memory_id) ORDER BY l.n"
        ).fetchall()
        for name, line in lost:
            row = json.loads(line)
            ids = {key: row[key] for key in ("user_id", "agent_id", "run_id") if row.get(key)}
            self._put(name, ids, at=None, nobody=DELETED)

    def _put(self, name: str, payload: Mapping[str, Any], *, at: datetime | None, nobody: str) -> bool:
        """Whether it is new."""
        owner, why = None, nobody
        try:
            scope = scope_in(payload, self._tenant)
            if scope is None:
                payload = {**payload, **self._unowned}
                scope = scope_in(self._unowned, self._tenant)
            owner = scope.partition.owner if scope else None
        except InvalidInput:
            why = ODD_ID
        if not 0 < len(name) <= 256 or not name.isprintable():
            owner, why = None, ODD_ID
        put = self._connection.execute(
            "INSERT OR IGNORE INTO points (id, owner, at, payload) VALUES (?, ?, ?, ?)",
            (name, owner, micros(at) if at else None, json.dumps(payload)),
        )
        if put.rowcount and owner is None:
            self._left_out[why] += 1
        return bool(put.rowcount)


def _pages(rows: Iterator[tuple[str, str, str, str | None]], size: int = 100) -> Iterator[list[Subject]]:
    """The memories of one owner from rows of which each has one line."""
    page: list[Subject] = []
    for name, same in groupby(rows, key=lambda row: row[0]):
        held = list(same)
        lines = [json.loads(line) for *_, line in held if line is not None]
        page.append(Subject(name, json.loads(held[0][2]), lines))
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
