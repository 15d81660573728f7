"""One connection to a store's file: how SQLite is set up, and what its errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from perdure.errors import (
    Conflict,
    InvalidInput,
    NewerSchema,
    NotAStore,
    PerdureError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
    TooLarge,
)
from perdure.stores.sqlite.identity import Identity

APPLICATION_ID: Final = 0x50455244
"""`PERD`, in the file's header: this is what tells a store from any other database."""

CACHE_KIB: Final = 4_096
LOG_BYTES: Final = 64 * 2**20
"""The write-ahead log is cut back to this size when a bulk load has made it larger."""

LONGEST_PATH: Final = 500
"""Bytes; SQLite takes 512, with the end that it gives the log's name."""

NETWORK: Final = frozenset((
    "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs",
))  # fmt: skip
"""File systems on which processes of different machines cannot share SQLite's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Makes the connections of one store; they may be used in any one thread at a time."""

    path: Path
    synchronous: Literal["FULL", "NORMAL"]
    busy_timeout: float
    page_size: int
    identity: Identity

    def __call__(self) -> sqlite3.Connection:
        """A connection that is ready for transactions begun by hand.

        Raises:
            StoreUnwritable: no store can be there.
            StoreError: an earlier connection had another file there.
            sqlite3.Error: see `explained`.
        """
        self.identity.check()  # before a deleted store is made anew, and empty
        check_place(self.path)
        connection = sqlite3.connect(
            self.path,
            timeout=self.busy_timeout,
            isolation_level=None,
            check_same_thread=False,  # a fork closes connections from the thread that forks
            cached_statements=256,
        )
        try:
            self.identity.learn()
        except StoreError:
            connection.close()
            raise
        # secure_delete: what is erased is overwritten, not just unlinked. Sorting never goes to a temporary file,
        # from which nobody would erase it.
        for pragma in (
            f"page_size={self.page_size}",
            f"synchronous={self.synchronous}",
            "secure_delete=ON",
            "temp_store=MEMORY",
            f"cache_size=-{CACHE_KIB}",
            f"journal_size_limit={LOG_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def use_log(self, connection: sqlite3.Connection) -> None:
        """Switch to the write-ahead log, which the file remembers.

        The switch needs the file for itself for a moment and does not wait for it, so we do: another process
        may be switching it at the same time.
        """
        deadline = time.monotonic() + self.busy_timeout
        while True:
            try:
                [mode] = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
                continue
            if mode != "wal":
                raise StoreUnwritable(
                    f"{self.path} cannot have a write-ahead log: put the store on a local disk that can be written"
                )
            return


def check_place(path: Path) -> None:
    """Make the directory, and refuse, before SQLite touches anything, a path at which no store can be.

    Raises:
        StoreUnwritable: no directory, no permission, a name that no file can have, or a network file system.
    """
    folder = path.parent
    if path.name == ":memory:":
        raise StoreUnwritable("a SQLite store is a file: use the provider 'memory' for one that is not kept")
    _check_name(path)
    if path.is_dir():
        raise StoreUnwritable(f"{path} is a directory: name a file in it, as in {path / 'memory.db'}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnwritable(
            f"the directory {folder} cannot be made ({error.strerror}): choose another place for the store"
        ) from error
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise StoreUnwritable(
            f"no permission to write {path}: change it, or choose another place for the store"
        )
    if kind := network_file_system(path, _mounts()):
        raise StoreUnwritable(
            f"{path} is on a network file system ({kind}), where several machines would damage SQLite's log: "
            "put the store on a local disk"
        )


def _check_name(path: Path) -> None:
    """Refuse a path that no file can have, nor those that SQLite puts beside it.

    Raises:
        StoreUnwritable: it is too long, it holds NUL or half of a surrogate pair, or nobody may look there.
    """
    told = repr(str(path)) if len(str(path)) < 100 else f"{str(path)[:100]!r}..."
    try:
        too_long = len(os.fsencode(path)) > LONGEST_PATH
        with suppress(FileNotFoundError, NotADirectoryError):
            Path(f"{path}-journal").stat()
    except ValueError as error:
        raise StoreUnwritable(f"no file can be called {told}: choose another path for the store") from error
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        if not too_long:
            raise StoreUnwritable(
                f"{told} cannot be looked at ({error.strerror}): choose another path for the store"
            ) from error
    if too_long:
        raise StoreUnwritable(f"the path {told} is too long: choose a shorter one for the store")


def network_file_system(path: Path, mounts: Iterable[str]) -> str | None:
    """The type of the network file system that holds `path`, by the lines of `/proc/mounts`; None when it is local."""
    place = path.resolve()
    found: tuple[int, str] = (0, "")
    for line in mounts:
        _, mount, kind, *_ = line.split(" ")
        point = Path(mount.encode().decode("unicode_escape"))  # a blank in a mount point is written \040
        if place.is_relative_to(point):
            found = max(found, (len(point.parts), kind), key=lambda depth_kind: depth_kind[0])
    return found[1] if found[1] in NETWORK else None


def _mounts() -> list[str]:
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no Linux: nothing to tell by
        return []


def identify(connection: sqlite3.Connection, path: Path, *, newest: int) -> int:
    """The schema version of the store; 0 when the file is new.

    Raises:
        NotAStore: it is another program's database.
        NewerSchema: it is a store of a newer Perdure.
        sqlite3.Error: it is no database, or it cannot be read.
    """
    # In one statement, and so at one moment: another process may be making the store just now.
    application, version, objects = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
        "(SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if application == APPLICATION_ID:
        if version > newest:
            raise NewerSchema(
                f"{path} has schema {version}, this Perdure knows schemas up to {newest}: "
                "upgrade it (pip install --upgrade perdure)"
            )
        return int(version)
    if application or version or objects:
        raise NotAStore(f"{path} is a database of another program: choose another place for the store")
    return 0


def explained(error: Exception, path: Path) -> Exception:
    """What an error of SQLite means for the caller; other errors as they are."""
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput("a text is not valid Unicode: it holds half of a surrogate pair")
    if isinstance(error, OverflowError):
        return InvalidInput("a number does not fit into 64 bits")
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) or 0
    make = _MEANINGS.get(code) or _MEANINGS.get(code & 0xFF) or _unknown
    return make(path, error)


