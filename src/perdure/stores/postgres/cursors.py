"""How far engines that derive from the store have followed its partitions."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

from typing import Final

from perdure.stores.postgres.connection import Statement
from perdure.types import Partition

_MINE: Final = "tenant = %s AND owner = %s AND engine = %s AND worker = %s"
_TAKE: Final = (
    "INSERT INTO cursors AS c (tenant, owner, engine, worker, seq, leased_until) VALUES (%s, %s, %s, %s, 0, %s) "
    "ON CONFLICT (tenant, engine, owner) DO UPDATE SET worker = excluded.worker, leased_until = excluded.leased_until "
    "WHERE c.leased_until <= %s OR c.worker = excluded.worker RETURNING seq"
)
_MOVE: Final = f"UPDATE cursors SET seq = %s, leased_until = 0 WHERE {_MINE} RETURNING seq"
_FORGET: Final = (
    f"DELETE FROM cursors c WHERE {_MINE} AND NOT EXISTS "
    "(SELECT 1 FROM partitions p WHERE p.tenant = c.tenant AND p.owner = c.owner)"
)
_BEHIND: Final = (
    "SELECT owner, seq, head FROM ("
    "SELECT p.owner, coalesce(c.seq, 0) AS seq, p.seq AS head FROM partitions p LEFT JOIN cursors c "
    "ON c.tenant = p.tenant AND c.owner = p.owner AND c.engine = %s "
    "WHERE p.tenant = %s AND p.seq > coalesce(c.seq, 0) AND p.owner = coalesce(%s, p.owner) "
    "UNION ALL SELECT c.owner, c.seq, 0 FROM cursors c "
    "WHERE c.engine = %s AND c.tenant = %s AND c.owner = coalesce(%s, c.owner) AND NOT EXISTS "
    "(SELECT 1 FROM partitions p WHERE p.tenant = c.tenant AND p.owner = c.owner)) b "
    "ORDER BY head - seq DESC, owner LIMIT %s"
)


def take(engine: str, partition: Partition, *, worker: str, now: int, until: int) -> Statement:
    """Lease a cursor: a row that tells how far it is; none while another worker has it."""
    return Statement(_TAKE, (*partition, engine, worker, until, now))


def move(engine: str, partition: Partition, seq: int, *, worker: str) -> tuple[Statement, Statement]:
    """Note how far it is (a row when that was noted), and give the lease back; forget it if the partition is gone."""
    mine = (*partition, engine, worker)
    return Statement(_MOVE, (seq, *mine)), Statement(_FORGET, mine)


def behind(tenant: str, engine: str, partition: Partition | None, limit: int | None) -> Statement:
    """Where an engine is behind, the farthest first: owner, how far it is, how far the partition is."""
    where = (engine, tenant, None if partition is None else partition.owner)
    return Statement(_BEHIND, (*where, *where, limit))


def drop(tenant: str, engine: str) -> Statement:
    """Begin anew."""
    return Statement("DELETE FROM cursors WHERE tenant = %s AND engine = %s", (tenant, engine))
