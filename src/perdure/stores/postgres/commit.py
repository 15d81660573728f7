"""What a batch changes, decided from what is known under the locks of its partition; the writing comes after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from perdure.errors import Conflict
from perdure.moments import EPOCH, micros
from perdure.ports import Batch, Committed, Entry, Write
from perdure.stores import rows
from perdure.stores.postgres.connection import array
from perdure.stores.postgres.sheet import Sheet
from perdure.types import Memory, Partition, Scope, Turn, session_after

DAY: Final = 86_400_000_000
"""Microseconds; so much longer than needed is a passing key kept: other processes may ask further back."""

FORGET_KEYS: Final = (
    "DELETE FROM keys WHERE (partition, key) IN (SELECT partition, key FROM keys WHERE tenant = %s AND passing "
    "AND at < %s ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED)"
)
KEEP_SEQ: Final = "UPDATE partitions SET seq = %s WHERE id = %s"
KEEP_SEQS: Final = "UPDATE partitions SET seq = w.seq FROM unnest(%s::bigint[], %s::bigint[]) w (id, seq) WHERE partitions.id = w.id"
RETIRE: Final = "UPDATE memories SET retired_at = %s WHERE partition = %s AND ord = %s"
REFINE: Final = (
    "UPDATE memories SET salience = coalesce(%s, salience), categories = coalesce(%s, categories) "
    "WHERE partition = %s AND ord = %s"
)
PUT_ENTRY: Final = (
    "INSERT INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors, tenant) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (space, partition, ord) DO UPDATE SET "
    "flags = excluded.flags, speaker_words = excluded.speaker_words, date_words = excluded.date_words, "
    "words = excluded.words, vectors = excluded.vectors"
)
KEEP_ENTRIES: Final = (
    "INSERT INTO entries (space, partition, ord, flags, speaker_words, date_words, words, vectors, tenant) "
    "SELECT space, partition, %s, flags, speaker_words, date_words, words, vectors, tenant FROM entries "
    "WHERE space IN (SELECT id FROM spaces) AND partition = %s AND ord = %s"
)


@dataclass(slots=True)
class Version:
    """One version of a memory, as far as it decides what may be done."""

    partition: int
    ord: int
    version: int
    place: int | None
    retired: bool = False
    erased: bool = False


class Key(NamedTuple):
    """An idempotency key, and what the batch that had it did."""

    batch: str
    at: int
    first: int
    last: int
    passing: bool
    ended: bool
    """Whether a version that it began is not current any more."""
    memory_ids: Sequence[str]


@dataclass(slots=True)
class Shelf:
    """A partition whose lock we hold."""

    number: int
    seq: int
    new: bool = False
    """Made in this transaction: it goes again when nothing is stored in it."""


@dataclass(slots=True)
class Known:
    """What the database told under the locks, or will prove under them, and what was decided since then."""

    space: int
    """Where entries go; 0: nowhere."""
    shelves: dict[Partition, Shelf] = field(default_factory=dict)
    scopes: dict[Scope, int] = field(default_factory=dict)
    last: dict[Scope, Turn] = field(default_factory=dict)
    """The last turn of a scope, as far as it decides where a session goes on."""
    turns: dict[str, bool] = field(default_factory=dict)
    """Those of the turns asked for that there are, and whether they were erased."""
    versions: dict[str, list[Version]] = field(default_factory=dict)
    """Of the memories asked for, in ascending order."""
    jobs: dict[str, int] = field(default_factory=dict)
    """Those of the jobs asked for that there are, with their partitions."""
    keys: dict[tuple[Partition, str], Key] = field(default_factory=dict)
    new_keys: dict[tuple[Partition, str], Key] = field(default_factory=dict)


def last_turn(scope: Scope, said_at: int, session: str | None) -> Turn:
    """What a session needs to know of the turn before."""
    said = rows.moment(said_at)
    return Turn(id="", scope=scope, role="", text="", said_at=said, recorded_at=EPOCH, session=session)


def decide(known: Known, batch: Batch, sheet: Sheet) -> Committed:
    """Put what a batch changes onto the sheet, or find that it was written before.

    Raises:
        Conflict: it contradicts what is there; nothing was put onto the sheet.
    """
    shelf = known.shelves[batch.partition]
    if batch.key is not None and (earlier := known.keys.get((batch.partition, batch.key))) is not None:
        since = batch.key_since
        if since is None or (earlier.at >= micros(since) and not earlier.ended):
            return Committed(
                batch_id=earlier.batch, memory_ids=tuple(earlier.memory_ids), head=shelf.seq, repeated=True
            )
    _refuse(known, shelf, batch)
    shelf.new = False
    first = shelf.seq + 1
    sessions = _put_turns(known, shelf, batch.turns, sheet)
    for write in batch.writes:
        _put_write(known, batch, write, sheet, sessions=sessions)
    _put_jobs(known, shelf, batch, sheet)
    memory_ids = tuple(write.memory_id for write in batch.writes)
    if batch.key is not None:
        passing = batch.key_since is not None
        key = Key(batch.id, micros(batch.at), first, shelf.seq, passing, False, memory_ids)
        known.keys[batch.partition, batch.key] = known.new_keys[batch.partition, batch.key] = key
    return Committed(batch_id=batch.id, memory_ids=memory_ids, head=shelf.seq)


# ---- what speaks against it


def _refuse(known: Known, shelf: Shelf, batch: Batch) -> None:
    """Refuse a batch that contradicts what is there, or itself."""
    _refuse_gone(known, shelf, batch)
    jobs = {job for job, partition in known.jobs.items() if partition == shelf.number}
    for done in batch.done:
        if done not in jobs:
            raise Conflict(f"the job {done!r} was done by somebody else meanwhile")
        jobs.remove(done)
    turns: set[str] = set()
    for turn in batch.turns:
        if turn.id in known.turns or turn.id in turns:
            raise _taken("turn", turn.id, erased=known.turns.get(turn.id, False))
        turns.add(turn.id)
    changed = _Changed(known, shelf)
    for write in batch.writes:
        changed.by(write)


def _refuse_gone(known: Known, shelf: Shelf, batch: Batch) -> None:
    """What was derived from memories that are gone meanwhile is not stored."""
    for ids, is_there in ((batch.needs, _is_current), (batch.saw, _is_unerased)):
        for memory_id in ids:
            held = known.versions.get(memory_id, ())
            if not any(v.partition == shelf.number and is_there(v) for v in held):
                raise Conflict(f"the memory {memory_id!r} was deleted or erased meanwhile")


def _is_current(version: Version) -> bool:
    return not version.retired


def _is_unerased(version: Version) -> bool:
    return not version.erased


class _Changed:
    """The versions as they are after the writes of a batch so far; nothing of it is kept."""

    def __init__(self, known: Known, shelf: Shelf) -> None:
        self._known = known
        self._shelf = shelf
        self._versions: dict[str, list[Version]] = {}
        self._seq = shelf.seq

    def by(self, write: Write) -> None:
        """Take a write in.

        Raises:
            Conflict: it changes what is not there, or not current, or begins what there is already.
        """
        self._seq += 1
        held = self._of(write.memory_id)
        if write.replaces is not None:
            old = next((v for v in held if v.ord == write.replaces and not v.retired), None)
            if old is None or old.partition != self._shelf.number:
                raise Conflict(
                    f"the memory {write.memory_id!r} was changed meanwhile: read it again, then retry"
                )
            old.retired = True
        if write.memory is not None:
            self._begin(write, write.memory, held)
        elif write.replaces is None and write.refines is None:
            raise Conflict(f"the change of {write.memory_id!r} neither ends nor begins a version")

    def _of(self, memory_id: str) -> list[Version]:
        if memory_id not in self._versions:
            self._versions[memory_id] = [replace(v) for v in self._known.versions.get(memory_id, ())]
        return self._versions[memory_id]

    def _begin(self, write: Write, memory: Memory, held: list[Version]) -> None:
        erased = any(v.erased for v in held)
        if memory.version == 1 and write.replaces is None:
            if held:
                raise _taken("memory", memory.id, erased=erased)
            if memory.sources != (memory.id,):
                self._refuse_erased(memory.sources)
        elif not held or held[0].partition != self._shelf.number:
            raise Conflict(f"there is no earlier version of {memory.id!r}")
        elif erased:
            raise _taken("memory", memory.id, erased=True)
        elif not held[-1].retired:
            raise Conflict(f"the memory {memory.id!r} has a current version: replace that one")
        elif any(v.version == memory.version for v in held):
            raise Conflict(
                f"somebody else stored the version {memory.version} of {memory.id!r} first: read it again"
            )
        held.append(Version(self._shelf.number, self._seq, memory.version, None))

    def _refuse_erased(self, sources: Iterable[str]) -> None:
        """What was erased is not derived again."""
        for source in sources:
            if self._known.turns.get(source, False):
                raise Conflict(f"the turn {source!r} was erased: nothing can be derived from it")


def _taken(what: str, its_id: str, *, erased: bool) -> Conflict:
    if erased:
        return Conflict(f"the {what} {its_id!r} was erased: its id cannot be used again")
    return Conflict(f"there is a {what} {its_id!r} already, or there was one")


# ---- what it changes


def _put_turns(known: Known, shelf: Shelf, new: Sequence[Turn], sheet: Sheet) -> dict[str, str]:
    """New turns, each with its session; the sessions by the turns' ids."""
    sessions: dict[str, str] = {}
    for turn in new:
        session = sessions[turn.id] = session_after(known.last.get(turn.scope), turn)
        known.last[turn.scope] = placed = replace(turn, session=session)
        known.turns[turn.id] = False
        sheet.put("turns", rows.turn_row(placed, shelf.number, known.scopes[turn.scope]))
    return sessions


