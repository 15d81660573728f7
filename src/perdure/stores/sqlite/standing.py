"""How far partitions have come, in a few microseconds each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from perdure.ports import Stand
from perdure.types import Partition

_PLACE: Final = (
    "SELECT p.id, p.start, p.seq, c.write_id, c.at, "
    "(SELECT ord FROM turns WHERE partition = p.id ORDER BY ord DESC LIMIT 1) "
    "FROM partitions p LEFT JOIN changes c ON c.partition = p.id AND c.seq = p.seq "
    "WHERE p.tenant = ? AND p.owner = ?"
)
_COUNTERS: Final = (
    "SELECT (SELECT value FROM meta WHERE key = 'generation'), (SELECT value FROM meta WHERE key = 'erased')"
)


class Place(NamedTuple):
    """A partition, and how far it has come."""

    number: int
    start: int
    stand: Stand


def place(connection: sqlite3.Connection, partition: Partition) -> Place:
    """Where a partition is; one that holds nothing has the number 0, and stands where sequences begin.

    The token is of the last change and the last turn: a backup that was put back, or a copy of the file, goes on with
    the same sequence and other changes; and a turn that is imported is no step of the sequence.
    """
    generation, erasures = connection.execute(_COUNTERS).fetchone()
    row = connection.execute(_PLACE, partition).fetchone()
    if row is None:
        [floor] = connection.execute("SELECT value FROM meta WHERE key = 'floor'").fetchone()
        return Place(0, floor, Stand(head=floor, generation=generation, erasures=erasures))
    number, start, head, write, at, turn = row
    change = f"{write}/{at}"
    token = f"{change}/{turn}"
    stand = Stand(head=head, generation=generation, token=token, change=change, erasures=erasures)
    return Place(number, start, stand)


def change_at(connection: sqlite3.Connection, partition: int, seq: int) -> str:
    """`Stand.change` of an earlier change; empty when there is none."""
    found = "SELECT write_id, at FROM changes WHERE partition = ? AND seq = ?"
    row = connection.execute(found, (partition, seq)).fetchone()
    return "/".join(map(str, row or ()))


def standing(connection: sqlite3.Connection, partitions: Sequence[Partition]) -> list[Stand]:
    """How far each has come."""
    return [place(connection, partition).stand for partition in partitions]


def identity(connection: sqlite3.Connection) -> str:
    """The random name of the store."""
    [number] = connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
    return f"{number:x}"
