"""What mem0 keeps in files, read and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from perdure.errors import ConfigurationError, StoreBusy, StoreDamaged
from perdure.threads import Threads

PAGE: Final = 500
"""So many memories, or lines of history, at once."""
WAIT: Final = 30.0
"""Seconds that whoever writes to a database may keep us waiting."""

T = TypeVar("T")


@contextmanager
def database(path: Path, option: str) -> Generator[sqlite3.Connection]:
    """A SQLite file that is only read, from whichever thread.

    Args:
        option: what names the path in mem0's configuration, for the error.

    Raises:
        ConfigurationError: there is no such file; none is made.
        StoreBusy: somebody writes to it for long.
        StoreDamaged: it is no database, or cannot be read.
    """
    existing(path, option)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(
            sqlite3.connect(uri, uri=True, timeout=WAIT, check_same_thread=False, isolation_level=None)
        ) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.execute("BEGIN")  # one snapshot, whoever writes meanwhile
            yield connection
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StoreBusy(f"{path} is being written to: stop mem0, or try again") from error
        raise _unreadable(path, error, option) from error
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error, option) from error


def _unreadable(path: Path, error: Exception, option: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} cannot be read as mem0's ({error}): look at {option} in mem0's configuration"
    )


def existing(path: Path, option: str) -> Path:
    """The path of a file that is there.

    Raises:
        ConfigurationError: it is not, or it is no file.
    """
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}: look at {option} in mem0's configuration")
    return path


async def in_thread(pages: Iterator[T]) -> AsyncIterator[T]:
    """What a blocking iterator gives, in a thread of its own, without holding the event loop."""
    threads = Threads("mem0", 1)
    try:
        while (page := await threads.run(next, pages, None)) is not None:
            yield page
    finally:
        if isinstance(pages, Generator):  # after what is being read, also when nobody waits for that any more
            await threads.run(pages.close)
        threads.close()
