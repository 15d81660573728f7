"""Reading: what to ask for, and what the rows mean; whatever is asked together is of one snapshot."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from perdure.moments import micros
from perdure.ports import EntryRow, Query, Space, StoreStats
from perdure.stores import rows
from perdure.stores.postgres import filters
from perdure.stores.postgres.connection import Row, Statement, array, plainly
from perdure.types import Change, Memory, Partition, Scope, Turn

PAGE: Final = 1_000
"""Rows that are taken in at once, a few milliseconds of the event loop; of an index, steps of the sequence."""
EVER: Final = 2**62
"""Higher than any step of a sequence."""

MEMORY: Final = rows.prefixed(rows.MEMORY, "m").replace("m.scope", "s.ids", 1)
TURN: Final = rows.prefixed(rows.TURN, "t").replace("t.scope", "s.ids", 1)
TABLES: Final = "memories m JOIN scopes s ON s.id = m.scope"

_VECTORS: Final = "coalesce(e.vectors, '')"
_NOT_ASKED: Final = "CASE WHEN length(e.vectors) > 0 THEN NULL ELSE ''::bytea END"
"""The length is told by a row's head: what is long is not read."""
_ENTRY: Final = (
    "SELECT m.ord, m.id, m.place, coalesce(m.session, ''), m.speaker, m.role, "
    "coalesce(e.words, ''), coalesce(e.speaker_words, ''), coalesce(e.date_words, ''), coalesce(e.flags, 0), "
    f"{_VECTORS}, m.valid_from, m.valid_to, m.expires_at, m.said_at, m.scope "
    "FROM memories m LEFT JOIN LATERAL (SELECT * FROM entries WHERE space = %s AND partition = m.partition "
    "AND ord = m.ord OFFSET 0) e ON TRUE WHERE m.partition = %s AND m.erased_at IS NULL AND "
)
"""The fence (`OFFSET 0`) has each entry looked up by its key. Else a server that has not yet counted a growing table
compares all with all, or reads the whole partition for a page."""
_ENTRY_TEXTS: Final = (1, 3, 4, 5)


class Scopes(dict[str, Scope]):
    """The scopes of a tenant by their ids, as JSON."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self._tenant = tenant

    def __missing__(self, ids: str) -> Scope:
        self[ids] = scope = Scope(
            tenant=self._tenant, **dict(zip(rows.SCOPE_IDS, json.loads(ids), strict=True))
        )
        return scope


def scope_ids(scope: Scope) -> str:
    """All ids of a scope, as they stand for it."""
    return rows.to_json([getattr(scope, name) for name in rows.SCOPE_IDS])


def memories(found: Iterable[Row], tenant: str) -> list[Memory]:
    """The memories in rows of the columns `MEMORY`."""
    return rows.memories(found, Scopes(tenant))


def turns(found: Iterable[Row], tenant: str) -> list[Turn]:
    """The turns in rows of the columns `TURN`."""
    return rows.turns(found, Scopes(tenant))


# ---- for an index


def current(space: int, partition: int, *, after: int, with_vectors: bool) -> Statement:
    """Of a page of versions after a row, those that are current."""
    sql = f"{_ENTRY} m.retired_at IS NULL AND m.ord > %s AND m.ord <= %s ORDER BY m.ord"
    return _asking(sql, (space, partition, after, after + PAGE), with_vectors=with_vectors)


def known(space: int, partition: int, at: datetime, *, after: int, with_vectors: bool) -> Statement:
    """Of a page of versions after a row, those that were current at a moment."""
    sql = (
        f"{_ENTRY} m.recorded_at <= %s AND (m.retired_at IS NULL OR m.retired_at > %s) "
        "AND m.ord > %s AND m.ord <= %s ORDER BY m.ord"
    )
    values = (space, partition, micros(at), micros(at), after, after + PAGE)
    return _asking(sql, values, with_vectors=with_vectors)


def refined(space: int, partition: int, *, since: int, until: int, with_vectors: bool) -> Statement:
    """The rows up to `since` of which more became known after it, up to `until`."""
    sql = (
        f"{_ENTRY} m.retired_at IS NULL AND m.ord IN (SELECT ended FROM changes WHERE partition = %s "
        "AND seq > %s AND seq <= %s AND ended <= %s AND event = 'REFINE') ORDER BY m.ord"
    )
    return _asking(sql, (space, partition, partition, since, until, since), with_vectors=with_vectors)


def _asking(sql: str, values: Sequence[Any], *, with_vectors: bool) -> Statement:
    return Statement(sql if with_vectors else sql.replace(_VECTORS, _NOT_ASKED), values)


def ended(partition: int, *, since: int, until: int) -> Statement:
    """The rows up to `since` that ended after it, up to `until`."""
    sql = (
        "SELECT ended FROM changes WHERE partition = %s AND seq > %s AND seq <= %s AND ended <= %s "
        "AND event <> 'REFINE'"
    )
    return Statement(sql, (partition, since, until, since))


def entry_rows(found: Sequence[Row]) -> list[EntryRow]:
    """The rows of an index, whose texts come as they are written: only few hold a NUL, and have to be read back."""
    for column in _ENTRY_TEXTS:
        if "\x01" in "".join([row[column] for row in found if row[column]]):
            return [EntryRow._make(map(_plainly, row)) for row in found]
    return list(map(EntryRow._make, found))


def _plainly(value: Any) -> Any:
    return plainly(value) if isinstance(value, str) else value


def vectors_of(space: int, partition: Partition, ords: Sequence[int]) -> Statement:
    """The entries' vectors of these versions, with their row numbers."""
    sql = (
        "SELECT e.ord, e.vectors FROM partitions p JOIN entries e ON e.space = %s AND e.partition = p.id "
        "WHERE p.tenant = %s AND p.owner = %s AND e.ord = ANY(%s::bigint[])"
    )
    return Statement(sql, (space, *partition, array(map(int, ords))))


