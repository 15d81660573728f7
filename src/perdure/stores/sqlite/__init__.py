"""The truth in one SQLite file."""

from perdure.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
