"""What a transaction writes, gathered before it is sent: rows of one table go in few statements."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from perdure.stores import rows
from perdure.stores.postgres.connection import Statement

CHUNKS: Final = (64, 16, 4, 1)
"""So many rows go in one statement: few sizes, as each is a statement that the server keeps."""

COLUMNS: Final = {
    "turns": f"{rows.TURN}, tenant",
    "memories": f"{rows.MEMORY}, partition, tenant",
    "entries": "space, partition, ord, flags, speaker_words, date_words, words, vectors, tenant",
    "changes": "partition, seq, memory_id, event, ended, made, at, write_id, actor, reason, tenant",
    "jobs": (
        "id, partition, kind, made_at, turns, options, attempts, error, answer, due_at, given_up, worker, "
        "leased_until, tenant"
    ),
    "keys": "partition, key, batch, at, first, last, passing, tenant",
}
"""By table, in the order in which `Sheet.put` takes them; the tenant, which comes last, is the sheet's."""

INSTEAD: Final = {
    "keys": (
        " ON CONFLICT (partition, key) DO UPDATE SET batch = excluded.batch, at = excluded.at, "
        "first = excluded.first, last = excluded.last, passing = excluded.passing"
    )
}
"""What becomes of a row that is there already, where that is no error."""


@dataclass(slots=True)
class Sheet:
    """New rows by table, and whatever else is to be done, in order."""

    tenant: str
    _rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    _done: list[Statement] = field(default_factory=list)

    def put(self, table: str, row: Sequence[Any]) -> None:
        """A new row of a table."""
        self._rows.setdefault(table, []).append((*row, self.tenant))

    def run(self, sql: str, *values: Any) -> None:
        """Something that comes after the rows so far."""
        self._flush()
        self._done.append(Statement(sql, values))

    def statements(self) -> list[Statement]:
        """All of it."""
        self._flush()
        return self._done

    def _flush(self) -> None:
        """Rows of several tables go in one statement: most of what a statement costs is to send it."""
        left = {table: deque(new) for table, new in self._rows.items()}
        self._rows.clear()
        while left := {table: new for table, new in left.items() if new}:
            least = min(map(len, left.values()))
            size = next(size for size in CHUNKS if size <= least)
            values = [value for new in left.values() for _ in range(size) for value in new.popleft()]
            self._done.append(Statement(_inserts(tuple(left), size), values))


@cache
def _inserts(tables: tuple[str, ...], size: int) -> str:
    *parts, last = [_insert(table, size) for table in tables]
    named = ", ".join(f"i{number} AS ({part})" for number, part in enumerate(parts))
    return f"WITH {named} {last}" if parts else last


def _insert(table: str, size: int) -> str:
    columns = COLUMNS[table]
    one = f"({', '.join(['%s'] * (columns.count(',') + 1))})"
    return f"INSERT INTO {table} ({columns}) VALUES {', '.join([one] * size)}{INSTEAD.get(table, '')}"
