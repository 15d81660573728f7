"""The schema's versions: numbered SQL files, each applied in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from perdure.stores.sqlite.connection import APPLICATION_ID, identify


@cache
def scripts() -> tuple[str, ...]:
    """The SQL of each version, oldest first; the first one makes schema 1."""
    files = resources.files("perdure.stores.sqlite").joinpath("migrations").iterdir()
    return tuple(
        file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    )


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to the newest version, one transaction a step.

    The version is read again under the write lock, so that of several processes that open the file at once
    one does each step and the others find it done.
    """
    while identify(connection, path, newest=len(scripts())) < len(scripts()):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = identify(connection, path, newest=len(scripts()))
            if version < len(scripts()):
                _step(connection, version)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _step(connection: sqlite3.Connection, version: int) -> None:
    for statement in _statements(scripts()[version]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={version + 1}")


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit before it begins."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
