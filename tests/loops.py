"""Blocking calls on an event loop, found while the tests run."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import blockbuster.blockbuster
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError

ALLOWED = (
    # looks into shared memory, for some microseconds, and waits for no lock
    ("perdure/stores/sqlite/watch.py", "sqlite3.Connection.execute", "version_at_once"),
    ("perdure/stores/sqlite/watch.py", "sqlite3.Cursor.fetchone", "version_at_once"),
)
"""What is as quick as a computation: the file, what it calls, and where."""
MORE = ("builtins.open", "io.open", "os.fsync", "sqlite3.connect", "subprocess.Popen.__init__")
"""What takes a disk, a lock of another process or a process, and is none of Blockbuster's own."""

OURS = "perdure"
NOT_OURS = ("perdure.testing", "perdure.blocking")
"""What stands in for others, and what runs the code of others on a loop: its own threads may wait."""

found: list[str] = []
"""Each blocking call since the last look, with where it came from."""


class Noted(BlockingError):
    """Written down as well as raised: whoever is called by a loop may swallow what is raised."""

    def __init__(self, function: str) -> None:
        super().__init__(function)
        stack = traceback.extract_stack()
        found.append(f"{function}\n{''.join(traceback.format_list(stack)[-12:])}")


@contextmanager
def watched() -> Iterator[BlockBuster]:
    """While this lasts, a call that blocks raises if an event loop runs in its thread and our code made it."""
    guard = BlockBuster(OURS, excluded_modules=NOT_OURS)
    for name in MORE:
        guard.functions[name] = BlockBusterFunction(
            None, name, scanned_modules=OURS, excluded_modules=NOT_OURS
        )
    for place, function, caller in ALLOWED:
        guard.functions[function].can_block_in(place, caller)
    blockbuster.blockbuster.BlockingError = Noted  # type: ignore[misc]  # there is no other way to hear of them all
    guard.activate()
    try:
        yield guard
    finally:
        guard.deactivate()
        blockbuster.blockbuster.BlockingError = BlockingError  # type: ignore[misc]  # as it was
