"""A store that examines itself: every promise that the rows make to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.stores.postgres.connection import Row, Statement

PROMISES: Final = {
    "partitions with a gap in their log": (
        "SELECT count(*) FROM (SELECT 1 FROM partitions p LEFT JOIN changes c ON c.partition = p.id GROUP BY p.id "
        "HAVING count(c.seq) <> p.seq - p.start OR (p.seq > p.start AND "
        "(min(c.seq) <> p.start + 1 OR max(c.seq) <> p.seq))) gaps"
    ),
    "changes without the version that they began": (
        "SELECT count(*) FROM changes c LEFT JOIN memories m ON m.partition = c.partition AND m.ord = c.made "
        "WHERE c.made IS NOT NULL AND m.ord IS NULL"
    ),
    "changes whose ended version is current, or not there": (
        "SELECT count(*) FROM changes c LEFT JOIN memories m ON m.partition = c.partition AND m.ord = c.ended "
        "WHERE c.ended IS NOT NULL AND m.retired_at IS NULL AND (c.event <> 'REFINE' OR m.ord IS NULL)"
    ),
    "versions that no change began": (
        "SELECT count(*) FROM memories m LEFT JOIN changes c ON c.partition = m.partition AND c.seq = m.ord "
        "WHERE c.made IS NULL"
    ),
    "memories with more than one current version": (
        "SELECT count(*) FROM (SELECT 1 FROM memories WHERE retired_at IS NULL GROUP BY id, partition HAVING count(*) > 1) twice"
    ),
    "memories of turns that are not there": (
        "SELECT count(*) FROM memories m LEFT JOIN turns t ON t.id = m.id AND t.partition = m.partition "
        "WHERE m.kind = 'turn' AND m.erased_at IS NULL AND t.id IS NULL"
    ),
    "turns without their memory": (
        "SELECT count(*) FROM turns t LEFT JOIN memories m ON m.id = t.id AND m.partition = t.partition "
        "WHERE t.erased_at IS NULL AND m.id IS NULL"
    ),
    "current memories that cannot be found, having no entry (`perdure reindex` makes them)": (
        "SELECT count(*) FROM spaces s CROSS JOIN memories m LEFT JOIN entries e "
        "ON e.space = s.id AND e.partition = m.partition AND e.ord = m.ord "
        "WHERE s.active AND m.retired_at IS NULL AND e.ord IS NULL"
    ),
    "entries of nothing, or of what was erased": (
        "SELECT count(*) FROM entries e LEFT JOIN memories m ON m.partition = e.partition AND m.ord = e.ord "
        "WHERE m.ord IS NULL OR m.erased_at IS NOT NULL"
    ),
    "erased memories with words": "SELECT count(*) FROM memories WHERE erased_at IS NOT NULL AND text <> ''",
    "erased turns with words": "SELECT count(*) FROM turns WHERE erased_at IS NOT NULL AND text <> ''",
    "jobs of a partition that is not there": (
        "SELECT count(*) FROM jobs j LEFT JOIN partitions p ON p.id = j.partition WHERE p.id IS NULL"
    ),
    "memories under a scope that is not there": (
        "SELECT count(*) FROM memories m LEFT JOIN scopes s ON s.id = m.scope AND s.partition = m.partition "
        "WHERE s.id IS NULL"
    ),
    "scopes of a partition that is not there": (
        "SELECT count(*) FROM scopes s LEFT JOIN partitions p ON p.id = s.partition AND p.tenant = s.tenant "
        "WHERE p.id IS NULL"
    ),
}
"""What there must be none of, with the query that counts it."""


QUESTIONS: Final = tuple(Statement(query, prepare=False) for query in PROMISES.values())


def told(counts: Sequence[Sequence[Row]]) -> list[str]:
    """What is wrong, one sentence each, by the answers to the `QUESTIONS`; empty when the store is sound."""
    return [f"There are {count} {what}." for what, [[count]] in zip(PROMISES, counts, strict=True) if count]
