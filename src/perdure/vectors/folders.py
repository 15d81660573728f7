"""Folders that one process has to itself, shared by all who name them there: engines without a server."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from perdure.errors import Closed
from perdure.threads import Threads

C = TypeVar("C")
T = TypeVar("T")


@dataclass
class _Shared(Generic[C]):
    """A folder that is open; its client computes and reads without giving way, so it has a thread of its own."""

    make: Callable[[], C]
    shut: Callable[[C], object]
    threads: Threads
    users: int = 0
    client: list[C] = field(default_factory=list)
    """One, as soon as it was needed."""

    def run(self, question: Callable[[C], T]) -> T:
        """In the folder's thread."""
        if not self.client:
            self.client.append(self.make())
        return question(self.client[0])

    def close(self) -> None:
        """Give the folder's lock back."""
        for client in self.client:
            self.shut(client)


_shared: dict[tuple[str, str], _Shared[Any]] = {}
_lock = threading.Lock()


class Folder(Generic[C]):
    """One user's hold of a folder; with the last one that is given back, the folder is closed."""

    def __init__(
        self, path: Path, *, kind: str, make: Callable[[str], C], shut: Callable[[C], object]
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the folder.
            kind: what is in it; names the thread.
            make: a client of the folder; is called in its thread, as `shut` is.
            shut: gives the folder back.
        """
        self._path = os.path.normpath(
            path.expanduser().absolute()
        )  # links are not followed: the disk is not asked
        self._kind = kind
        self._make = make
        self._shut = shut
        self._held: _Shared[C] | None = None
        self._closed = False

    async def run(self, question: Callable[[C], T]) -> T:
        """What the client answers, in the folder's thread.

        Raises:
            Closed: it was given back.
        """
        held = self._hold()
        return await held.threads.run(held.run, question)

    async def aclose(self) -> None:
        """Give it back."""
        with _lock:
            held, self._held, self._closed = self._held, None, True
            if held is None:
                return
            held.users -= 1
            if held.users:
                return
            del _shared[self._kind, self._path]
        closing = held.threads.submit(held.close)
        held.threads.close()
        await asyncio.wrap_future(closing)

    def _hold(self) -> _Shared[C]:
        with _lock:
            if self._closed:
                raise Closed("this folder was closed: open another memory")
            if self._held is None:
                new = _Shared(lambda: self._make(self._path), self._shut, Threads(self._kind, 1))
                self._held = cast("_Shared[C]", _shared.setdefault((self._kind, self._path), new))
                self._held.users += 1
            return self._held
