"""Writing a batch, inside a transaction that the caller began."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from perdure.errors import Conflict
from perdure.moments import micros
from perdure.ports import Batch, Committed, Entry, Space, Write
from perdure.stores.sqlite import jobs, spaces
from perdure.stores.sqlite.rows import MEMORY, TURN, Scopes, memory_row, to_json, turn_row, turns, values
from perdure.types import Memory, Partition, Scope, Turn, session_after

DAY: Final = 86_400_000_000
"""Microseconds; so much longer than needed is a passing key kept: other processes may ask further back."""

PUT_MEMORY: Final = f"INSERT INTO memories ({MEMORY}, partition) VALUES ({values(MEMORY)}, ?)"
PUT_TURN: Final = f"INSERT INTO turns ({TURN}) VALUES ({values(TURN)})"
PUT_ENTRY: Final = (
    "INSERT OR REPLACE INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
PUT_CHANGE: Final = (
    "INSERT INTO changes (partition, seq, memory_id, event, old, new, at, write_id, actor, reason) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PUT_KEY: Final = "INSERT OR REPLACE INTO keys (partition, key, batch, at, first, last, passing) VALUES (?, ?, ?, ?, ?, ?, ?)"


def commit(connection: sqlite3.Connection, batch: Batch, space: Space | None) -> Committed:
    """Write a batch, or find that it was written before.

    Raises:
        Conflict: it contradicts what is there; the caller rolls back.
        ModelMismatch: the store has switched to another space.
    """
    space_id = spaces.fitting(connection, space)
    shelf = Shelf.of(connection, batch.partition)
    if batch.key is not None:
        earlier = _repetition(shelf, batch.key, batch.key_since)
        if earlier is not None:
            return earlier
    _refuse_changed(shelf, batch)
    first = shelf.seq + 1
    sessions = _put_turns(shelf, batch.turns)
    for write in batch.writes:
        _put_write(shelf, batch, write, space_id, sessions)
    shelf.keep_seq()
    jobs.put(connection, batch.jobs, shelf.id)
    jobs.remove(connection, batch.done, shelf.id)
    if batch.key is not None:
        row = (shelf.id, batch.key, batch.id, micros(batch.at), first, shelf.seq, batch.key_since is not None)
        connection.execute(PUT_KEY, row)
    if batch.key_since is not None:
        _forget_passed_keys(connection, micros(batch.key_since) - DAY)
    return Committed(
        batch_id=batch.id, memory_ids=tuple(write.memory_id for write in batch.writes), head=shelf.seq
    )


class Shelf:
    """A partition during a transaction: its number, its sequence, and the numbers of its scopes."""

    def __init__(self, connection: sqlite3.Connection, partition: Partition, number: int, seq: int) -> None:
        self.connection = connection
        self.partition = partition
        self.id = number
        self.seq = seq
        self._scopes: dict[Scope, int] = {}

    @classmethod
    def of(cls, connection: sqlite3.Connection, partition: Partition) -> Shelf:
        """The partition's; a new one when there was none."""
        row = connection.execute(
            "SELECT id, seq FROM partitions WHERE tenant = ? AND owner = ?", partition
        ).fetchone()
        if row is not None:
            return cls(connection, partition, *row)
        [floor] = connection.execute("SELECT value FROM meta WHERE key = 'floor'").fetchone()
        number = connection.execute(
            "INSERT INTO partitions (tenant, owner, start, seq) VALUES (?, ?, ?, ?)",
            (*partition, floor, floor),
        ).lastrowid
        return cls(connection, partition, int(number or 0), floor)

    def keep_seq(self) -> None:
        """Store how far the sequence has come, and that the partition has changed."""
        self.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'stamp'")
        self.connection.execute(
            "UPDATE partitions SET seq = ?, stamp = (SELECT value FROM meta WHERE key = 'stamp') WHERE id = ?",
            (self.seq, self.id),
        )

    def scope(self, scope: Scope) -> int:
        """The number of a combination of ids; a new one when it is new."""
        number = self._scopes.get(scope)
        if number is None:
            number = self._scopes[scope] = self._find(scope) or self._insert(scope)
        return number

    def _find(self, scope: Scope) -> int | None:
        row = self.connection.execute(
            "SELECT id FROM scopes "
            "WHERE partition = ? AND run_id IS ? AND agent_id IS ? AND app_id IS ? AND user_id IS ?",
            (self.id, scope.run_id, scope.agent_id, scope.app_id, scope.user_id),
        ).fetchone()
        return None if row is None else int(row[0])

    def _insert(self, scope: Scope) -> int:
        return int(
            self.connection.execute(
                "INSERT INTO scopes (partition, tenant, user_id, agent_id, app_id, run_id) VALUES (?, ?, ?, ?, ?, ?)",
                (self.id, scope.tenant, scope.user_id, scope.agent_id, scope.app_id, scope.run_id),
            ).lastrowid
            or 0
        )

    def holder(self, table: str, row_id: str) -> tuple[Any, ...] | None:
        """When what has this id in the tenant was erased (None: it was not); None when nothing has it."""
        found = self.connection.execute(
            f"SELECT r.erased_at FROM {table} r JOIN partitions p ON p.id = r.partition "
            "WHERE r.id = ? AND p.tenant = ? LIMIT 1",
            (row_id, self.partition.tenant),
        ).fetchone()
        return None if found is None else tuple(found)


