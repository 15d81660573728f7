"""Vectors in Chroma: a collection for each owner, so that an index holds nobody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import numpy as np
from pydantic import SecretStr

from perdure.beside import Opened, lost, owner
from perdure.lanes import Lanes
from perdure.options import at_least, hide
from perdure.ports.derived import Near, Point
from perdure.types import Partition
from perdure.vectors.chromafolder import FolderPlace
from perdure.vectors.chromaplaces import Found, Missing, Place, ServerPlace
from perdure.vectors.points import address, batches, changed, in_parts, nearest_once

if TYPE_CHECKING:
    import aiohttp
    from numpy.typing import NDArray

T = TypeVar("T")

_FLOATS: Final = 250_000
"""So many numbers are sent in one request, at most: 1 MB, and never more pieces than Chroma takes."""
_NAMED: Final = 5_000
"""So many versions are named in one request, at most."""
_HELD: Final = 10_000
"""So many collections are known without asking for them."""
_MOST: Final = 1 << 20
"""Pieces that are asked for at most."""
_INDEX: Final = {"ef_construction": 200, "ef_search": 1_000, "max_neighbors": 32}


@dataclass(frozen=True, kw_only=True)
class ChromaVectors:
    """A piece of a text is a record; its id is the version's number and the piece's.

    Vectors have unit length, so that their product is the cosine.
    """

    url: str | None = field(default=None, repr=False)
    """Where the server is, as `https://chroma.example.org:8000`; without it, `host` and `port`."""
    host: str | None = None
    """The server; without `url`, `host` and `path`: `localhost`."""
    port: int = 8000
    """Of the server."""
    ssl: bool = False
    """Whether `host` is asked by HTTPS."""
    api_key: SecretStr | None = field(default=None, repr=False)
    """The key, where the server wants one (`x-chroma-token`)."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """More headers of every request; they are as secret as the key."""
    tenant: str = "default_tenant"
    """Chroma's tenant."""
    database: str = "default_database"
    """Chroma's database."""
    path: Path | None = None
    """A folder, without any server, for one process at a time; wants `pip install 'perdure[chroma]'`."""
    prefix: str = "perdure"
    """What the names of all collections begin with."""
    timeout: float = 5.0
    """Seconds that one call may take, connecting included."""
    connections: int = 10
    """At once, of one event loop."""
    hnsw: Mapping[str, Any] | None = None
    """Chroma's options of the index, over `ef_construction` 200, `ef_search` 1,000 and `max_neighbors` 32."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a key that is a plain text is hidden.

        Raises:
            ValueError: options exclude each other, or one is out of its range.
        """
        if sum(way is not None for way in (self.url, self.host, self.path)) > 1:
            raise ValueError("give one of url, host and path")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url has to begin with http:// or https://")
        at_least(self, timeout=0.001, connections=1)
        hide(self, "api_key")

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        return f"Chroma {f'in {self.path}' if self.path is not None else f'at {address(self._url)}'}"

    async def open(self, namespace: str, dimensions: int) -> str:  # noqa: ARG002  # a collection takes its first vector's
        """Find the collection that holds nothing and tells contents apart, or make it."""
        place = f"{self.prefix}-{namespace}"
        mark = await self._place.make(place, {})
        self._collections.clear()
        self._open.place, self._open.contents = place, mark.id
        return mark.id

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, after what they replace and what is dead has been removed."""
        ords = changed(points, dead)

        async def put(found: Found) -> None:
            for part in in_parts(ords, _NAMED):
                await self._place.delete(found, {"ord": {"$in": part}})
            for batch in batches(points, _FLOATS):
                ids = [f"{ord_}/{number}" for ord_, number, _ in batch]
                vectors = np.stack([vector for *_, vector in batch])
                await self._place.upsert(found, ids, vectors, [ord_ for ord_, *_ in batch])

        if ords:
            await self._with(partition, put, make=bool(points))

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest that the owner's index finds."""
        parts = [None] if among is None else list(in_parts(among, _NAMED))

        async def near(found: Found) -> list[Near]:
            async def ask(count: int) -> list[tuple[int, float]]:
                scored: list[tuple[int, float]] = []
                for part in parts:
                    where = None if part is None else {"ord": {"$in": part}}
                    scored += await self._place.query(found, vector, count, where)
                return sorted(scored, key=lambda one: -one[1])[:count]

            return await nearest_once(ask, limit=limit, most=_MOST)

        return await self._with(partition, near) or []

    async def held(self, partition: Partition) -> int:
        """How many vectors the owner's collection has."""
        return await self._with(partition, self._place.count) or 0

    async def forget(self, partition: Partition) -> None:
        """Remove the owner's collection."""
        await self._check()
        self._collections.pop(partition, None)
        await self._place.remove(self._named(partition))

    async def drop(self, namespace: str) -> None:
        """Remove all collections of the namespace, the one that tells contents apart first."""
        place = f"{self.prefix}-{namespace}"
        await self._place.remove(place)
        for name in await self._place.names():
            if name.startswith(f"{place}."):
                await self._place.remove(name)

    async def aclose(self) -> None:
        """Close the connections, or the folder."""
        await self._place.aclose()

    async def _with(
        self, partition: Partition, work: Callable[[Found], Awaitable[T]], *, make: bool = False
    ) -> T | None:
        """The result of work on the owner's collection; None without one.

        One that was known and is gone has been forgotten, and perhaps made anew, by another process: it is looked for
        once more.
        """
        for _ in range(2):
            found = self._collections.get(partition) or await self._found(partition, make=make)
            if found is None:
                return None
            try:
                return await work(found)
            except Missing:
                self._collections.pop(partition, None)
        raise lost(self.name)

    async def _found(self, partition: Partition, *, make: bool) -> Found | None:
        await self._check()
        name = self._named(partition)
        if make:
            found: Found | None = await self._place.make(name, {**_INDEX, **(self.hnsw or {})})
        else:
            found = await self._place.find(name)
        if found is not None:
            if len(self._collections) >= _HELD:
                self._collections.pop(next(iter(self._collections)), None)
            self._collections[partition] = found
        return found

    async def _check(self) -> None:
        """Be sure that the contents are those that were opened.

        Raises:
            Unavailable: they are lost.
        """
        mark = await self._place.find(self._open.place)
        if mark is None or mark.id != self._open.contents:
            self._collections.clear()
            raise lost(self.name)

    def _named(self, partition: Partition) -> str:
        return f"{self._open.place}.{owner(partition)}"

    @property
    def _url(self) -> str:
        return self.url or f"{'https' if self.ssl else 'http'}://{self.host or 'localhost'}:{self.port}"

    @cached_property
    def _open(self) -> Opened:
        return Opened()

    @cached_property
    def _collections(self) -> dict[Partition, Found]:
        """Of owners, as far as they are known."""
        return {}

    @cached_property
    def _place(self) -> Place:
        if self.path is not None:
            return FolderPlace(name=self.name, path=self.path, timeout=self.timeout)
        root = f"{self._url.rstrip('/')}/api/v2/tenants/{quote(self.tenant)}/databases/{quote(self.database)}"
        return ServerPlace(name=self.name, root=root, lanes=self._lanes)

    @cached_property
    def _lanes(self) -> Lanes[aiohttp.ClientSession]:
        import aiohttp

        return Lanes(self._session, aiohttp.ClientSession.close, subject=self.name)

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        key = {} if self.api_key is None else {"x-chroma-token": self.api_key.get_secret_value()}
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.connections),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            headers={**(self.headers or {}), **key},
        )
