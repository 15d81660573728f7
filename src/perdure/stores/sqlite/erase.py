"""Taking words out of a store, and whole tenants."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from perdure.moments import micros
from perdure.stores.sqlite import jobs, vectors
from perdure.stores.sqlite.commit import PUT_CHANGE, Shelf
from perdure.types import Partition

PATIENCE: Final = 500
"""Milliseconds to wait for readers that still need the log."""


class _Version(NamedTuple):
    partition: int
    ord: int
    current: bool


class Removed(NamedTuple):
    """What an erasure removed, and where."""

    rows: dict[str, int]
    """By table."""
    partitions: tuple[Partition, ...]


def erase(
    connection: sqlite3.Connection,
    tenant: str,
    memory_ids: Sequence[str],
    *,
    at: datetime,
    reason: str | None,
    alone: bool = False,
) -> Removed:
    """Empty all versions of these memories, the turns that they came from, and those turns' own memories.

    What stays: ids, times and the log, with one more line for each.

    Args:
        alone: these memories, and the turns with their ids, and nothing else.
    """
    removed: dict[str, int] = dict.fromkeys(("memories", "turns", "entries", "changes", "keys", "jobs"), 0)
    ids = list(dict.fromkeys(memory_ids)) if alone else _with_sources(connection, tenant, memory_ids)
    shelves: dict[int, Shelf] = {}
    erased: dict[int, list[str]] = {}
    for memory_id in ids:
        versions = _versions(connection, tenant, memory_id)
        for version in versions:
            removed["entries"] += _empty(connection, version, micros(at))
        removed["memories"] += len(versions)
        removed["turns"] += _empty_turn(connection, tenant, memory_id, micros(at))
        if versions:
            shelf = _shelf(connection, shelves, versions[0].partition)
            removed["changes"] += _forget_reasons(connection, shelf, memory_id)
            erased.setdefault(shelf.id, []).append(memory_id)
            _log(shelf, memory_id, versions, at=micros(at), reason=reason)
    for shelf in shelves.values():
        shelf.keep_seq()
        removed["keys"] += _forget_keys(connection, shelf, erased[shelf.id])
        removed["jobs"] += jobs.erase(connection, shelf.id, erased[shelf.id])
    if any(removed.values()):
        vectors.forget(connection, tenant)
        _owe_rewrite(connection)
    return Removed(removed, tuple(shelf.partition for shelf in shelves.values()))


def reset(connection: sqlite3.Connection, tenant: str) -> None:
    """Remove every row of a tenant.

    New partitions begin their sequences above all that were removed: an index that still holds a partition can
    tell by that.
    """
    connection.execute(
        "UPDATE meta SET value = max(value, (SELECT ifnull(max(seq) + 1, 0) FROM partitions WHERE tenant = ?)) "
        "WHERE key = 'floor'",
        (tenant,),
    )
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'stamp'")
    of_tenant = "(SELECT id FROM partitions WHERE tenant = ?)"
    connection.execute(
        f"DELETE FROM entries WHERE space IN (SELECT id FROM spaces) AND partition IN {of_tenant}", (tenant,)
    )
    for table in ("memories", "turns", "changes", "keys", "jobs", "scopes"):
        connection.execute(f"DELETE FROM {table} WHERE partition IN {of_tenant}", (tenant,))
    connection.execute("DELETE FROM partitions WHERE tenant = ?", (tenant,))
    vectors.forget(connection, tenant)
    _owe_rewrite(connection)


def remove_traces(connection: sqlite3.Connection) -> bool:
    """Do what erasures have left to do: write the file anew, then empty the log; whether nothing is left.

    What is done is noted in the file step by step, so that whoever comes next goes on where this one was stopped.
    """
    try:
        erased, rewritten, truncated = (_count(connection, c) for c in ("erased", "rewritten", "truncated"))
        whole = rewritten >= erased or _rewrite(connection)
        if whole and rewritten < erased:
            _note(connection, "rewritten", erased)
        if truncated >= erased:
            return True
        done = (
            _truncate_log(connection) and whole
        )  # the words of the rows themselves leave the log in any case
        if done:
            _note(connection, "truncated", erased)
    except (
        sqlite3.Error
    ):  # somebody holds a lock, or the disk is full: the erasure itself is done, this comes later
        return False
    return done


def _owe_rewrite(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'erased'")


def _count(connection: sqlite3.Connection, what: str) -> int:
    [count] = connection.execute("SELECT value FROM meta WHERE key = ?", (what,)).fetchone()
    return int(count)


def _note(connection: sqlite3.Connection, what: str, erased: int) -> None:
    """So many erasures are done with: those that came meanwhile are not."""
    connection.execute("UPDATE meta SET value = max(value, ?) WHERE key = ?", (erased, what))


def _rewrite(connection: sqlite3.Connection) -> bool:
    """Write the file anew, without what is between its rows; False when there is no room or a lock in the way.

    `secure_delete` overwrites what a row leaves behind, but not the copies that moving it from page to page has
    left in the pages' free space: of 400 erased texts, two could still be read there.
    """
    try:
        connection.execute("PRAGMA temp_store=FILE")  # the new file is made beside the old one first
        connection.execute("VACUUM")
    except sqlite3.Error:
        return False
    finally:
        connection.execute("PRAGMA temp_store=MEMORY")
    return True


def _truncate_log(connection: sqlite3.Connection) -> bool:
    """Fold the log into the file and cut it to nothing; False when somebody still reads from it."""
    [patience] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout={PATIENCE}")
    try:
        [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={patience}")
    return not busy


def _with_sources(connection: sqlite3.Connection, tenant: str, memory_ids: Sequence[str]) -> list[str]:
    """These ids and those of the turns that they came from; a turn's own memory has the turn's id."""
    ids = dict.fromkeys(memory_ids)
    for memory_id in list(ids):
        found = connection.execute(
            "SELECT m.sources FROM memories m JOIN partitions p ON p.id = m.partition "
            "WHERE m.id = ? AND p.tenant = ? AND m.sources IS NOT NULL",
            (memory_id, tenant),
        )
        for [sources] in found:
            ids.update(dict.fromkeys(json.loads(sources)))
    return list(dict.fromkeys((*ids, *_derived(connection, tenant, memory_ids))))


def _derived(connection: sqlite3.Connection, tenant: str, ids: Collection[str]) -> list[str]:
    """What was learned from these turns alone: memories of whose sources (by the last version) none is left."""
    found = connection.execute(
        "SELECT m.id, m.sources FROM memories m JOIN partitions p ON p.id = m.partition "
        "WHERE p.tenant = ? AND m.sources IS NOT NULL AND m.erased_at IS NULL AND m.partition IN "
        "(SELECT t.partition FROM json_each(?) i JOIN turns t ON t.id = i.value) ORDER BY m.version",
        (tenant, json.dumps(list(ids))),
    )
    held = {memory_id: set(json.loads(sources)) for memory_id, sources in found if memory_id not in ids}
    touched = {memory_id: sources - set(ids) for memory_id, sources in held.items() if sources & set(ids)}
    return [memory_id for memory_id, left in touched.items() if not _any_left(connection, tenant, left)]


def _any_left(connection: sqlite3.Connection, tenant: str, turns: Collection[str]) -> bool:
    [left] = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM json_each(?) i CROSS JOIN turns t ON t.id = i.value "
        "JOIN partitions p ON p.id = t.partition WHERE p.tenant = ? AND t.erased_at IS NULL)",
        (json.dumps(list(turns)), tenant),
    ).fetchone()
    return bool(left)


def _versions(connection: sqlite3.Connection, tenant: str, memory_id: str) -> list[_Version]:
    found = connection.execute(
        "SELECT m.partition, m.ord, m.retired_at IS NULL FROM memories m JOIN partitions p ON p.id = m.partition "
        "WHERE m.id = ? AND p.tenant = ? AND m.erased_at IS NULL",
        (memory_id, tenant),
    )
    return [_Version(partition, ord_, bool(current)) for partition, ord_, current in found]


def _empty(connection: sqlite3.Connection, version: _Version, at: int) -> int:
    """Leave a tombstone of a version; the number of its entries."""
    connection.execute(
        "UPDATE memories SET text = '', speaker = NULL, categories = NULL, metadata = NULL, mentions = NULL, claim = NULL, "
        "relations = NULL, "
        "retired_at = ifnull(retired_at, ?), erased_at = ? WHERE partition = ? AND ord = ?",
        (at, at, version.partition, version.ord),
    )
    return connection.execute(
        "DELETE FROM entries WHERE space IN (SELECT id FROM spaces) AND partition = ? AND ord = ?",
        (version.partition, version.ord),
    ).rowcount


def _empty_turn(connection: sqlite3.Connection, tenant: str, turn_id: str, at: int) -> int:
    return connection.execute(
        "UPDATE turns SET text = '', speaker = NULL, attachments = NULL, erased_at = ? "
        "WHERE id = ? AND erased_at IS NULL AND partition IN (SELECT id FROM partitions WHERE tenant = ?)",
        (at, turn_id, tenant),
    ).rowcount


def _shelf(connection: sqlite3.Connection, shelves: dict[int, Shelf], number: int) -> Shelf:
    if number not in shelves:
        tenant, owner = connection.execute(
            "SELECT tenant, owner FROM partitions WHERE id = ?", (number,)
        ).fetchone()
        shelves[number] = Shelf.of(connection, Partition(tenant, owner))
    return shelves[number]


def _forget_reasons(connection: sqlite3.Connection, shelf: Shelf, memory_id: str) -> int:
    return connection.execute(
        "UPDATE changes SET actor = NULL, reason = NULL "
        "WHERE memory_id = ? AND partition = ? AND (actor IS NOT NULL OR reason IS NOT NULL)",
        (memory_id, shelf.id),
    ).rowcount


def _forget_keys(connection: sqlite3.Connection, shelf: Shelf, memory_ids: Sequence[str]) -> int:
    """A key may be made from the words, and whoever guesses them could prove it right."""
    return connection.execute(
        "DELETE FROM keys WHERE partition = ? AND batch IN (SELECT c.write_id FROM json_each(?) i "
        "CROSS JOIN changes c ON c.memory_id = i.value AND c.partition = ?)",
        (shelf.id, json.dumps(memory_ids), shelf.id),
    ).rowcount


def _log(shelf: Shelf, memory_id: str, versions: Sequence[_Version], *, at: int, reason: str | None) -> None:
    shelf.seq += 1
    current = next((version.ord for version in versions if version.current), None)
    shelf.connection.execute(
        PUT_CHANGE, (shelf.id, shelf.seq, memory_id, "ERASE", current, None, at, None, None, reason)
    )
