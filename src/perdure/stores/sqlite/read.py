"""Reading, each function in one snapshot that the caller began."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from perdure.moments import micros
from perdure.ports import Delta, EntryRow, Query, Space, StoreStats
from perdure.stores import sqlfilters
from perdure.stores.sqlite import rows, spaces, vectors
from perdure.stores.sqlite.standing import change_at, place
from perdure.types import Change, Memory, Partition, Scope, Turn

_VECTORS: Final = "ifnull(e.vectors, x'')"
_NOT_ASKED: Final = "CASE WHEN length(e.vectors) THEN NULL ELSE x'' END"
"""The length is told by a row's head: what is long is not read."""
_ROWS: Final = (
    "SELECT m.ord, m.id, m.place, ifnull(m.session, ''), m.speaker, m.role, "
    "ifnull(e.words, x''), ifnull(e.speaker_words, x''), ifnull(e.date_words, x''), ifnull(e.flags, 0), "
    f"{_VECTORS}, m.valid_from, m.valid_to, m.expires_at, m.said_at, m.scope "
    "FROM memories m LEFT JOIN entries e ON e.space = ? AND e.partition = m.partition AND e.ord = m.ord "
    "WHERE m.partition = ? AND m.ord > ? AND m.erased_at IS NULL AND "
)
_MEMORY: Final = rows.prefixed(rows.MEMORY, "m")
_FEW: Final = 1_000
"""So many are fetched one by one after sorting; more of them with what is sorted."""


def load(
    connection: sqlite3.Connection,
    partition: Partition,
    *,
    since: int,
    known_at: datetime | None,
    with_vectors: bool,
    space: Space | None,
) -> Delta:
    """What came to an index after `since`; when the tenant was reset meanwhile, everything it holds is dead."""
    space_id = spaces.fitting(connection, space)
    number, start, stand = place(connection, partition)
    if known_at is not None:
        at = micros(known_at)
        known = "m.recorded_at <= ? AND (m.retired_at IS NULL OR m.retired_at > ?) ORDER BY m.ord"
        then = _entry_rows(connection, known, (space_id, number, 0, at, at), with_vectors=with_vectors)
        return Delta(stand=stand, rows=then)
    if not number:
        return Delta(stand=stand, dead=_all_before(start, since))
    if since == stand.head:
        return Delta(stand=stand, before=stand.change)
    refined = _refined(connection, number, since, space_id, with_vectors=with_vectors)
    current, values = "m.retired_at IS NULL ORDER BY m.ord", (space_id, number, since)
    return Delta(
        stand=stand,
        rows=[*refined, *_entry_rows(connection, current, values, with_vectors=with_vectors)],
        dead=_all_before(start, since) or _ended(connection, number, since),
        before=change_at(connection, number, since) if since else "",
    )


def _all_before(start: int, since: int) -> range:
    """All that an index holds when it was read before the tenant was removed, after which sequences begin at `start`."""
    return range(1, since + 1) if since < start else range(0)


def _entry_rows(
    connection: sqlite3.Connection, where: str, values: Sequence[Any], *, with_vectors: bool
) -> list[EntryRow]:
    wanted = _ROWS if with_vectors else _ROWS.replace(_VECTORS, _NOT_ASKED)
    return list(map(EntryRow._make, connection.execute(wanted + where, values)))


def _refined(
    connection: sqlite3.Connection, partition: int, since: int, space: int, *, with_vectors: bool
) -> list[EntryRow]:
    """The rows up to `since` of which more became known after it."""
    if since == 0:
        return []
    refined = (
        "m.retired_at IS NULL AND m.ord IN (SELECT old FROM changes "
        "WHERE partition = ? AND seq > ? AND old <= ? AND event = 'REFINE') ORDER BY m.ord"
    )
    values = (space, partition, 0, partition, since, since)
    return _entry_rows(connection, refined, values, with_vectors=with_vectors)


def _ended(connection: sqlite3.Connection, partition: int, since: int) -> list[int]:
    """The rows up to `since` that ended after it."""
    if since == 0:
        return []
    ended = connection.execute(
        "SELECT old FROM changes WHERE partition = ? AND seq > ? AND old <= ? AND event <> 'REFINE'",
        (partition, since, since),
    )
    return [ord_ for [ord_] in ended]


def vectors_of(
    connection: sqlite3.Connection, partition: Partition, ords: Sequence[int], space: Space | None
) -> list[bytes]:
    """The entries' vectors of these versions, in the order asked; empty for what has none."""
    found = dict(
        connection.execute(
            "SELECT e.ord, e.vectors FROM partitions p CROSS JOIN entries e ON e.space = ? AND e.partition = p.id "
            "WHERE p.tenant = ? AND p.owner = ? AND e.ord IN (SELECT value FROM json_each(?))",
            (spaces.fitting(connection, space), *partition, json.dumps(list(map(int, ords)))),
        ).fetchall()
    )
    return [found.get(ord_, b"") for ord_ in ords]


