"""Where Chroma's collections are: what is asked of a server, and what of a folder."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from perdure.errors import ConfigurationError, PerdureError, Unavailable

if TYPE_CHECKING:
    import aiohttp
    import numpy as np
    from numpy.typing import NDArray

    from perdure.lanes import Lanes

Where: TypeAlias = Mapping[str, Any]
"""A filter as Chroma has it."""
Options: TypeAlias = Mapping[str, Any]
"""Of the index of a collection."""


class Missing(Exception):
    """The collection is not there any more."""


class Found(NamedTuple):
    """A collection."""

    id: str
    """Of its own: one that is made again has another."""
    handle: Any
    """By which the place knows it."""


class Place(Protocol):
    """Holds collections.

    What is asked of a collection raises `Missing` when it is gone, and everything `Unavailable` or
    `ConfigurationError`.
    """

    async def find(self, name: str) -> Found | None:
        """A collection by its name."""

    async def make(self, name: str, hnsw: Options) -> Found:
        """A collection, new if there was none."""
        ...

    async def names(self) -> list[str]:
        """Of all collections."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a collection, if there is one."""

    async def upsert(
        self, found: Found, ids: Sequence[str], vectors: NDArray[np.float32], ords: Sequence[int]
    ) -> None:
        """Take vectors in."""

    async def delete(self, found: Found, where: Where) -> None:
        """Remove what a filter lets through."""

    async def query(
        self, found: Found, vector: NDArray[np.float32], count: int, where: Where | None
    ) -> list[tuple[int, float]]:
        """The nearest `ord`s with their cosines, nearest first."""
        ...

    async def count(self, found: Found) -> int:
        """How many vectors there are."""
        ...

    async def aclose(self) -> None:
        """Give it back."""


class ServerPlace:
    """A server, asked over its HTTP (version 2)."""

    def __init__(self, *, name: str, root: str, lanes: Lanes[aiohttp.ClientSession]) -> None:
        """Nothing is asked yet.

        Args:
            name: for errors.
            root: the URL of a database.
            lanes: sessions with their time-out and headers.
        """
        self._name = name
        self._root = f"{root}/collections"
        self._lanes = lanes

    async def find(self, name: str) -> Found | None:
        """A collection by its name, or None."""
        try:
            return _of(await self._call("GET", f"/{name}"))
        except Missing:
            return None

    async def make(self, name: str, hnsw: Options) -> Found:
        """A collection, new if there was none."""
        asked = {"name": name, "get_or_create": True, "configuration": {"hnsw": {**hnsw, "space": "ip"}}}
        return _of(await self._call("POST", "", asked))

    async def names(self) -> list[str]:
        """Of all collections."""
        found: list[str] = []
        while page := await self._call("GET", f"?limit=1000&offset={len(found)}"):
            found += [one["name"] for one in page]
        return found

    async def remove(self, name: str) -> None:
        """Remove a collection, if there is one."""
        try:
            await self._call("DELETE", f"/{name}")
        except Missing:
            return

    async def upsert(
        self, found: Found, ids: Sequence[str], vectors: NDArray[np.float32], ords: Sequence[int]
    ) -> None:
        """Take vectors in."""
        told = {
            "ids": list(ids),
            "embeddings": [b64encode(row.astype("<f4").tobytes()).decode() for row in vectors],
            "metadatas": [{"ord": ord_} for ord_ in ords],
        }
        await self._call("POST", f"/{found.id}/upsert", told)

    async def delete(self, found: Found, where: Where) -> None:
        """Remove what a filter lets through."""
        await self._call("POST", f"/{found.id}/delete", {"where": where})

    async def query(
        self, found: Found, vector: NDArray[np.float32], count: int, where: Where | None
    ) -> list[tuple[int, float]]:
        """The nearest, nearest first."""
        asked = {"query_embeddings": [vector.tolist()], "n_results": count, "include": ["distances"]}
        answer = await self._call("POST", f"/{found.id}/query", {**asked, "where": where})
        return scored(answer["ids"][0], answer["distances"][0])

    async def count(self, found: Found) -> int:
        """How many vectors there are."""
        return int(await self._call("GET", f"/{found.id}/count"))

    async def aclose(self) -> None:
        """Give it back."""
        await self._lanes.aclose()

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        import aiohttp

        try:
            session = await self._lanes.client()
            async with session.request(method, self._root + path, json=body, allow_redirects=False) as answer:
                if answer.ok:
                    return await answer.json(content_type=None)
                status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a time-out is an OSError
            raise Unavailable(f"{self._name} cannot be had ({type(error).__name__})") from error
        raise Missing if status == 404 else refused(self._name, status)


def scored(ids: Sequence[str], distances: Sequence[float]) -> list[tuple[int, float]]:
    """The `ord`s in ids, and cosines: a distance is 1 less the product."""
    return [
        (int(id_.partition("/")[0]), 1.0 - distance) for id_, distance in zip(ids, distances, strict=True)
    ]


def refused(name: str, status: int) -> PerdureError:
    """What a status of HTTP means."""
    if status in {400, 401, 403, 413, 422}:
        return ConfigurationError(f"{name} refuses us ({status}): mend the configuration")
    return Unavailable(f"{name} cannot be had ({status})")


def _of(told: Mapping[str, Any]) -> Found:
    return Found(id=str(told["id"]), handle=None)
