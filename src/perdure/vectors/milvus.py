"""Vectors in Milvus: a collection for a store, partitioned by owners."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from grpc import RpcError
from pydantic import SecretStr
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException, ParamError

from perdure.beside import Opened, lost, owner
from perdure.errors import ConfigurationError, PerdureError, Unavailable
from perdure.options import at_least, hide
from perdure.ports.derived import Near, Point
from perdure.types import Partition
from perdure.vectors.milvusplaces import Place, ServerPlace, folder
from perdure.vectors.points import address, batches, changed, in_parts, nearest_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
Index = Literal["FLAT", "HNSW", "AUTOINDEX"]
Consistency = Literal["Strong", "Session", "Bounded", "Eventually"]

_FLOATS: Final = 1_000_000
"""So many numbers are sent in one request, at most: 4 MB."""
_NAMED: Final = 5_000
"""So many versions are named in one request, at most."""
_WRITTEN: Final = 1_000
"""So many pieces Milvus Lite has in memory, where it searches ten times slower than in its files."""
_MOST: Final = 16_384
"""Pieces that can be asked for at once."""
_MAKING: Final = 60.0
"""Seconds for making a collection: a server takes some."""
_CONTENTS: Final = "perdure.contents"
"""The property of a collection that tells contents apart."""
_GONE: Final = ("collection not found", "can't find collection", "does not exist")
_REFUSED: Final = ("auth", "permission", "privilege", "denied", "database not found")


@dataclass(frozen=True, kw_only=True)
class MilvusVectors:
    """A piece of a text is an entity, with its owner as the key of its partition, and the number of its version.

    Vectors have unit length, so that their product is the cosine.
    """

    url: str | None = field(default=None, repr=False)
    """The server; without `path`: `http://localhost:19530`."""
    token: SecretStr | None = field(default=None, repr=False)
    """The key of a cloud, or `user:password`, where the server wants one."""
    db_name: str = ""
    """The database; empty: Milvus's default."""
    path: Path | None = None
    """A folder, without any server (Milvus Lite), for one process at a time, and for small data."""
    prefix: str = "perdure"
    """What the names of all collections begin with: letters, digits and `_`."""
    timeout: float = 5.0
    """Seconds that one call may take, connecting included; making a collection may take longer."""
    connections: int = 8
    """Calls at once: each has a thread."""
    index_type: Index = "FLAT"
    """`FLAT` (exact), `HNSW` or `AUTOINDEX`, which are quicker where there are millions, and may miss some."""
    m: int = 16
    """Links of a vector in `HNSW`."""
    ef_construction: int = 200
    """How far `HNSW` looks when it takes a vector in."""
    ef: int = 1_000
    """How far `HNSW` looks when it searches."""
    consistency_level: Consistency = "Strong"
    """`Strong`: a search sees what any process wrote, and waits for it (on a server, some 0.2 s)."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a token that is a plain text is hidden.

        Raises:
            ValueError: options exclude each other, or one is out of its range.
        """
        if self.url is not None and self.path is not None:
            raise ValueError("give one of url and path")
        if self.url is not None and not self.url.startswith(("http://", "https://", "tcp://", "unix:")):
            raise ValueError("url has to begin with http://, https://, tcp:// or unix:")
        if not self.prefix.isascii() or not self.prefix.isidentifier():
            raise ValueError("prefix may have letters, digits and _, and begins with no digit")
        at_least(self, timeout=0.001, connections=1, m=2, ef_construction=1, ef=1)
        hide(self, "token")

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        return f"Milvus {f'in {self.path}' if self.path is not None else f'at {address(self._url)}'}"

    async def open(self, namespace: str, dimensions: int) -> str:
        """Make the collection, if there is none, and have it loaded; a property tells contents apart."""
        place = self._named(namespace)

        def opened(client: MilvusClient) -> str:
            if not client.has_collection(place, timeout=self.timeout):
                self._make(client, place, dimensions)
            if not client.list_indexes(place):
                client.create_index(place, self._index, timeout=_MAKING, sync=False)
            client.load_collection(place, timeout=_MAKING)
            return self._contents(client, place)

        contents = await self._ask(opened, seconds=_MAKING)
        self._open.place, self._open.contents = place, contents
        return contents

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, after what they replace and what is dead has been removed."""
        if not (ords := changed(points, dead)):
            return
        await self._check()
        whose = owner(partition)
        for part in in_parts(ords, _NAMED):
            await self._delete(_filter(whose, part))
        for batch in batches(points, _FLOATS):
            await self._insert(_rows(whose, batch))
        if self.path is not None:
            await self._write(sum(len(point.vectors) for point in points))

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest that the index finds among the owner's."""
        await self._check()
        whose = owner(partition)
        wanted = [_filter(whose, part) for part in ([None] if among is None else in_parts(among, _NAMED))]

        async def ask(count: int) -> list[tuple[int, float]]:
            parameters = {"params": {"ef": max(self.ef, count)} if self.index_type == "HNSW" else {}}

            def searched(client: MilvusClient) -> list[tuple[int, float]]:
                found = [
                    client.search(
                        self._open.place,
                        data=[vector],
                        anns_field="vector",
                        filter=those,
                        limit=count,
                        output_fields=["ord"],
                        search_params=parameters,
                        consistency_level=self.consistency_level,
                        timeout=self.timeout,
                    )[0]
                    for those in wanted
                ]
                scored = [
                    (int(hit["entity"]["ord"]), float(hit["distance"])) for hits in found for hit in hits
                ]
                return sorted(scored, key=lambda one: -one[1])[:count]

            return await self._ask(searched)

        return await nearest_once(ask, limit=limit, most=_MOST)

    async def held(self, partition: Partition) -> int:
        """How many entities the owner has."""
        await self._check()
        counted: Any = await self._ask(
            lambda client: client.query(
                self._open.place,
                filter=_filter(owner(partition), None),
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=self.timeout,
            )
        )
        return int(counted[0]["count(*)"])

    async def forget(self, partition: Partition) -> None:
        """Remove the owner's entities."""
        await self._check()
        await self._delete(_filter(owner(partition), None))

    async def drop(self, namespace: str) -> None:
        """Remove the collection."""
        place = self._named(namespace)

        def dropped(client: MilvusClient) -> None:
            if client.has_collection(place, timeout=self.timeout):
                client.drop_collection(place, timeout=_MAKING)

        await self._ask(dropped, seconds=_MAKING)

    async def aclose(self) -> None:
        """Close the connections, or the folder."""
        await self._place.aclose()

    def _make(self, client: MilvusClient, place: str, dimensions: int) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=80)
        schema.add_field("owner", DataType.VARCHAR, max_length=32, is_partition_key=self.path is None)
        schema.add_field("ord", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
        try:
            client.create_collection(
                place,
                schema=schema,
                consistency_level=self.consistency_level,
                properties={_CONTENTS: secrets.token_hex(8)},
                timeout=_MAKING,
            )
        except MilvusException:
            if not client.has_collection(place, timeout=self.timeout):
                raise  # else another process was faster

    @property
    def _index(self) -> Any:
        links = {"M": self.m, "efConstruction": self.ef_construction} if self.index_type == "HNSW" else {}
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type=self.index_type, metric_type="IP", params=links)
        return index

    async def _check(self) -> None:
        """Be sure that the contents are those that were opened.

        Raises:
            Unavailable: they are lost.
        """
        place = self._open.place
        if await self._ask(lambda client: self._contents(client, place)) != self._open.contents:
            raise lost(self.name)

    def _contents(self, client: MilvusClient, place: str) -> str:
        told: Any = client.describe_collection(place, timeout=self.timeout)
        return str(told["properties"][_CONTENTS])

    async def _insert(self, told: list[dict[str, Any]]) -> None:
        await self._ask(lambda client: client.insert(self._open.place, told, timeout=self.timeout))

    async def _write(self, pieces: int) -> None:
        """Have Milvus Lite write its files, now and then."""
        self._unwritten.append(pieces)
        if sum(self._unwritten) >= _WRITTEN:
            self._unwritten.clear()
            await self._ask(lambda client: client.flush(self._open.place), seconds=_MAKING)

    async def _delete(self, those: str) -> None:
        await self._ask(lambda client: client.delete(self._open.place, filter=those, timeout=self.timeout))

    async def _ask(self, question: Callable[[MilvusClient], T], *, seconds: float | None = None) -> T:
        """What Milvus answers.

        Args:
            question: what to ask a client.
            seconds: for it, when it is not the client's own `timeout`.

        Raises:
            Unavailable: not now.
            ConfigurationError: not with this configuration.
        """
        try:
            async with asyncio.timeout(seconds or self.timeout):
                return await self._place.run(question)
        except (MilvusException, RpcError, OSError, ValueError, RuntimeError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> PerdureError:
        said = str(getattr(error, "message", "")).lower()
        if isinstance(error, MilvusException) and any(words in said for words in _GONE):
            return lost(self.name)
        code = getattr(error, "code", "")
        if isinstance(error, ParamError) or any(words in said for words in _REFUSED):
            return ConfigurationError(f"{self.name} refuses us ({code}): mend url, token or db_name")
        return Unavailable(f"{self.name} cannot be had ({type(error).__name__})")

    def _named(self, namespace: str) -> str:
        """A collection's name, which may have no `-`."""
        return f"{self.prefix}_{namespace.replace('-', '_')}"

    @property
    def _url(self) -> str:
        return self.url or "http://localhost:19530"

    @cached_property
    def _open(self) -> Opened:
        return Opened()

    @cached_property
    def _unwritten(self) -> list[int]:
        """How many pieces were taken in since Milvus Lite wrote its files."""
        return []

    @cached_property
    def _place(self) -> Place:
        if self.path is not None:
            return folder(self.path)
        options: dict[str, Any] = {"uri": self._url, "db_name": self.db_name, "timeout": self.timeout}
        if self.token is not None:
            options["token"] = self.token.get_secret_value()
        return ServerPlace(options, threads=self.connections)


def _filter(whose: str, ords: Sequence[int] | None) -> str:
    """An owner's entities; only of these versions, if given."""
    return f'owner == "{whose}"' + (f" and ord in {list(ords)}" if ords is not None else "")


def _rows(whose: str, batch: Sequence[tuple[int, int, NDArray[np.float32]]]) -> list[dict[str, Any]]:
    return [
        {"id": f"{whose}/{ord_}/{number}", "owner": whose, "ord": ord_, "vector": vector}
        for ord_, number, vector in batch
    ]