def read(connection: sqlite3.Connection, partition: Partition, ords: Sequence[int]) -> list[Memory]:
    """The versions with these row numbers, in the order asked, erased ones left out."""
    found = connection.execute(
        f"SELECT {_MEMORY} FROM partitions p CROSS JOIN memories m ON m.partition = p.id "
        "WHERE p.tenant = ? AND p.owner = ? AND m.ord IN (SELECT value FROM json_each(?)) AND m.erased_at IS NULL",
        (*partition, json.dumps(list(map(int, ords)))),
    )
    held = {memory.ord: memory for memory in rows.memories(found, rows.Scopes(connection))}
    return [held[ord_] for ord_ in ords if ord_ in held]


def get(connection: sqlite3.Connection, tenant: str, memory_id: str) -> Memory | None:
    """The current version, or the last one."""
    found = connection.execute(
        f"SELECT {_MEMORY} FROM memories m JOIN partitions p ON p.id = m.partition "
        "WHERE m.id = ? AND p.tenant = ? AND m.erased_at IS NULL ORDER BY m.version DESC LIMIT 1",
        (memory_id, tenant),
    )
    return next(iter(rows.memories(found, rows.Scopes(connection))), None)


def turns(connection: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[Turn]:
    """The turns with these ids, in the order asked, unknown and erased ones left out."""
    found = connection.execute(
        f"SELECT {rows.prefixed(rows.TURN, 't')} FROM turns t JOIN partitions p ON p.id = t.partition "
        "WHERE t.id IN (SELECT value FROM json_each(?)) AND p.tenant = ? AND t.erased_at IS NULL",
        (json.dumps(list(ids)), tenant),
    )
    held = {turn.id: turn for turn in rows.turns(found, rows.Scopes(connection))}
    return [held[turn_id] for turn_id in ids if turn_id in held]


def find(connection: sqlite3.Connection, query: Query) -> list[Memory]:
    """What the query describes, in its order.

    When only a few are wanted, sorting is done with narrow rows, and the wide ones are fetched for those.
    """
    tables, where, values = _described(connection, query)
    down = "DESC" if query.order == "newest" else "ASC"
    described = f"{tables} WHERE {where} ORDER BY m.said_at {down}, p.owner {down}, m.ord {down}"
    limit = -1 if query.limit is None else query.limit
    part = (*values, limit, query.offset)
    if not 0 <= limit <= _FEW:
        found = connection.execute(f"SELECT {_MEMORY} {described} LIMIT ? OFFSET ?", part)
        return rows.memories(found, rows.Scopes(connection))
    keys = connection.execute(f"SELECT m.partition, m.ord {described} LIMIT ? OFFSET ?", part).fetchall()
    one = f"SELECT {rows.MEMORY} FROM memories WHERE partition = ? AND ord = ?"
    wanted = (connection.execute(one, key).fetchone() for key in keys)
    return rows.memories(wanted, rows.Scopes(connection))


def select(connection: sqlite3.Connection, partition: Partition, query: Query) -> list[int]:
    """The row numbers, ascending, of what the query describes in one partition."""
    tables, where, values = _described(connection, query, within=(partition,))
    found = connection.execute(f"SELECT m.ord {tables} WHERE {where} ORDER BY m.ord", values)
    return [ord_ for [ord_] in found]


def _described(
    connection: sqlite3.Connection, query: Query, *, within: Sequence[Partition] | None = None
) -> tuple[str, str, list[Any]]:
    """The tables, the condition and its values that a query stands for."""
    conditions, values = _visible(query)
    # CROSS: partitions first, each one's memories in one go, whatever SQLite guesses without statistics.
    tables = "FROM partitions p CROSS JOIN memories m ON m.partition = p.id"
    if query.filter is not None:
        sql, bound = sqlfilters.compile(query.filter)
        conditions.append(f"({sql})")
        values += bound
        tables += " CROSS JOIN scopes s ON s.id = m.scope"
    partitions = within if within is not None else query.partitions
    if partitions is None:
        return tables, " AND ".join(("p.tenant = ?", *conditions)), [query.tenant, *values]
    owned = [p for p in partitions if p.tenant == query.tenant]
    numbers = [number for p in owned if (number := _number(connection, p)) is not None]
    in_them = "p.id IN (SELECT value FROM json_each(?))"
    return tables, " AND ".join((in_them, *conditions)), [json.dumps(numbers), *values]


def _number(connection: sqlite3.Connection, partition: Partition) -> int | None:
    row = connection.execute("SELECT id FROM partitions WHERE tenant = ? AND owner = ?", partition).fetchone()
    return None if row is None else int(row[0])


def _visible(query: Query) -> tuple[list[str], list[Any]]:
    """Conditions on the two times, on expiry and on salience; `InMemoryStore` says the same in Python."""
    conditions, values = ["m.erased_at IS NULL", "m.salience >= ?"], [query.min_salience]

    def also(condition: str, *bound: int) -> None:
        conditions.append(f"({condition})")
        values.extend(bound)

    now = micros(query.now)
    if query.known_at is not None:
        at = micros(query.known_at)
        also("m.recorded_at <= ? AND (m.retired_at IS NULL OR m.retired_at > ?)", at, at)
    elif query.show_retired:
        also(
            "m.retired_at IS NULL OR NOT EXISTS (SELECT 1 FROM memories later "
            "WHERE later.id = m.id AND later.partition = m.partition AND later.version > m.version)"
        )
    else:
        also("m.retired_at IS NULL")
    if not query.show_expired:
        also("m.expires_at IS NULL OR m.expires_at > ?", now)
    if query.as_of is not None:
        as_of = micros(query.as_of)
        also("m.valid_from IS NULL OR m.valid_from <= ?", as_of)
        also("m.valid_to IS NULL OR m.valid_to > ?", as_of)
    elif not query.show_superseded:
        also("m.valid_to IS NULL OR m.valid_to > ?", now)
    return conditions, values


def partitions(
    connection: sqlite3.Connection, tenant: str, within: Sequence[Scope] | None
) -> list[Partition]:
    """The partitions that hold memories under one of the scopes, erased ones aside, by their owners."""
    if within is None:
        found = connection.execute(
            "SELECT owner FROM partitions p WHERE tenant = ? AND EXISTS "
            "(SELECT 1 FROM memories m WHERE m.partition = p.id AND m.erased_at IS NULL)",
            (tenant,),
        )
        return sorted(Partition(tenant, owner) for [owner] in found)
    return sorted({p for scope in within for p in _partitions_under(connection, tenant, scope)})


def _partitions_under(connection: sqlite3.Connection, tenant: str, scope: Scope) -> list[Partition]:
    given = {name: value for name in rows.SCOPE_IDS if (value := getattr(scope, name)) is not None}
    under = "".join(f" AND s.{name} = ?" for name in given)
    found = connection.execute(
        "SELECT DISTINCT p.owner FROM scopes s JOIN partitions p ON p.id = s.partition "
        f"WHERE s.tenant = ?{under} AND EXISTS "
        "(SELECT 1 FROM memories m WHERE m.scope = s.id AND m.erased_at IS NULL)",
        (tenant, *given.values()),
    )
    return [Partition(tenant, owner) for [owner] in found]


def history(connection: sqlite3.Connection, tenant: str, memory_id: str) -> list[Change]:
    """What happened to a memory, oldest first."""
    where = "c.memory_id = ? AND c.partition IN (SELECT id FROM partitions WHERE tenant = ?) ORDER BY c.seq"
    return changes(connection, where, (memory_id, tenant))


def written(connection: sqlite3.Connection, tenant: str, batch_id: str) -> list[Change]:
    """What batches with this id did, in the order in which they did it."""
    where = "c.write_id = ? AND c.partition IN (SELECT id FROM partitions WHERE tenant = ?) ORDER BY c.partition, c.seq"
    return changes(connection, where, (batch_id, tenant))


def changes(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[Change]:
    """Lines of the log, with the texts of the versions that ended and began; None for what was erased."""
    found = connection.execute(
        "SELECT c.seq, c.memory_id, c.event, c.at, "
        "CASE WHEN old.erased_at IS NULL THEN old.text END, CASE WHEN new.erased_at IS NULL THEN new.text END, "
        "c.actor, c.reason, c.write_id FROM changes c "
        "LEFT JOIN memories old ON old.partition = c.partition AND old.ord = c.old "
        "LEFT JOIN memories new ON new.partition = c.partition AND new.ord = c.new "
        f"WHERE c.event <> 'REFINE' AND {where}",
        values,
    )
    return [
        Change(
            seq=seq, memory_id=memory_id, event=event, at=rows.moment(at), old_text=old_text, new_text=new_text,
            actor=actor, reason=reason, write_id=write_id,
        )
        for seq, memory_id, event, at, old_text, new_text, actor, reason, write_id in found
    ]  # fmt: skip


def stats(connection: sqlite3.Connection, tenant: str, *, log_bytes: int) -> StoreStats:
    """Sizes of a tenant's part."""

    def count(table: str, condition: str = "TRUE") -> int:
        [number] = connection.execute(
            f"SELECT count(*) FROM {table} WHERE partition IN (SELECT id FROM partitions WHERE tenant = ?) "
            f"AND {condition}",
            (tenant,),
        ).fetchone()
        return int(number)

    [held] = connection.execute("SELECT count(*) FROM partitions WHERE tenant = ?", (tenant,)).fetchone()
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    [page_size] = connection.execute("PRAGMA page_size").fetchone()
    [schema] = connection.execute("PRAGMA user_version").fetchone()
    in_use = spaces.active(connection)
    return StoreStats(
        partitions=held,
        turns=count("turns", "erased_at IS NULL"),
        memories=count("memories", "retired_at IS NULL"),
        retired=count("memories", "retired_at IS NOT NULL AND erased_at IS NULL"),
        changes=count("changes"),
        bytes=pages * page_size + log_bytes,
        schema=schema,
        space=None if in_use is None else in_use.space,
        vector_bytes=vectors.size(connection),
    )
