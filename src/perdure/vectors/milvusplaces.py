"""Where Milvus is: a server, or a folder with Milvus Lite; its client blocks, so it is asked from threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pymilvus import MilvusClient

from perdure.errors import MissingExtra
from perdure.threads import Threads
from perdure.vectors.folders import Folder

T = TypeVar("T")


class Place(Protocol):
    """Answers what a client of Milvus can answer."""

    async def run(self, question: Callable[[MilvusClient], T]) -> T:
        """The answer."""
        ...

    async def aclose(self) -> None:
        """Give it back."""


class ServerPlace:
    """A server, whose client is made when it is first needed."""

    def __init__(self, options: Mapping[str, Any], *, threads: int) -> None:
        """Nothing is connected yet.

        Args:
            options: of the client.
            threads: calls at once.
        """
        self._options = dict(options)
        self._threads = Threads("milvus", threads)
        self._lock = threading.Lock()
        self._client: MilvusClient | None = None

    async def run(self, question: Callable[[MilvusClient], T]) -> T:
        """The answer, from one of the threads."""
        return await self._threads.run(lambda: question(self._connected()))

    async def aclose(self) -> None:
        """Close the client when the calls under way are done."""
        self._threads.close(self._shut)

    def _connected(self) -> MilvusClient:
        with self._lock:  # the others wait, as they would for a connection of their own
            if self._client is None:
                self._client = MilvusClient(**self._options)
            return self._client

    def _shut(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()


def folder(path: Path) -> Folder[MilvusClient]:
    """A folder, in which Milvus Lite is for this process alone."""
    return Folder(path, kind="milvus", make=_opened, shut=lambda client: _shut(client, path))


def _opened(path: str) -> MilvusClient:
    try:
        from milvus_lite.server_manager import server_manager_instance
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "Milvus in a folder needs milvus-lite: pip install 'perdure[milvus]' milvus-lite"
        ) from error
    uri = server_manager_instance.start_and_get_uri(path)
    if uri is None:
        raise OSError("the folder cannot be opened")  # it is another process's, as a rule
    return MilvusClient(uri=uri)


def _shut(client: MilvusClient, path: Path) -> None:
    from milvus_lite.server_manager import server_manager_instance

    client.close()
    server_manager_instance.release_server(str(path.expanduser()))
