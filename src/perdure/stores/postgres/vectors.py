"""Vectors of any texts, kept so that a service is not asked for them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from perdure.stores.postgres.connection import Statement, Transaction, array

SPARED: Final = 0.9
"""Of the bytes allowed, this share is left when the oldest had to go: so that they do not have to each time."""

ERASED: Final = Statement("SELECT value FROM meta WHERE key = 'erased'")
_HELD: Final = Statement("SELECT value FROM meta WHERE key = 'vector_bytes' FOR UPDATE")
_PUT: Final = "INSERT INTO vectors (tenant, name, vector) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING length(vector)"
_COUNT: Final = "UPDATE meta SET value = value + %s WHERE key = 'vector_bytes' RETURNING value"
_OLDEST: Final = (
    "WITH aged AS (SELECT id, sum(length(vector)) OVER (ORDER BY id DESC) AS held FROM vectors), "
    "gone AS (DELETE FROM vectors WHERE id IN (SELECT id FROM aged WHERE held > %s) RETURNING length(vector)) "
    "SELECT coalesce(sum(length), 0)::bigint FROM gone"
)


def cached(tenant: str, names: Sequence[str]) -> list[Statement]:
    """The number of erasures so far, and what there is by names."""
    sql = "SELECT name, vector FROM vectors WHERE tenant = %s AND name = ANY(%s::text[])"
    return [ERASED, Statement(sql, (tenant, array(names)))]


async def cache(transaction: Transaction, tenant: str, vectors: Mapping[str, bytes], *, erasures: int) -> int:
    """Keep vectors, unless something was erased since they were made: one of them may be of those words.

    Returns:
        The bytes that all vectors take now.
    """
    # Shared: an erasure that comes now waits, and removes what is kept here; what came before is seen.
    [[[erased]]] = await transaction.ask(ERASED._replace(sql=f"{ERASED.sql} FOR SHARE"))
    if erased != erasures:
        return 0
    # In the order of their names, as everybody does: two who keep the same would else wait for each other.
    made = await transaction.ask(*(Statement(_PUT, (tenant, *item)) for item in sorted(vectors.items())))
    new = sum(row[0] for found in made for row in found)
    [[[held]]] = await transaction.ask(Statement(_COUNT, (new,)))
    return int(held)


async def make_room(transaction: Transaction, max_bytes: int) -> None:
    """Let the oldest of all tenants' go."""
    [[[held]]] = await transaction.ask(_HELD)
    if held > max_bytes:
        [[[gone]]] = await transaction.ask(Statement(_OLDEST, (int(SPARED * max_bytes),)))
        await transaction.ask(Statement(_COUNT, (-gone,)))


async def forget(transaction: Transaction, tenant: str) -> None:
    """Remove all of a tenant's: they are not told apart by whose words they are of."""
    sql = (
        "WITH gone AS (DELETE FROM vectors WHERE tenant = %s RETURNING length(vector)) "
        "UPDATE meta SET value = value - (SELECT coalesce(sum(length), 0) FROM gone)::bigint WHERE key = 'vector_bytes'"
    )
    await transaction.ask(Statement(sql, (tenant,)))