def _repetition(shelf: Shelf, key: str, since: datetime | None) -> Committed | None:
    """The answer to the earlier batch with this key, if it counts.

    For ever when there is no `since`; else from then on, and only while all versions that it began are current.
    """
    row = shelf.connection.execute(
        "SELECT batch, at, first, last FROM keys WHERE partition = ? AND key = ?", (shelf.id, key)
    ).fetchone()
    if row is None:
        return None
    if since is not None and (row[1] < micros(since) or _has_ended(shelf, row[2], row[3])):
        return None
    ids = shelf.connection.execute(
        "SELECT memory_id FROM changes WHERE partition = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        (shelf.id, row[2], row[3]),
    )
    return Committed(batch_id=row[0], memory_ids=tuple(i for [i] in ids), head=shelf.seq, repeated=True)


def _has_ended(shelf: Shelf, first: int, last: int) -> bool:
    """Whether a version that these changes began is not current any more."""
    [ended] = shelf.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM memories WHERE partition = ? AND ord BETWEEN ? AND ? "
        "AND retired_at IS NOT NULL)",
        (shelf.id, first, last),
    ).fetchone()
    return bool(ended)


def _forget_passed_keys(connection: sqlite3.Connection, before: int) -> None:
    """Remove a few keys that nobody asks for any more: more than come, so that they do not pile up."""
    connection.execute(
        "DELETE FROM keys WHERE (partition, key) IN "
        "(SELECT partition, key FROM keys WHERE passing AND at < ? ORDER BY at LIMIT 4)",
        (before,),
    )


def _put_turns(shelf: Shelf, new: Sequence[Turn]) -> dict[str, str]:
    """Store turns, each with its session; the sessions by the turns' ids."""
    last: dict[Scope, Turn | None] = {}
    sessions: dict[str, str] = {}
    for turn in new:
        scope = shelf.scope(turn.scope)
        if turn.scope not in last:
            last[turn.scope] = _last_turn(shelf.connection, scope)
        if (holder := shelf.holder("turns", turn.id)) is not None:
            raise _taken("turn", turn.id, erased=holder[0] is not None)
        session = sessions[turn.id] = session_after(last[turn.scope], turn)
        last[turn.scope] = placed = replace(turn, session=session)
        shelf.connection.execute(PUT_TURN, turn_row(placed, shelf.id, scope))
    return sessions


def _last_turn(connection: sqlite3.Connection, scope: int) -> Turn | None:
    rows = connection.execute(f"SELECT {TURN} FROM turns WHERE scope = ? ORDER BY ord DESC LIMIT 1", (scope,))
    return next(iter(turns(rows, Scopes(connection))), None)


def _put_write(shelf: Shelf, batch: Batch, write: Write, space: int, sessions: dict[str, str]) -> None:
    """One step of the sequence.

    - `replaces`: that version ends.
    - `memory`: a version begins, with the entry that is given or the one of the version that it replaces.
    """
    shelf.seq += 1
    at = micros(batch.at)
    if write.refines is not None:
        _refine(shelf, write, space)
    if write.replaces is not None:
        retire(shelf, write.memory_id, write.replaces, at)
    if write.memory is not None:
        made = _placed(shelf, write, sessions)
        shelf.connection.execute(PUT_MEMORY, memory_row(made, shelf.id, shelf.scope(made.scope)))
        if write.entry is not None and space:
            put_entries(shelf.connection, space, shelf.id, [(shelf.seq, write.entry)])
        elif write.replaces is not None:
            _keep_entry(shelf, write.replaces)
    elif write.replaces is None and write.refines is None:
        raise Conflict(f"the change of {write.memory_id!r} neither ends nor begins a version")
    shelf.connection.execute(
        PUT_CHANGE,
        (
            shelf.id, shelf.seq, write.memory_id, write.event, write.replaces or write.refines,
            None if write.memory is None else shelf.seq, at, batch.id, write.actor, write.reason,
        ),
    )  # fmt: skip


def _refine(shelf: Shelf, write: Write, space: int) -> None:
    """Give a version that goes on another entry, salience or categories."""
    [goes_on] = shelf.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM memories WHERE partition = ? AND ord = ? AND id = ? AND retired_at IS NULL)",
        (shelf.id, write.refines, write.memory_id),
    ).fetchone()
    if goes_on and write.entry is not None and space and write.refines is not None:
        put_entries(shelf.connection, space, shelf.id, [(write.refines, write.entry)])
    if goes_on and (write.salience is not None or write.categories is not None):
        shelf.connection.execute(
            "UPDATE memories SET salience = ifnull(?, salience), categories = ifnull(?, categories) "
            "WHERE partition = ? AND ord = ?",
            (
                write.salience,
                to_json(write.categories) if write.categories else None,
                shelf.id,
                write.refines,
            ),
        )


