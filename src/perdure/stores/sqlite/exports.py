"""Everything out, losslessly, and in again."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from perdure.arguments import shown
from perdure.errors import Conflict
from perdure.ids import new_id
from perdure.moments import micros
from perdure.ports import Entry, Export, Job, Key, Space
from perdure.stores.sqlite import jobs, read, rows, spaces
from perdure.stores.sqlite.commit import PUT_CHANGE, PUT_KEY, PUT_MEMORY, PUT_TURN, Shelf, put_entries
from perdure.types import Change, Memory, Partition, Turn

PAGE: Final = 500


def pages(
    connection: sqlite3.Connection,
    tenant: str,
    partitions: Sequence[Partition] | None,
    *,
    with_entries: bool,
) -> Iterator[list[Export]]:
    """Partition by partition: its turns, its log (each version before the change that began it), its keys, its jobs."""
    held_space = spaces.active(connection) if with_entries else None
    owed = jobs.listed(connection, tenant, ids=None, limit=None)
    owners = None if partitions is None else rows.to_json([p.owner for p in partitions if p.tenant == tenant])
    held = connection.execute(
        "SELECT id, tenant, owner FROM partitions WHERE tenant = ?1 "
        "AND (?2 IS NULL OR owner IN (SELECT value FROM json_each(?2))) ORDER BY owner",
        (tenant, owners),
    ).fetchall()
    for number, *names in held:
        partition = Partition(*names)
        for page in _turns(connection, number):
            yield [Export(partition, turn) for turn in page]
        for log in _log(connection, number):
            entries = _entries(connection, number, held_space.id, log) if held_space else {}
            yield [Export(partition, record, entries.get(id(record))) for record in log]
        for keys in _keys(connection, number):
            yield [Export(partition, key) for key in keys]
        yield [Export(partition, job) for job in owed if job.partition == partition]


def _turns(connection: sqlite3.Connection, partition: int) -> Iterator[list[Turn]]:
    scopes = rows.Scopes(connection)
    found = connection.execute(
        f"SELECT {rows.TURN} FROM turns WHERE partition = ? AND erased_at IS NULL ORDER BY ord", (partition,)
    )
    while page := found.fetchmany(PAGE):
        yield rows.turns(page, scopes)


def _log(connection: sqlite3.Connection, number: int) -> Iterator[list[Memory | Change]]:
    scopes = rows.Scopes(connection)
    last = 0
    while changes := read.changes(
        connection, "c.partition = ? AND c.seq > ? ORDER BY c.seq LIMIT ?", (number, last, PAGE)
    ):
        found = connection.execute(
            f"SELECT {rows.MEMORY} FROM memories WHERE partition = ? AND ord BETWEEN ? AND ?",
            (number, changes[0].seq, changes[-1].seq),
        )
        made = {memory.ord: memory for memory in rows.memories(found, scopes)}
        last = changes[-1].seq
        yield [
            record for change in changes for record in (made.get(change.seq), change) if record is not None
        ]


def _keys(connection: sqlite3.Connection, number: int) -> Iterator[list[Key]]:
    found = connection.execute(f"SELECT {rows.KEY} FROM keys WHERE partition = ? ORDER BY key", (number,))
    while page := found.fetchmany(PAGE):
        yield list(map(rows.key, page))


def _entries(
    connection: sqlite3.Connection, number: int, space: int, log: Sequence[Memory | Change]
) -> dict[int, Entry]:
    """The entries of versions, by the identities of these objects."""
    made = {record.ord: record for record in log if isinstance(record, Memory)}
    found = connection.execute(
        "SELECT ord, flags, speaker_words, date_words, words, vectors FROM entries "
        "WHERE space = ? AND partition = ? AND ord BETWEEN ? AND ?",
        (space, number, min(made, default=0), max(made, default=0)),
    )
    return {
        id(made[ord_]): Entry(
            flags=flags, speaker_words=speaker, date_words=dates, words=words, vectors=vectors
        )
        for ord_, flags, speaker, dates, words, vectors in found
        if ord_ in made
    }


def tenants(connection: sqlite3.Connection) -> list[str]:
    """All that have a partition."""
    return [name for [name] in connection.execute("SELECT DISTINCT tenant FROM partitions ORDER BY tenant")]


def restore(
    connection: sqlite3.Connection,
    records: Sequence[Export],
    space: Space | None,
) -> int:
    """Put records in that are not known yet; how many they were.

    Row numbers are given anew, in the order of the records.
    """
    space_id = spaces.fitting(connection, space)
    shelves: dict[Partition, Shelf] = {}
    new = 0
    for partition, record, entry in records:
        if partition not in shelves:
            shelves[partition] = Shelf.of(connection, partition)
        match record:
            case Turn():
                new += _restore_turn(shelves[partition], record)
            case Memory():
                new += _restore_memory(shelves[partition], record, entry, space_id)
            case Change():
                new += _restore_change(shelves[partition], record)
            case Key():
                new += _restore_key(shelves[partition], record)
            case Job():
                new += _restore_job(shelves[partition], record)
    for shelf in shelves.values():
        shelf.keep_seq()
    return new


def _restore_turn(shelf: Shelf, turn: Turn) -> bool:
    if shelf.holder("turns", turn.id) is not None:
        return False
    placed = replace(turn, session=turn.session or turn.scope.run_id or turn.id)
    shelf.connection.execute(PUT_TURN, rows.turn_row(placed, shelf.id, shelf.scope(turn.scope)))
    return True


def _restore_memory(shelf: Shelf, memory: Memory, entry: Entry | None, space: int) -> bool:
    """A version that is not known, with a change that says as much as the version does.

    No words come of a memory that was erased here. The change that an export has of it comes next, perhaps in another call: until then it has no `write_id`.
    """
    versions = shelf.connection.execute(
        "SELECT version, ord, place, retired_at, erased_at, partition "
        "FROM memories m JOIN partitions p ON p.id = m.partition "
        "WHERE m.id = ? AND p.tenant = ? ORDER BY version",
        (memory.id, shelf.partition.tenant),
    ).fetchall()
    if any(partition != shelf.id for *_, partition in versions):
        raise Conflict(
            f"the memory {shown(memory.id)} belongs to somebody else here: nothing of this page was taken in"
        )
    if any(version >= memory.version for version, *_ in versions):
        return False
    if memory.erased_at is None and any(erased_at is not None for *_, erased_at, _ in versions):
        return False
    shelf.seq += 1
    place = versions[-1][2] if versions else shelf.seq if memory.kind == "turn" else None
    scope = shelf.scope(memory.scope)
    shelf.connection.execute(
        PUT_MEMORY, rows.memory_row(replace(memory, ord=shelf.seq, place=place), shelf.id, scope)
    )
    shelf.connection.execute(
        "UPDATE memories SET retired_at = ?, erased_at = ? WHERE partition = ? AND ord = ?",
        (rows.maybe_micros(memory.retired_at), rows.maybe_micros(memory.erased_at), shelf.id, shelf.seq),
    )
    if entry is not None and space and memory.erased_at is None:
        put_entries(shelf.connection, space, shelf.id, [(shelf.seq, entry)])
    event = "UPDATE" if versions else "ADD"
    at = micros(memory.recorded_at)
    old = _end_earlier(shelf, versions[-1][1], versions[-1][3], at) if versions else None
    shelf.connection.execute(
        PUT_CHANGE, (shelf.id, shelf.seq, memory.id, event, old, shelf.seq, at, None, None, None)
    )
    return True


def _end_earlier(shelf: Shelf, ord_: int, retired_at: int | None, at: int) -> int | None:
    """The earlier version if this one took its place, rather than came after a time of none."""
    if retired_at is None:
        shelf.connection.execute(
            "UPDATE memories SET retired_at = ? WHERE partition = ? AND ord = ?", (at, shelf.id, ord_)
        )
    return ord_ if retired_at in (None, at) else None


def _restore_change(shelf: Shelf, change: Change) -> bool:
    """A line of the log.

    - A version came just before it, whose own line says less: complete that one.
    - It is known, or nothing here ended as it says: leave it.
    - It ended a version: add it.
    """
    at = micros(change.at)
    completed = shelf.connection.execute(
        "UPDATE changes SET event = ?, write_id = ?, actor = ?, reason = ? WHERE partition = ? AND memory_id = ? "
        "AND at = ? AND write_id IS NULL AND new IS NOT NULL",
        (change.event, change.write_id, change.actor, change.reason, shelf.id, change.memory_id, at),
    ).rowcount
    if completed:
        return True
    known = shelf.connection.execute(
        "SELECT 1 FROM changes WHERE memory_id = ? AND partition = ? AND event = ? AND at = ? AND write_id IS ?",
        (change.memory_id, shelf.id, change.event, at, change.write_id),
    ).fetchone()
    ended = shelf.connection.execute(
        "SELECT max(ord) FROM memories WHERE id = ? AND partition = ? AND ? IN (retired_at, erased_at)",
        (change.memory_id, shelf.id, at),
    ).fetchone()[0]
    if known or ended is None:
        return False
    shelf.seq += 1
    row = (shelf.id, shelf.seq, change.memory_id, change.event, ended, None, at)
    shelf.connection.execute(PUT_CHANGE, (*row, change.write_id, change.actor, change.reason))
    return True


def _restore_key(shelf: Shelf, key: Key) -> bool:
    """The key of a batch that is here.

    - There is such a key: it stays, unless both pass and this one is later.
    - Of what the batch did nothing is here, or something was erased: whoever guesses the words could prove them right.
    """
    find = f"SELECT {rows.KEY} FROM keys WHERE partition = ? AND key = ?"
    held = shelf.connection.execute(find, (shelf.id, key.key)).fetchone()
    if held is not None and not rows.outlasts(key, rows.key(held)):
        return False
    did = max(key.last - key.first + 1, 0)
    first, last, erased = shelf.connection.execute(
        "SELECT min(d.seq), max(d.seq), max(m.erased_at) FROM (SELECT seq FROM changes "
        "WHERE partition = ?1 AND write_id = ?2 AND event <> 'REFINE' ORDER BY seq LIMIT ?3) d "
        "LEFT JOIN memories m ON m.partition = ?1 AND m.ord = d.seq",
        (shelf.id, key.batch, did),
    ).fetchone()
    if erased is not None or (did and first is None):
        return False
    place = (shelf.seq + 1, shelf.seq) if first is None else (first, last)
    row = (shelf.id, key.key, key.batch, micros(key.at), *place, key.passing)
    shelf.connection.execute(PUT_KEY, row)
    return True


def _restore_job(shelf: Shelf, job: Job) -> bool:
    """Work that is still to be done here, which nobody has yet.

    - Its turns are not here, or were erased: there is nothing to do.
    - It is known, or a batch with its id has done more here than to bring the turns: leave it.
    - Another tenant has a job with its id: it gets one of its own.
    """
    turns = _there(shelf, job.turns)
    here = rows.to_json(turns)
    known = shelf.connection.execute(
        "SELECT 1 FROM jobs WHERE partition = ? AND (id = ? OR (kind, turns) = (?, ?)) "
        "UNION ALL SELECT 1 FROM changes c LEFT JOIN memories m ON m.partition = c.partition AND m.ord = c.new "
        "WHERE c.partition = ? AND c.write_id = ? AND NOT (c.event = 'ADD' AND m.kind IS 'turn')",
        (shelf.id, job.id, job.kind, here, shelf.id, job.id),
    ).fetchone()
    if known or not turns:
        return False
    if len(turns) < len(job.turns):  # what a model said of the others goes with them
        job = replace(job, error=None, answer=None)
    taken = shelf.connection.execute("SELECT 1 FROM jobs WHERE id = ?", (job.id,)).fetchone()
    own = replace(job, id=new_id() if taken else job.id, turns=tuple(turns), worker=None, leased_until=None)
    jobs.put(shelf.connection, [own], shelf.id)
    return True


def _there(shelf: Shelf, turns: Sequence[str]) -> list[str]:
    """Those of the turns that are in this partition, with their words."""
    found = shelf.connection.execute(
        "SELECT id FROM turns WHERE partition = ? AND erased_at IS NULL "
        "AND id IN (SELECT value FROM json_each(?))",
        (shelf.id, rows.to_json(list(turns))),
    )
    held = {name for [name] in found}
    return [name for name in turns if name in held]
