"""The truth in one SQLite file."""

from perdure.stores.sqlite.backup import restore_backup
from perdure.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "restore_backup"]
