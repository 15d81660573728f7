"""Whether anything was committed since an earlier look, told in a few microseconds and without waiting."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from typing import TypeAlias

from perdure.errors import StoreError
from perdure.stores.sqlite.workers import close_at_fork

Version: TypeAlias = tuple[int, int]


class Watch:
    """Asks SQLite for the version of the data: a look at the log's shared memory, which reads no file."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect`: makes a connection that never waits for a lock."""
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._lives = 0
        self._pid = os.getpid()
        self.lock = threading.Lock()
        close_at_fork(self, within=True)  # readers ask it in the middle of their work

    def version(self) -> Version | None:
        """Differs from an earlier answer when any process committed in between; for a thread, as it connects first."""
        if self._pid != os.getpid():
            return None
        with self.lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._lives += 1  # versions of different connections are not comparable
            except (sqlite3.Error, StoreError):
                return None
            return self._told()

    def version_at_once(self) -> Version | None:
        """The same for an event loop; None when it cannot be told without waiting."""
        if self._pid != os.getpid() or not self.lock.acquire(blocking=False):
            return None
        try:
            return self._told()
        finally:
            self.lock.release()

    def _told(self) -> Version | None:
        if self._connection is None:
            return None
        try:
            [version] = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            self.hang_up()
            return None
        return self._lives, int(version)

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; who holds the lock may call this."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
