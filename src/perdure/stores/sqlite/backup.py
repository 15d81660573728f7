"""Copies of a store: made while it is in use, checked before they count, and put back."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from perdure.errors import InvalidInput, NotAStore, StoreBusy, StoreDamaged
from perdure.ids import new_id
from perdure.stores.sqlite.connection import check_place, examine, explained, identify
from perdure.stores.sqlite.migrations import scripts

TABLES: Final = ("partitions", "scopes", "turns", "memories", "entries", "changes", "keys")


def backup(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the snapshot that the connection is in to a new file.

    The copy stands under another name until it is complete, checked and on disk.

    Raises:
        InvalidInput: `target` exists.
        StoreUnwritable, StoreFull: there is no place for it.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise InvalidInput(f"{target} exists: name a new file for the backup")
    check_place(target)
    with _partial(target) as copy:
        _copy(connection, copy)
        copy.replace(target)
    _sync(target.parent)


def restore_backup(backup: Path | str, into: Path | str, *, keep: Path | None = None) -> None:
    """Put a backup in the place of a store that nobody uses, or where there is none.

    The backup is checked first, and the old store is given up only when the copy is complete and on disk. An old
    store that is damaged is kept beside it, with `.damaged` at the end of its name.

    Args:
        keep: a name in the same directory under which the old store is kept, sound or damaged.

    Raises:
        InvalidInput: there is no such backup, or it is the store itself.
        NotAStore: the backup is no store, or `into` is another program's database.
        StoreDamaged: the backup is corrupt; nothing was changed.
        StoreBusy: somebody uses the store.
    """
    source, place = (Path(path).expanduser().absolute() for path in (backup, into))
    if not source.is_file():
        raise InvalidInput(f"there is no backup {source}")
    if place.exists() and place.samefile(source):
        raise InvalidInput(f"{source} is the store itself: name a backup of it")
    check_place(place)
    try:
        if found := examine(source, newest=len(scripts())):
            raise StoreDamaged(f"{source} is damaged ({found[0]}): take another backup")
    except sqlite3.Error as error:
        raise explained(error, source) from error
    with _partial(place) as copy, closing(sqlite3.connect(source)) as connection:
        connection.execute("BEGIN")
        _copy(connection, copy)
        _retire(place, keep)
        copy.replace(place)
    _sync(place.parent)


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A name in the same directory for what is not complete yet; whatever is left there is removed."""
    copy = target.with_name(f".{target.name}.{new_id()}.partial")
    try:
        yield copy
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _copy(connection: sqlite3.Connection, copy: Path) -> None:
    counts = _counts(connection)  # also begins the snapshot, which the copy is then made of
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as made:
            connection.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")  # one file, with no log beside it
            [[verdict]] = made.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok" or _counts(made) != counts:
                raise StoreDamaged(f"the copy is not what was copied ({verdict}): run `perdure doctor`")
    except sqlite3.Error as error:
        raise explained(error, copy) from error
    _sync(copy)


def _counts(connection: sqlite3.Connection) -> list[int]:
    return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]


def _retire(place: Path, keep: Path | None) -> None:
    """Make sure that nobody uses the store at `place`, and that no log of it is left to be taken for the new one's.

    Leaving the write-ahead log needs the file for itself: that tells whether anybody else has it open.
    """
    if not place.exists():
        return
    try:
        with closing(sqlite3.connect(place, timeout=0, isolation_level=None)) as connection:
            identify(connection, place, newest=len(scripts()))
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        meaning = explained(error, place)
        if isinstance(meaning, StoreBusy):
            raise StoreBusy(f"{place} is in use: stop what uses it, then restore") from error
        if not isinstance(meaning, StoreDamaged | NotAStore):
            raise meaning from error
        keep = keep or Path(f"{place}.damaged")
    if keep is not None:
        for suffix in ("-shm", "-wal", ""):  # a damaged store may have them
            if (old := Path(f"{place}{suffix}")).exists():
                old.replace(f"{keep}{suffix}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
