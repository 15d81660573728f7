"""How far engines that derive from the store have followed its partitions."""

from __future__ import annotations

import sqlite3

from perdure.ports.derived import Cursor
from perdure.types import Partition


def take(
    connection: sqlite3.Connection, engine: str, partition: Partition, *, worker: str, now: int, until: int
) -> int | None:
    """Lease a cursor: how far it is; None while another worker has it."""
    row = connection.execute(
        "INSERT INTO cursors (engine, tenant, owner, worker, leased_until) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET worker = excluded.worker, leased_until = excluded.leased_until "
        "WHERE leased_until <= ? OR worker = excluded.worker RETURNING seq",
        (engine, *partition, worker, until, now),
    ).fetchone()
    return None if row is None else int(row[0])


def move(connection: sqlite3.Connection, engine: str, partition: Partition, seq: int, *, worker: str) -> bool:
    """Note how far it is, and give the lease back; the cursor of a partition that is gone goes as well."""
    moved = connection.execute(
        "UPDATE cursors SET seq = ?, leased_until = 0 WHERE engine = ? AND tenant = ? AND owner = ? AND worker = ?",
        (seq, engine, *partition, worker),
    )
    connection.execute(
        "DELETE FROM cursors WHERE engine = ? AND tenant = ? AND owner = ? AND worker = ? AND NOT EXISTS "
        "(SELECT 1 FROM partitions p WHERE p.tenant = cursors.tenant AND p.owner = cursors.owner)",
        (engine, *partition, worker),
    )
    return moved.rowcount > 0


def behind(
    connection: sqlite3.Connection, tenant: str, engine: str, partition: Partition | None, limit: int | None
) -> list[Cursor]:
    """Where an engine is behind, the farthest first."""
    owner = None if partition is None else partition.owner
    found = connection.execute(
        "SELECT * FROM (SELECT p.tenant, p.owner, ifnull(c.seq, 0) AS seq, p.seq AS head FROM partitions p LEFT JOIN cursors c "
        "ON c.engine = :engine AND c.tenant = p.tenant AND c.owner = p.owner "
        "WHERE p.tenant = :tenant AND p.seq > ifnull(c.seq, 0) AND p.owner = ifnull(:owner, p.owner) "
        "UNION ALL SELECT c.tenant, c.owner, c.seq, 0 FROM cursors c "
        "WHERE c.engine = :engine AND c.tenant = :tenant AND c.owner = ifnull(:owner, c.owner) AND NOT EXISTS "
        "(SELECT 1 FROM partitions p WHERE p.tenant = c.tenant AND p.owner = c.owner)) "
        "ORDER BY head - seq DESC, owner LIMIT :limit",
        {"engine": engine, "tenant": tenant, "owner": owner, "limit": -1 if limit is None else limit},
    )
    return [Cursor(Partition(tenant, owner), seq, head) for tenant, owner, seq, head in found]


def drop(connection: sqlite3.Connection, tenant: str, engine: str) -> None:
    """Begin anew."""
    connection.execute("DELETE FROM cursors WHERE engine = ? AND tenant = ?", (engine, tenant))