# ---- memories, turns


def read(partition: Partition, ords: Sequence[int]) -> Statement:
    """The versions with these row numbers."""
    sql = (
        f"SELECT {MEMORY} FROM partitions p JOIN memories m ON m.partition = p.id JOIN scopes s ON s.id = m.scope "
        "WHERE p.tenant = %s AND p.owner = %s AND m.ord = ANY(%s::bigint[]) AND m.erased_at IS NULL"
    )
    return Statement(sql, (*partition, array(map(int, ords))))


def get(tenant: str, memory_id: str) -> Statement:
    """The current version, or the last one."""
    sql = (
        f"SELECT {MEMORY} FROM {TABLES} WHERE m.tenant = %s AND m.id = %s AND m.erased_at IS NULL "
        "ORDER BY m.version DESC LIMIT 1"
    )
    return Statement(sql, (tenant, memory_id))


def turns_of(tenant: str, ids: Sequence[str]) -> Statement:
    """The turns with these ids."""
    sql = (
        f"SELECT {TURN} FROM turns t JOIN scopes s ON s.id = t.scope "
        "WHERE t.tenant = %s AND t.id = ANY(%s::text[]) AND t.erased_at IS NULL"
    )
    return Statement(sql, (tenant, array(ids)))


# ---- lists


def find(query: Query, *, exact: bool) -> Statement:
    """What the query describes, in its order; offset and limit are left to the reader when it is not exact."""
    where, values = _described(query, query.partitions)
    down = "DESC" if query.order == "newest" else "ASC"
    sql = (
        f"SELECT {MEMORY} FROM partitions p JOIN memories m ON m.partition = p.id JOIN scopes s ON s.id = m.scope "
        f"WHERE {where} ORDER BY m.said_at {down}, p.owner {down}, m.ord {down}"
    )
    if exact:
        sql += " LIMIT %s OFFSET %s"
        values += [query.limit, query.offset]
    return Statement(sql, values, prepare=False)


def is_exact(query: Query) -> bool:
    """Whether the database finds no more than what is asked for."""
    return query.filter is None or filters.compile(query.filter).exact


def select(partition: Partition, query: Query) -> Statement:
    """The row numbers, ascending, of what the query describes in one partition."""
    where, values = _described(query, (partition,))
    sql = (
        "SELECT m.ord FROM partitions p JOIN memories m ON m.partition = p.id JOIN scopes s ON s.id = m.scope "
        f"WHERE {where} ORDER BY m.ord"
    )
    return Statement(sql, values, prepare=False)


def _described(query: Query, within: Sequence[Partition] | None) -> tuple[str, list[Any]]:
    conditions, values = _visible(query)
    if query.filter is not None:
        bound = filters.compile(query.filter)
        conditions.append(f"({bound.sql})")
        values += bound.values
    conditions.append("p.tenant = %s")
    values.append(query.tenant)
    if within is not None:
        conditions.append("p.owner = ANY(%s::text[])")
        values.append(array(p.owner for p in within if p.tenant == query.tenant))
    return " AND ".join(conditions), values


