"""Qdrant's local mode: a folder that one process has, shared by all who name it there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qdrant_client import AsyncQdrantClient

from perdure.errors import Closed
from perdure.threads import Threads

T = TypeVar("T")


@dataclass
class _Shared:
    """A folder that is open; its client computes and reads without giving way, so it has a thread of its own."""

    path: str
    users: int = 0
    threads: Threads = field(default_factory=lambda: Threads("qdrant", 1))
    client: AsyncQdrantClient | None = None

    def run(self, question: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        """In the folder's thread."""
        if self.client is None:
            self.client = AsyncQdrantClient(path=self.path, force_disable_check_same_thread=True)
        return asyncio.run(_asked(question, self.client))

    def close(self) -> None:
        """Give the folder's lock back."""
        if self.client is not None:
            asyncio.run(self.client.close())


_shared: dict[str, _Shared] = {}
_lock = threading.Lock()


class Folder:
    """One user's hold of a folder; with the last one that is given back, the folder is closed."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = str(path.expanduser().resolve())
        self._held: _Shared | None = None
        self._closed = False

    async def run(self, question: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        """What the local client answers.

        Raises:
            Closed: it was given back.
        """
        with _lock:
            if self._closed:
                raise Closed("this folder was closed: open another memory")
            if self._held is None:
                self._held = _shared.setdefault(self._path, _Shared(self._path))
                self._held.users += 1
        return await self._held.threads.run(self._held.run, question)

    async def aclose(self) -> None:
        """Give it back."""
        with _lock:
            held, self._held, self._closed = self._held, None, True
            if held is None:
                return
            held.users -= 1
            if held.users:
                return
            del _shared[self._path]
        closing = held.threads.submit(held.close)
        held.threads.close()
        await asyncio.wrap_future(closing)


async def _asked(question: Callable[[AsyncQdrantClient], Awaitable[T]], client: AsyncQdrantClient) -> T:
    return await question(client)