def _put_write(known: Known, batch: Batch, write: Write, sheet: Sheet, *, sessions: dict[str, str]) -> None:
    """One step of the sequence: a version ends, or begins, or both, or more becomes known of it."""
    shelf = known.shelves[batch.partition]
    shelf.seq += 1
    held = known.versions.setdefault(write.memory_id, [])
    if write.refines is not None:
        _refine(known, shelf, write, sheet)
    if write.replaces is not None:
        next(v for v in held if v.ord == write.replaces).retired = True
        _end_keys(known, batch.partition, write.replaces)
        sheet.run(RETIRE, micros(batch.at), shelf.number, write.replaces)
    if write.memory is not None:
        place = held[-1].place if held else shelf.seq if write.memory.kind == "turn" else None
        session = sessions.get(write.memory.id, write.memory.session)
        made = replace(write.memory, ord=shelf.seq, place=place, session=session)
        sheet.put("memories", rows.memory_row(made, shelf.number, known.scopes[made.scope]))
        held.append(Version(shelf.number, shelf.seq, made.version, place))
        if write.entry is not None and known.space:
            sheet.put("entries", entry_row(known.space, shelf.number, shelf.seq, write.entry))
        elif write.replaces is not None:
            sheet.run(KEEP_ENTRIES, shelf.seq, shelf.number, write.replaces)
    sheet.put("changes", _change(shelf, batch, write))