def _refuse_changed(shelf: Shelf, batch: Batch) -> None:
    """What was derived from memories that are gone meanwhile is not stored.

    Raises:
        Conflict: one that the batch needs was deleted, or one whose words it may repeat was erased.
    """
    for ids, state in ((batch.needs, "retired_at IS NULL"), (batch.saw, "erased_at IS NULL")):
        gone = (
            ids
            and shelf.connection.execute(
                f"SELECT s.value FROM json_each(?) s WHERE NOT EXISTS (SELECT 1 FROM memories m WHERE m.id = s.value "
                f"AND m.partition = ? AND m.{state}) LIMIT 1",
                (json.dumps(list(ids)), shelf.id),
            ).fetchone()
        )
        if gone:
            raise Conflict(f"the memory {gone[0]!r} was deleted or erased meanwhile")


def _refuse_erased(shelf: Shelf, memory: Memory) -> None:
    """What was erased is not derived again.

    Raises:
        Conflict: one of the turns that the memory came from was erased.
    """
    gone = shelf.connection.execute(
        "SELECT t.id FROM json_each(?) s CROSS JOIN turns t ON t.id = s.value JOIN partitions p ON p.id = t.partition "
        "WHERE p.tenant = ? AND t.erased_at IS NOT NULL LIMIT 1",
        (json.dumps(memory.sources), shelf.partition.tenant),
    ).fetchone()
    if gone is not None:
        raise Conflict(f"the turn {gone[0]!r} was erased: nothing can be derived from it")


def retire(shelf: Shelf, memory_id: str, ord_: int, at: int) -> None:
    """End a version.

    Raises:
        Conflict: it is not the current one of this memory.
    """
    ended = shelf.connection.execute(
        "UPDATE memories SET retired_at = ? WHERE partition = ? AND ord = ? AND id = ? AND retired_at IS NULL",
        (at, shelf.id, ord_, memory_id),
    ).rowcount
    if not ended:
        raise Conflict(f"the memory {memory_id!r} was changed meanwhile: read it again, then retry")


def put_entries(
    connection: sqlite3.Connection, space: int, partition: int, entries: Sequence[tuple[int, Entry]]
) -> None:
    """Store what ranking reads of these rows."""
    connection.executemany(
        PUT_ENTRY,
        [
            (space, partition, ord_, e.flags, e.speaker_words, e.date_words, e.words, e.vectors)
            for ord_, e in entries
        ],
    )


def _placed(shelf: Shelf, write: Write, sessions: dict[str, str]) -> Memory:
    """A version as it is stored: with its row number, its place in the conversation and its session.

    Raises:
        Conflict: it begins a memory that there is, or was, or it replaces nothing while there is a current version.
    """
    memory = write.memory
    assert memory is not None
    session = sessions.get(memory.id, memory.session)
    if memory.version == 1 and write.replaces is None:
        if (holder := shelf.holder("memories", memory.id)) is not None:
            raise _taken("memory", memory.id, erased=holder[0] is not None)
        if memory.sources != (memory.id,):
            _refuse_erased(shelf, memory)
        place = shelf.seq if memory.kind == "turn" else None
    else:
        place = _place_of(shelf, write)
    return replace(memory, ord=shelf.seq, place=place, session=session)


def _place_of(shelf: Shelf, write: Write) -> int | None:
    """The place that the memory's earlier versions have."""
    row = shelf.connection.execute(
        "SELECT place, retired_at, erased_at FROM memories WHERE id = ? AND partition = ? "
        "ORDER BY version DESC LIMIT 1",
        (write.memory_id, shelf.id),
    ).fetchone()
    if row is None:
        raise Conflict(f"there is no earlier version of {write.memory_id!r}")
    place, retired_at, erased_at = row
    if erased_at is not None:
        raise _taken("memory", write.memory_id, erased=True)
    if retired_at is None:
        raise Conflict(f"the memory {write.memory_id!r} has a current version: replace that one")
    return None if place is None else int(place)


def _keep_entry(shelf: Shelf, old: int) -> None:
    """Give the new version the entry of the old one, in the space in use and in one that is being prepared."""
    for [space] in shelf.connection.execute("SELECT id FROM spaces").fetchall():
        shelf.connection.execute(
            "INSERT INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors) "
            "SELECT space, partition, ?, flags, speaker_words, date_words, words, vectors FROM entries "
            "WHERE space = ? AND partition = ? AND ord = ?",
            (shelf.seq, space, shelf.id, old),
        )


def _taken(what: str, its_id: str, *, erased: bool) -> Conflict:
    if erased:
        return Conflict(f"the {what} {its_id!r} was erased: its id cannot be used again")
    return Conflict(f"there is a {what} {its_id!r} already, or there was one")
