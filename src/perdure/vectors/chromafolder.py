"""Chroma without a server: the package `chromadb` in this process, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.errors import MissingExtra, Unavailable
from perdure.vectors.chromaplaces import Found, Missing, Options, Where, refused, scored
from perdure.vectors.folders import Folder

if TYPE_CHECKING:
    import numpy as np
    from chromadb.api import ClientAPI
    from numpy.typing import NDArray

T = TypeVar("T")


class FolderPlace:
    """A folder; nothing is told to Chroma's makers."""

    def __init__(self, *, name: str, path: Path, timeout: float) -> None:
        """Nothing is opened yet.

        Args:
            name: for errors.
            path: of the folder.
            timeout: seconds that one call may take.
        """
        self._name = name
        self._timeout = timeout
        self._folder = Folder(path, kind="chroma", make=_opened, shut=_shut)

    async def find(self, name: str) -> Found | None:
        """A collection by its name, or None."""
        try:
            return await self._run(lambda client: _of(client.get_collection(name, embedding_function=None)))
        except Missing:
            return None

    async def make(self, name: str, hnsw: Options) -> Found:
        """A collection, new if there was none."""
        options: Any = {"hnsw": {**hnsw, "space": "ip"}}
        return await self._run(
            lambda client: _of(
                client.get_or_create_collection(name, configuration=options, embedding_function=None)
            )
        )

    async def names(self) -> list[str]:
        """Of all collections."""
        return await self._run(lambda client: [one.name for one in client.list_collections()])

    async def remove(self, name: str) -> None:
        """Remove a collection, if there is one."""
        try:
            await self._run(lambda client: client.delete_collection(name))
        except Missing:
            return

    async def upsert(
        self, found: Found, ids: Sequence[str], vectors: NDArray[np.float32], ords: Sequence[int]
    ) -> None:
        """Take vectors in."""
        about: Any = [{"ord": ord_} for ord_ in ords]
        await self._run(
            lambda _: found.handle.upsert(ids=list(ids), embeddings=list(vectors), metadatas=about)
        )

    async def delete(self, found: Found, where: Where) -> None:
        """Remove what a filter lets through."""
        await self._run(lambda _: found.handle.delete(where=dict(where)))

    async def query(
        self, found: Found, vector: NDArray[np.float32], count: int, where: Where | None
    ) -> list[tuple[int, float]]:
        """The nearest, nearest first."""
        answer = await self._run(
            lambda _: found.handle.query(
                query_embeddings=[vector],
                n_results=count,
                where=None if where is None else dict(where),
                include=["distances"],
            )
        )
        return scored(answer["ids"][0], answer["distances"][0])

    async def count(self, found: Found) -> int:
        """How many vectors there are."""
        return await self._run(lambda _: int(found.handle.count()))

    async def aclose(self) -> None:
        """Give it back."""
        await self._folder.aclose()

    async def _run(self, question: Callable[[ClientAPI], T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._folder.run(lambda client: self._answered(client, question))
        except (OSError, ValueError, RuntimeError) as error:
            raise Unavailable(f"{self._name} cannot be had ({type(error).__name__})") from error

    def _answered(self, client: ClientAPI, question: Callable[[ClientAPI], T]) -> T:
        """In the folder's thread."""
        from chromadb.errors import ChromaError, NotFoundError

        try:
            return question(client)
        except NotFoundError as error:
            raise Missing from error
        except ChromaError as error:
            raise refused(self._name, error.code()) from error


def _opened(path: str) -> ClientAPI:
    """A client; the package is loaded in the folder's thread, as that takes a second."""
    try:
        from chromadb import PersistentClient
        from chromadb.config import Settings
    except ModuleNotFoundError as error:
        raise MissingExtra("Chroma in a folder needs chromadb: pip install 'perdure[chroma]'") from error
    return PersistentClient(path, settings=Settings(anonymized_telemetry=False))


def _shut(client: Any) -> None:
    client.close()


def _of(collection: Any) -> Found:
    return Found(id=str(collection.id), handle=collection)