def _end_keys(known: Known, partition: Partition, ord_: int) -> None:
    """Note of which keys a version ends that counts."""
    for place, key in known.keys.items():
        if place[0] == partition and key.first <= ord_ <= key.last:
            known.keys[place] = key._replace(ended=True)


def _change(shelf: Shelf, batch: Batch, write: Write) -> tuple[object, ...]:
    made = None if write.memory is None else shelf.seq
    return (
        shelf.number, shelf.seq, write.memory_id, write.event, write.replaces or write.refines, made,
        micros(batch.at), batch.id, write.actor, write.reason,
    )  # fmt: skip


def _refine(known: Known, shelf: Shelf, write: Write, sheet: Sheet) -> None:
    """Give a version that goes on another entry, salience or categories."""
    held = known.versions[write.memory_id]
    if not any(v.ord == write.refines and v.partition == shelf.number and not v.retired for v in held):
        return
    if write.entry is not None and known.space and write.refines is not None:
        row = entry_row(known.space, shelf.number, write.refines, write.entry)
        sheet.run(PUT_ENTRY, *row, sheet.tenant)
    if write.salience is not None or write.categories is not None:
        categories = rows.to_json(write.categories) if write.categories else None
        sheet.run(REFINE, write.salience, categories, shelf.number, write.refines)


def entry_row(space: int, partition: int, ord_: int, entry: Entry) -> tuple[object, ...]:
    """What ranking reads of a row."""
    e = entry
    return (space, partition, ord_, e.flags, e.speaker_words, e.date_words, e.words, e.vectors)


def _put_jobs(known: Known, shelf: Shelf, batch: Batch, sheet: Sheet) -> None:
    for job in batch.jobs:
        known.jobs[job.id] = shelf.number
        sheet.put("jobs", rows.job_row(job, shelf.number))
    for done in batch.done:
        del known.jobs[done]
        sheet.run("DELETE FROM jobs WHERE id = %s AND partition = %s", done, shelf.number)


def finish(known: Known, sheet: Sheet) -> None:
    """Put onto the sheet what several batches share: keys, and how far the partitions have come."""
    for (partition, name), key in known.new_keys.items():
        number = known.shelves[partition].number
        sheet.put("keys", (number, name, key.batch, key.at, key.first, key.last, key.passing))
    unused = [shelf.number for shelf in known.shelves.values() if shelf.new]
    if unused:
        sheet.run("DELETE FROM scopes WHERE partition = ANY(%s::bigint[])", array(unused))
        sheet.run("DELETE FROM partitions WHERE id = ANY(%s::bigint[])", array(unused))
    used = [shelf for shelf in known.shelves.values() if not shelf.new]
    sheet.run(KEEP_SEQS, array(shelf.number for shelf in used), array(shelf.seq for shelf in used))


def oldest_key(batches: Iterable[Batch]) -> datetime | None:
    """The earliest moment from which keys of these batches count; None when none passes."""
    return min((batch.key_since for batch in batches if batch.key_since is not None), default=None)
