"""Which partitions have changed since an earlier look: one look, whenever anything was committed, serves all of them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from perdure.stores.sqlite.watch import Version
from perdure.types import Partition

MOST_NEWS: Final = 1_000
"""When more partitions have changed between two looks, all of them count as changed."""
MOST_KEPT: Final = 100_000
"""Partitions of which it is known when they changed; with more, all of them count as changed."""

_COUNTERS: Final = (
    "SELECT (SELECT value FROM meta WHERE key = 'stamp'), (SELECT value FROM meta WHERE key = 'generation'), "
    "(SELECT value FROM meta WHERE key = 'floor')"
)


class Mark(NamedTuple):
    """Of what was read: which partition, up to which change of all, and what concerned all; see `Look`."""

    partition: Partition
    stamp: int
    whole: tuple[int, ...]


class Look(NamedTuple):
    """What has changed since an earlier look, read in one snapshot."""

    stamp: int
    whole: tuple[int, ...]
    """Differs when something happened that concerns all partitions: entries made again, a tenant removed, or a backup
    put back into the file, by which SQLite counts its schema on. That counts as a change, and is no partition's."""
    changed: dict[Partition, int] | None
    """Partitions by when they changed last; None: more than can be named."""


def look(connection: sqlite3.Connection, since: int) -> Look:
    """What has changed after this stamp."""
    stamp, *counters = connection.execute(_COUNTERS).fetchone()
    whole = (*counters, *connection.execute("PRAGMA schema_version").fetchone())
    if stamp == since:
        return Look(stamp, whole, {})
    rows = connection.execute(
        "SELECT tenant, owner, stamp FROM partitions WHERE stamp > ? LIMIT ?", (since, MOST_NEWS + 1)
    ).fetchall()
    changed = {Partition(tenant, owner): at for tenant, owner, at in rows}
    return Look(stamp, whole, changed if len(changed) <= MOST_NEWS else None)


@dataclass(slots=True)
class News:
    """What this process knows of changes; used on one event loop."""

    version: Version | None = None
    """Of the data when the newest look was begun; nothing is missing up to it."""
    stamp: int = 0
    whole: tuple[int, ...] | None = None
    _floor: int = 0
    """Whatever was read before this stamp counts as changed."""
    _changed: dict[Partition, int] = field(default_factory=dict)

    def take(self, version: Version | None, told: Look) -> None:
        """Take in a look that was begun at this version."""
        if told.whole != self.whole:  # the stamps may have gone back
            self._floor = self.stamp = told.stamp
            self._changed.clear()
        elif told.changed is None or len(self._changed) > MOST_KEPT:
            self._floor = max(self._floor, told.stamp)
            self._changed.clear()
        for partition, stamp in (told.changed or {}).items():
            self._changed[partition] = max(stamp, self._changed.get(partition, 0))
        self.version, self.whole = version, told.whole
        self.stamp = max(self.stamp, told.stamp)

    def stands(self, mark: Mark, version: Version | None) -> bool:
        """Whether the partition has not changed since it was read; False when that is not known at this version."""
        if version is None or version != self.version:
            return False
        if mark.whole != self.whole or mark.stamp < self._floor:
            return False
        return self._changed.get(mark.partition, 0) <= mark.stamp
