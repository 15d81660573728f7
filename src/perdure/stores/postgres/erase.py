"""Taking words out of a store, and whole tenants."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg.errors import Diagnostic

from perdure.moments import micros
from perdure.stores.postgres import jobs, vectors
from perdure.stores.postgres.commit import KEEP_SEQ, Shelf
from perdure.stores.postgres.connection import Connection, Settings, Statement, Transaction, array, quoted
from perdure.stores.postgres.sheet import Sheet
from perdure.types import Partition

TABLES: Final = ("memories", "turns", "entries", "changes", "keys", "jobs", "scopes", "vectors", "partitions")
"""Those that hold what tenants said, or who they are."""

ERASED: Final = Statement("UPDATE meta SET value = value + 1 WHERE key = 'erased'")
OWED: Final = Statement(
    "SELECT (SELECT value FROM meta WHERE key = 'erased'), (SELECT value FROM meta WHERE key = 'vacuumed')"
)
_VACUUMED: Final = "UPDATE meta SET value = greatest(value, %s) WHERE key = 'vacuumed'"
_LEFT: Final = re.compile(r"(\d+) are dead but not yet removable")
_OWNERS: Final = (
    "SELECT p.id, p.owner, p.seq FROM partitions p WHERE p.tenant = %s AND (p.id IN "
    "(SELECT partition FROM memories WHERE tenant = %s AND id = ANY(%s::text[])) OR p.id IN "
    "(SELECT partition FROM turns WHERE tenant = %s AND id = ANY(%s::text[]))) ORDER BY p.id FOR NO KEY UPDATE"
)
_SOURCES: Final = (
    "SELECT sources FROM memories WHERE tenant = %s AND id = ANY(%s::text[]) AND sources IS NOT NULL"
)
_DERIVED: Final = (
    "SELECT m.id, m.sources FROM memories m WHERE m.tenant = %s AND m.sources IS NOT NULL AND m.erased_at IS NULL "
    "AND m.partition IN (SELECT partition FROM turns WHERE tenant = %s AND id = ANY(%s::text[])) ORDER BY m.version"
)
_LEFT_TURNS: Final = "SELECT id FROM turns WHERE tenant = %s AND id = ANY(%s::text[]) AND erased_at IS NULL"
_VERSIONS: Final = (
    "SELECT id, partition, ord, retired_at IS NULL FROM memories "
    "WHERE tenant = %s AND id = ANY(%s::text[]) AND erased_at IS NULL ORDER BY version"
)
_EMPTY: Final = (
    "UPDATE memories SET text = '', speaker = NULL, categories = NULL, metadata = NULL, mentions = NULL, claim = NULL, "
    "relations = NULL, retired_at = coalesce(retired_at, %s), erased_at = %s "
    "WHERE tenant = %s AND id = ANY(%s::text[]) AND erased_at IS NULL RETURNING ord"
)
_EMPTY_TURNS: Final = (
    "UPDATE turns SET text = '', speaker = NULL, attachments = NULL, erased_at = %s "
    "WHERE tenant = %s AND id = ANY(%s::text[]) AND erased_at IS NULL RETURNING ord"
)
_DROP_ENTRIES: Final = (
    "DELETE FROM entries e USING memories m WHERE m.tenant = %s AND m.id = ANY(%s::text[]) "
    "AND e.space IN (SELECT id FROM spaces) AND e.partition = m.partition AND e.ord = m.ord RETURNING e.ord"
)
_FORGET_REASONS: Final = (
    "UPDATE changes SET actor = NULL, reason = NULL WHERE tenant = %s AND memory_id = ANY(%s::text[]) "
    "AND (actor IS NOT NULL OR reason IS NOT NULL) RETURNING seq"
)
_FORGET_KEYS: Final = (
    "DELETE FROM keys k USING changes c WHERE c.tenant = %s AND c.memory_id = ANY(%s::text[]) "
    "AND k.partition = c.partition AND k.batch = c.write_id RETURNING k.partition, k.key"
)


class Removed(NamedTuple):
    """What an erasure removed, and where."""

    rows: dict[str, int]
    """By table."""
    partitions: tuple[Partition, ...]


async def erase(
    transaction: Transaction,
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
    ids, shelves = await _locked(transaction, tenant, memory_ids, alone=alone)
    [versions] = await transaction.ask(Statement(_VERSIONS, (tenant, array(ids))))
    held = {row[0] for row in versions}
    kept = [memory_id for memory_id in ids if memory_id in held]
    sheet = Sheet(tenant)
    touched = _log(sheet, kept, versions, shelves, at=micros(at), reason=reason)
    counted = await _empty(transaction, tenant, (ids, kept), at=micros(at), log=sheet.statements())
    if touched:
        numbers = [number for number, (partition, _) in shelves.items() if partition in touched]
        counted["jobs"] = await jobs.erase(transaction, numbers, {*kept})
    if any(counted.values()):
        await transaction.ask(ERASED)
        await vectors.forget(transaction, tenant)
    return Removed(counted, touched)


async def _locked(
    transaction: Transaction, tenant: str, memory_ids: Sequence[str], *, alone: bool
) -> tuple[list[str], dict[int, tuple[Partition, Shelf]]]:
    """The ids of all that is to go, and the partitions it is in, which nobody else changes from now on."""

    async def reached() -> list[str]:
        return (
            list(dict.fromkeys(memory_ids)) if alone else await _with_sources(transaction, tenant, memory_ids)
        )

    ids = await reached()
    while True:
        [rows] = await transaction.ask(Statement(_OWNERS, (tenant, tenant, array(ids), tenant, array(ids))))
        now = await reached()
        if set(now) <= set(ids):
            shelves = {number: (Partition(tenant, owner), Shelf(number, seq)) for number, owner, seq in rows}
            return now, shelves
        ids = now


async def _with_sources(transaction: Transaction, tenant: str, memory_ids: Sequence[str]) -> list[str]:
    """These ids, those of the turns that they came from, and of what was learned from these turns alone."""
    ids = dict.fromkeys(memory_ids)
    own = array(ids)
    found, derived = await transaction.ask(
        Statement(_SOURCES, (tenant, own)), Statement(_DERIVED, (tenant, tenant, own))
    )
    for [sources] in found:
        ids.update(dict.fromkeys(json.loads(sources)))
    held = {
        memory_id: {*json.loads(sources)} for memory_id, sources in derived if memory_id not in memory_ids
    }
    touched = {memory_id: s - {*memory_ids} for memory_id, s in held.items() if s & {*memory_ids}}
    left = {turn for sources in touched.values() for turn in sources}
    [there] = await transaction.ask(Statement(_LEFT_TURNS, (tenant, array(left)))) if left else [[]]
    unerased = {turn for [turn] in there}
    return list(dict.fromkeys((*ids, *(i for i, sources in touched.items() if not sources & unerased))))


def _log(
    sheet: Sheet,
    kept: Iterable[str],
    versions: Sequence[tuple[Any, ...]],
    shelves: dict[int, tuple[Partition, Shelf]],
    *,
    at: int,
    reason: str | None,
) -> tuple[Partition, ...]:
    """One line for each memory; the partitions that have got one."""
    touched: dict[Partition, None] = {}
    for memory_id in kept:
        held = [row for row in versions if row[0] == memory_id]
        partition, shelf = shelves[held[0][1]]
        current = next((ord_ for _, _, ord_, is_current in held if is_current), None)
        shelf.seq += 1
        row = (shelf.number, shelf.seq, memory_id, "ERASE", current, None, at, None, None, reason)
        sheet.put("changes", row)
        touched[partition] = None
    for _, shelf in shelves.values():
        sheet.run(KEEP_SEQ, shelf.seq, shelf.number)
    return tuple(touched)


async def _empty(
    transaction: Transaction,
    tenant: str,
    ids: tuple[Sequence[str], Sequence[str]],
    *,
    at: int,
    log: Sequence[Statement],
) -> dict[str, int]:
    """Leave tombstones of all `ids` (turns), and of those among them that are memories; the rows by table."""
    turns, memories = map(array, ids)
    entries, versions, emptied, changes, keys, *_ = await transaction.ask(
        Statement(_DROP_ENTRIES, (tenant, memories)),
        Statement(_EMPTY, (at, at, tenant, memories)),
        Statement(_EMPTY_TURNS, (at, tenant, turns)),
        Statement(_FORGET_REASONS, (tenant, memories)),
        Statement(_FORGET_KEYS, (tenant, memories)),
        *log,
    )
    return {
        "memories": len(versions),
        "turns": len(emptied),
        "entries": len(entries),
        "changes": len(changes),
        "keys": len(keys),
        "jobs": 0,
    }


async def reset(transaction: Transaction, settings: Settings, tenant: str) -> None:
    """Remove every row of a tenant, while nobody else writes.

    New partitions begin their sequences above all that were removed: an index that still holds a partition can
    tell by that.
    """
    floor = (
        "UPDATE meta SET value = greatest(value, (SELECT coalesce(max(seq) + 1, 0) FROM partitions WHERE tenant = %s)) "
        "WHERE key = 'floor'"
    )
    await transaction.ask(settings.alone)
    await transaction.ask(Statement(floor, (tenant,)), ERASED)
    await vectors.forget(transaction, tenant)
    await transaction.ask(
        *(
            Statement(f"DELETE FROM {table} WHERE tenant = %s", (tenant,))
            for table in TABLES
            if table != "vectors"
        )
    )


async def vacuum(connection: Connection, settings: Settings) -> bool:
    """Remove the rows that erasures have left dead from the tables; whether nothing is left of them.

    Something is left while a transaction that may still see them goes on, or somebody else works on a table. Outside
    of any transaction of our own.
    """
    left: list[int] = []

    def note(notice: Diagnostic) -> None:
        left.extend(int(count) for count in _LEFT.findall(notice.message_primary or ""))
        left.extend(int(count) for count in _LEFT.findall(notice.message_detail or ""))

    transaction = Transaction(connection, settings.for_(None))
    [[[erased, vacuumed]]] = await transaction.ask(OWED)
    await transaction.end()
    if vacuumed >= erased:
        return True
    tables = ", ".join(f"{quoted(settings.schema)}.{table}" for table in TABLES)
    connection.add_notice_handler(note)
    try:
        await connection.execute(
            f"VACUUM (VERBOSE, SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) {tables}".encode(), prepare=False
        )
    finally:
        connection.remove_notice_handler(note)
    if len(left) < len(TABLES) or any(left):
        return False
    transaction = Transaction(connection, settings.for_(None))
    await transaction.ask(Statement(_VACUUMED, (erased,)))
    await transaction.end()
    return True
