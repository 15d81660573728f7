"""Blocking calls on an event loop, found while the tests run."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import blockbuster.blockbuster
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError

READING = (
    "builtins.open",
    "io.open",
    "io.BufferedReader.read",
    "io.TextIOWrapper.read",
    "os.stat",
    "os.listdir",
)
ALLOWED = (
    # looks into shared memory, for some microseconds, and waits for no lock
    ("perdure/stores/sqlite/watch.py", "sqlite3.Connection.execute", "version_at_once"),
    ("perdure/stores/sqlite/watch.py", "sqlite3.Cursor.fetchone", "version_at_once"),
    # the blocking face inside a running loop, which holds it as its pages say
    ("perdure/blocking.py", "threading.Lock.acquire", "run"),
    # where logs go to is for those to choose who configure them; here it is pytest
    *(
        ("logging/__init__.py", name, "emit")
        for name in ("io.TextIOWrapper.write", "io.BufferedWriter.write")
    ),
    # what belongs to a package is read once
    *(("perdure/engine/dates/vocabulary.py", name, "_phrases") for name in READING),
    *(("importlib/metadata/__init__.py", name, "version") for name in READING),
    # pydantic looks for its plugins once, as the first configuration is read
    *(("perdure/options.py", name, "_adapter") for name in READING),
)
"""What may be called on a loop: the file, the call, and the function in the file that it is below of."""
MORE = ("builtins.open", "io.open", "os.fsync", "sqlite3.connect", "subprocess.Popen.__init__")
"""What takes a disk, a lock of another process or a process, and is none of Blockbuster's own."""

OURS = "perdure"
NOT_OURS = ("perdure.testing", "perdure.blocking", "perdure.cli")
"""What stands in for others, what runs others' code on its loop, and programs with a loop that nobody shares."""

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
    del guard.functions["os.getcwd"]  # the kernel knows it
    for name in MORE:
        guard.functions[name] = BlockBusterFunction(
            None, name, scanned_modules=OURS, excluded_modules=NOT_OURS
        )
    for place, function, caller in ALLOWED:
        guard.functions[function].can_block_in(place, caller)
    for function in guard.functions.values():  # what a module does as it is imported, it does once
        function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
    blockbuster.blockbuster.BlockingError = Noted  # type: ignore[misc]  # there is no other way to hear of them all
    guard.activate()
    try:
        yield guard
    finally:
        guard.deactivate()
        blockbuster.blockbuster.BlockingError = BlockingError  # type: ignore[misc]  # as it was