def _unknown(path: Path, error: Exception) -> PerdureError:
    # SQLite's own message names tables and columns, never values.
    return StoreError(f"{path}: SQLite says {error}")


def _full(path: Path, _: Exception) -> PerdureError:
    return StoreFull(
        f"{path} could not grow: the disk is full, or a quota or a limit on file sizes is reached; nothing of this "
        "call was kept. Make room, then try again"
    )


def _unwritable(path: Path, _: Exception) -> PerdureError:
    return StoreUnwritable(
        f"{path} cannot be opened for writing: check permissions of the file and of its directory"
    )


_MEANINGS: Final[dict[int, Callable[[Path, Exception], PerdureError]]] = {
    sqlite3.SQLITE_BUSY: lambda path, _: StoreBusy(
        f"{path} was locked by another process for longer than the time-out: nothing was changed, try again"
    ),
    sqlite3.SQLITE_CONSTRAINT: lambda _path, _error: Conflict(
        "somebody else stored this version first: read again, then retry"
    ),
    sqlite3.SQLITE_FULL: _full,
    # A quota or a limit on file sizes is told as a failed write, and a log that cannot grow as a failed resize.
    sqlite3.SQLITE_IOERR_WRITE: _full,
    sqlite3.SQLITE_IOERR_TRUNCATE: _full,
    sqlite3.SQLITE_IOERR_SHMSIZE: _full,
    sqlite3.SQLITE_NOTADB: lambda path, _: NotAStore(
        f"{path} is no database: choose another place for the store"
    ),
    sqlite3.SQLITE_CORRUPT: lambda path, _: StoreDamaged(
        f"{path} is damaged: restore a backup (`perdure restore`); nothing was changed"
    ),
    sqlite3.SQLITE_READONLY: _unwritable,
    sqlite3.SQLITE_CANTOPEN: _unwritable,
    sqlite3.SQLITE_PERM: _unwritable,
    sqlite3.SQLITE_TOOBIG: lambda _path, _error: TooLarge(
        "a text or its metadata is larger than SQLite can hold"
    ),
}


def examine(path: Path, *, newest: int) -> list[str]:
    """What SQLite itself finds wrong in a file that nobody writes to; empty when it is a sound store."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        if identify(connection, path, newest=newest) == 0:
            raise NotAStore(f"{path} is empty: it is no store")
        return faults(connection)


def faults(connection: sqlite3.Connection) -> list[str]:
    """What `integrity_check` says, which also compares every index with its table."""
    try:
        found = [str(line) for [line] in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(error)]  # too damaged to be checked
    return [] if found == ["ok"] else found
