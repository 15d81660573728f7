"""Rows as SQLite has them: those of all databases, and scopes by their numbers."""

from __future__ import annotations

import sqlite3

from perdure.stores.rows import (
    JOB,
    KEY,
    MEMORY,
    SCOPE_IDS,
    TURN,
    job,
    job_row,
    job_state,
    key,
    maybe_micros,
    memories,
    memory_row,
    moment,
    outlasts,
    prefixed,
    to_json,
    turn_row,
    turns,
)
from perdure.types import Scope

__all__ = [
    "JOB",
    "KEY",
    "MEMORY",
    "SCOPE_IDS",
    "TURN",
    "Scopes",
    "job",
    "job_row",
    "job_state",
    "key",
    "maybe_micros",
    "memories",
    "memory_row",
    "moment",
    "outlasts",
    "prefixed",
    "to_json",
    "turn_row",
    "turns",
    "values",
]


def values(columns: str) -> str:
    """The `?, ?, ...` for these columns."""
    return ", ".join("?" * (columns.count(",") + 1))


class Scopes(dict[int, Scope]):
    """The scopes by their number, each read once a snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, number: int) -> Scope:
        tenant, *ids = self._connection.execute(
            "SELECT tenant, user_id, agent_id, app_id, run_id FROM scopes WHERE id = ?", (number,)
        ).fetchone()
        self[number] = scope = Scope(tenant=tenant, **dict(zip(SCOPE_IDS, ids, strict=True)))
        return scope