def _visible(query: Query) -> tuple[list[str], list[Any]]:
    """Conditions on the two times, on expiry and on salience; `InMemoryStore` says the same in Python."""
    conditions: list[str] = ["m.erased_at IS NULL", "m.salience >= %s"]
    values: list[Any] = [query.min_salience]

    def also(condition: str, *bound: int) -> None:
        conditions.append(f"({condition})")
        values.extend(bound)

    now = micros(query.now)
    if query.known_at is not None:
        at = micros(query.known_at)
        also("m.recorded_at <= %s AND (m.retired_at IS NULL OR m.retired_at > %s)", at, at)
    elif query.show_retired:
        also(
            "m.retired_at IS NULL OR NOT EXISTS (SELECT 1 FROM memories later "
            "WHERE later.tenant = m.tenant AND later.id = m.id AND later.version > m.version)"
        )
    else:
        also("m.retired_at IS NULL")
    if not query.show_expired:
        also("m.expires_at IS NULL OR m.expires_at > %s", now)
    if query.as_of is not None:
        as_of = micros(query.as_of)
        also("m.valid_from IS NULL OR m.valid_from <= %s", as_of)
        also("m.valid_to IS NULL OR m.valid_to > %s", as_of)
    elif not query.show_superseded:
        also("m.valid_to IS NULL OR m.valid_to > %s", now)
    return conditions, values


def partitions(tenant: str, within: Sequence[Scope] | None) -> list[Statement]:
    """The owners of the partitions that hold memories under each of the scopes, erased ones aside."""
    if within is None:
        sql = (
            "SELECT owner FROM partitions p WHERE tenant = %s AND EXISTS "
            "(SELECT 1 FROM memories m WHERE m.partition = p.id AND m.erased_at IS NULL)"
        )
        return [Statement(sql, (tenant,))]
    return [_partitions_under(tenant, scope) for scope in within]


def _partitions_under(tenant: str, scope: Scope) -> Statement:
    given = {name: value for name in rows.SCOPE_IDS if (value := getattr(scope, name)) is not None}
    under = "".join(f" AND s.{name} = %s" for name in given)
    sql = (
        "SELECT DISTINCT p.owner FROM scopes s JOIN partitions p ON p.id = s.partition "
        f"WHERE s.tenant = %s{under} AND EXISTS "
        "(SELECT 1 FROM memories m WHERE m.scope = s.id AND m.erased_at IS NULL)"
    )
    return Statement(sql, (tenant, *given.values()))


TENANTS: Final = Statement("SELECT DISTINCT tenant FROM partitions ORDER BY tenant")


# ---- the log


def history(tenant: str, memory_id: str) -> Statement:
    """What happened to a memory, oldest first."""
    return changes("c.tenant = %s AND c.memory_id = %s ORDER BY c.partition, c.seq", (tenant, memory_id))


def written(tenant: str, batch_id: str) -> Statement:
    """What batches with this id did, in the order in which they did it."""
    return changes("c.tenant = %s AND c.write_id = %s ORDER BY c.partition, c.seq", (tenant, batch_id))


def changes(where: str, values: Sequence[Any]) -> Statement:
    """Lines of the log, with the texts of the versions that ended and began; NULL for what was erased."""
    sql = (
        "SELECT c.seq, c.memory_id, c.event, c.at, "
        "CASE WHEN old.erased_at IS NULL THEN old.text END, CASE WHEN new.erased_at IS NULL THEN new.text END, "
        "c.actor, c.reason, c.write_id FROM changes c "
        "LEFT JOIN memories old ON old.partition = c.partition AND old.ord = c.ended "
        "LEFT JOIN memories new ON new.partition = c.partition AND new.ord = c.made "
        f"WHERE c.event <> 'REFINE' AND {where}"
    )
    return Statement(sql, values)


def change(row: Row) -> Change:
    """A line of the log."""
    seq, memory_id, event, at, old_text, new_text, actor, reason, write_id = row
    return Change(
        seq=seq, memory_id=memory_id, event=event, at=rows.moment(at), old_text=old_text, new_text=new_text,
        actor=actor, reason=reason, write_id=write_id,
    )  # fmt: skip


# ---- sizes


def sizes(tenant: str) -> Statement:
    """What `stats` makes a `StoreStats` of."""
    counts = ", ".join(
        f"(SELECT count(*) FROM {table} WHERE tenant = %s{condition})"
        for table, condition in (
            ("partitions", ""),
            ("turns", " AND erased_at IS NULL"),
            ("memories", " AND retired_at IS NULL"),
            ("memories", " AND retired_at IS NOT NULL AND erased_at IS NULL"),
            ("changes", ""),
        )
    )
    sql = (
        f"SELECT {counts}, (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c WHERE c.relkind = 'r' "
        "AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'meta'::regclass)), "
        "(SELECT value FROM meta WHERE key = 'schema'), (SELECT value FROM meta WHERE key = 'vector_bytes')"
    )
    return Statement(sql, (tenant,) * 5)


def stats(row: Row, space: Space | None) -> StoreStats:
    """Sizes of a tenant's part."""
    held, turns_, current_, retired, changes_, bytes_, schema, vector_bytes = row
    return StoreStats(
        partitions=held,
        turns=turns_,
        memories=current_,
        retired=retired,
        changes=changes_,
        bytes=bytes_,
        schema=schema,
        space=space,
        vector_bytes=vector_bytes,
    )
