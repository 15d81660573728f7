"""Vectors in Qdrant: a collection for a store, in which an owner is a tenant."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import UUID

from grpc import RpcError
from httpx import Limits
from pydantic import SecretStr, TypeAdapter, ValidationError
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from perdure.beside import Opened, lost, owner
from perdure.errors import ConfigurationError, PerdureError, Unavailable
from perdure.lanes import Lanes
from perdure.options import at_least, hide
from perdure.ports.derived import Near, Point
from perdure.types import Partition
from perdure.vectors.folders import Folder
from perdure.vectors.points import address, batches, changed, nearest_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

_MARK: Final = str(UUID(int=0))
"""The point whose payload tells contents apart; it belongs to no owner."""
_TENANTS: Final = {"m": 0, "payload_m": 16}
"""An index for each owner and none over all, as Qdrant advises for many tenants."""
_FLOATS: Final = 50_000
"""So many numbers are sent in one request, at most: they become JSON on the event loop, in some 20 ms."""
_MOST: Final = 1 << 20
"""Pieces that are asked for at most."""


@dataclass(frozen=True, kw_only=True)
class QdrantVectors:
    """A piece of a text is a point; its payload says whose it is (`owner`) and of which version (`ord`).

    Vectors have unit length, so that their product is the cosine.
    """

    url: str | None = field(default=None, repr=False)
    """Where it is, as `https://qdrant.example.org:6333`; without it, `host` and `port`."""
    host: str | None = None
    """The server; without `url`, `host` and `path`: `localhost`."""
    port: int = 6333
    """For HTTP."""
    grpc_port: int = 6334
    """For gRPC."""
    https: bool | None = None
    """Whether `host` is asked by HTTPS; without it, where there is a key."""
    api_key: SecretStr | None = field(default=None, repr=False)
    """The key, where the server wants one."""
    path: Path | None = None
    """A folder, without any server: searched piece by piece, for one process at a time, and for small data."""
    prefer_grpc: bool = False
    """Use gRPC instead of HTTP."""
    prefix: str = "perdure"
    """What the names of all collections begin with."""
    timeout: float = 5.0
    """Seconds that one call may take, connecting included."""
    connection_pool_size: int = 10
    """Connections at once, of one event loop."""
    on_disk: bool = False
    """Keep vectors on disk, and in memory what is needed of them."""
    hnsw_config: Mapping[str, Any] | None = None
    """Qdrant's options of its index, as `m`, `payload_m`, `ef_construct`; without them, one of 16 links an owner."""
    quantization_config: Mapping[str, Any] | None = None
    """Qdrant's options for smaller vectors beside the exact ones, as `{"scalar": {"type": "int8"}}`."""
    exact: int = 10_000
    """Owners with so many pieces are searched exactly; of larger ones the index finds nearly all."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a key that is a plain text is hidden.

        Raises:
            ValueError: options exclude each other, or one is out of its range.
        """
        if sum(way is not None for way in (self.url, self.host, self.path)) > 1:
            raise ValueError("give one of url, host and path")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url has to begin with http:// or https://")
        at_least(self, timeout=0.001, connection_pool_size=1, exact=0)
        hide(self, "api_key")
        _ = self._hnsw, self._quantization  # what Qdrant would refuse is refused here

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        if self.path is not None:
            return f"Qdrant in {self.path}"
        return f"Qdrant at {address(self.url) if self.url else f'{self._host}:{self.port}'}"

    async def open(self, namespace: str, dimensions: int) -> str:
        """Make the collection, if there is none; find the mark that tells contents apart, or leave one."""
        place = f"{self.prefix}-{namespace}"
        if not await self._call(lambda client: client.collection_exists(place)):
            await self._create(place, dimensions)
        if (contents := await self._contents(place)) is None:
            mark = models.PointStruct(
                id=_MARK, vector=[1.0] + [0.0] * (dimensions - 1), payload={"contents": secrets.token_hex(8)}
            )
            await self._call(lambda client: client.upsert(place, [mark], wait=True))
            contents = await self._contents(place)  # of several who leave one, the last
        if contents is None:
            raise lost(self.name)
        self._open.place, self._open.contents = place, contents
        return contents

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, after what they replace and what is dead has been removed."""
        if not (ords := changed(points, dead)):
            return
        await self._check()
        going = models.FilterSelector(filter=_filter(partition, ords))
        operations: list[Any] = [models.DeleteOperation(delete=going)]
        for batch in batches(points, _FLOATS):
            told = _points(owner(partition), batch)
            upsert = models.UpsertOperation(upsert=models.PointsList(points=told))
            await self._update([*operations, upsert])
            operations = []
        if operations:
            await self._update(operations)

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest, exactly while the owner has few."""
        counted = self._call(
            lambda client: client.count(self._open.place, count_filter=_filter(partition), exact=False)
        )
        size, _ = await asyncio.gather(counted, self._check())
        wanted, parameters = _filter(partition, among), self._parameters(size.count)

        async def ask(count: int) -> list[tuple[int, float]]:
            answer = await self._call(
                lambda client: client.query_points(
                    self._open.place,
                    query=vector.tolist(),
                    query_filter=wanted,
                    limit=count,
                    with_payload=["ord"],
                    search_params=parameters,
                )
            )
            return [(int((point.payload or {})["ord"]), point.score) for point in answer.points]

        return await nearest_once(ask, limit=limit, most=_MOST)

    async def held(self, partition: Partition) -> int:
        """How many points the owner has."""
        await self._check()
        counted = await self._call(
            lambda client: client.count(self._open.place, count_filter=_filter(partition), exact=True)
        )
        return counted.count

    async def forget(self, partition: Partition) -> None:
        """Remove the owner's points."""
        await self._check()
        gone = models.FilterSelector(filter=_filter(partition))
        await self._call(lambda client: client.delete(self._open.place, gone, wait=True))

    async def drop(self, namespace: str) -> None:
        """Remove the collection."""
        await self._call(lambda client: client.delete_collection(f"{self.prefix}-{namespace}"))

    async def aclose(self) -> None:
        """Close the connections, or the folder."""
        if self.path is not None:
            await self._folder.aclose()
        else:
            await self._lanes.aclose()

    async def _create(self, place: str, dimensions: int) -> None:
        vectors = models.VectorParams(
            size=dimensions, distance=models.Distance.DOT, on_disk=self.on_disk or None
        )
        options: dict[str, Any] = {
            "hnsw_config": self._hnsw,
            "quantization_config": self._quantization,
            "on_disk_payload": self.on_disk,
        }
        try:
            await self._call(lambda client: client.create_collection(place, vectors, **options))
        except (ConfigurationError, Unavailable):
            if not await self._call(lambda client: client.collection_exists(place)):
                raise  # else another process was faster
        if self.path is not None:
            return  # a folder has no indexes
        tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        number = models.PayloadSchemaType.INTEGER
        await self._call(lambda client: client.create_payload_index(place, "owner", tenant, wait=True))
        await self._call(lambda client: client.create_payload_index(place, "ord", number, wait=True))

    async def _contents(self, place: str) -> str | None:
        """What the mark says; None without one."""
        found = await self._call(lambda client: client.retrieve(place, [_MARK], with_payload=True))
        return str((found[0].payload or {})["contents"]) if found else None

    async def _check(self) -> None:
        """Be sure that the contents are those that were opened.

        Raises:
            Unavailable: they are lost.
        """
        if await self._contents(self._open.place) != self._open.contents:
            raise lost(self.name)

    async def _update(self, operations: list[Any]) -> None:
        await self._call(lambda client: client.batch_update_points(self._open.place, operations, wait=True))

    def _parameters(self, size: int) -> models.SearchParams | None:
        if self.path is not None:
            return None  # a folder is searched exactly, and knows none
        if size <= self.exact:
            return models.SearchParams(exact=True)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=2.0)
        return models.SearchParams(quantization=rescored if self.quantization_config else None)

    async def _call(self, question: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        """What Qdrant answers.

        Raises:
            Unavailable: not now.
            ConfigurationError: not with this configuration.
        """
        try:
            async with asyncio.timeout(self.timeout):
                if self.path is not None:
                    # the blocking client has the same methods
                    return await self._folder.run(cast("Callable[[QdrantClient], T]", question))
                return await question(await self._lanes.client())
        except (ApiException, RpcError, OSError, ValueError, RuntimeError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> PerdureError:
        if isinstance(error, UnexpectedResponse):
            status, said = error.status_code, error.reason_phrase
        elif isinstance(error, RpcError):
            status, said = _status(error)
        elif isinstance(error, ValueError) and "not found" in str(error):
            status, said = 404, "not found"  # in a folder
        elif isinstance(error, RuntimeError) and "already accessed" in str(error):
            return Unavailable(f"{self.name} is in use by another process: name a server with url instead")
        else:
            return Unavailable(f"{self.name} cannot be had ({type(error).__name__})")
        if status == 404:
            return lost(self.name)
        if status in {400, 401, 403, 422}:
            return ConfigurationError(f"{self.name} refuses us ({status} {said}): mend the configuration")
        return Unavailable(f"{self.name} cannot be had ({status} {said})")

    def _client(self) -> AsyncQdrantClient:
        return AsyncQdrantClient(
            url=self.url,
            host=None if self.url else self._host,
            port=self.port,
            grpc_port=self.grpc_port,
            prefer_grpc=self.prefer_grpc,
            https=self.https,
            api_key=None if self.api_key is None else self.api_key.get_secret_value(),
            timeout=math.ceil(self.timeout),
            **self._pool,
            check_compatibility=False,  # a request at construction, which would block the loop
        )

    @property
    def _pool(self) -> dict[str, Any]:
        """As many connections as there may be: left alone, the client takes no notice of that where it is local."""
        most = self.connection_pool_size
        if self.prefer_grpc:  # where channels to one server share a connection unless they are told not to
            return {"pool_size": most, "grpc_options": {"grpc.use_local_subchannel_pool": 1}}
        return {"limits": Limits(max_connections=most, max_keepalive_connections=most)}

    @property
    def _host(self) -> str:
        return self.host or "localhost"

    @cached_property
    def _hnsw(self) -> models.HnswConfigDiff:
        valid: models.HnswConfigDiff = _valid(
            models.HnswConfigDiff, {**_TENANTS, **(self.hnsw_config or {})}, "hnsw_config"
        )
        return valid

    @cached_property
    def _quantization(self) -> models.QuantizationConfig | None:
        if self.quantization_config is None:
            return None
        valid: models.QuantizationConfig = _valid(
            models.QuantizationConfig, dict(self.quantization_config), "quantization_config"
        )
        return valid

    @cached_property
    def _open(self) -> Opened:
        return Opened()

    @cached_property
    def _lanes(self) -> Lanes[AsyncQdrantClient]:
        return Lanes(self._client, AsyncQdrantClient.close, subject=self.name)

    @cached_property
    def _folder(self) -> Folder[QdrantClient]:
        assert self.path is not None
        return Folder(self.path, kind="qdrant", make=_in_folder, shut=QdrantClient.close)


def _in_folder(path: str) -> QdrantClient:
    return QdrantClient(path=path, force_disable_check_same_thread=True)


def _valid(kind: Any, options: Mapping[str, Any], name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(options)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{name} is none that Qdrant knows: {wrong}") from error


def _filter(partition: Partition, ords: Sequence[int] | None = None) -> models.Filter:
    """An owner's points; only of these versions, if given."""
    must: list[Any] = [models.FieldCondition(key="owner", match=models.MatchValue(value=owner(partition)))]
    if ords is not None:
        must.append(models.FieldCondition(key="ord", match=models.MatchAny(any=list(ords))))
    return models.Filter(must=must)


def _points(whose: str, batch: Sequence[tuple[int, int, NDArray[np.float32]]]) -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=_id(whose, ord_, number), vector=vector.tolist(), payload={"owner": whose, "ord": ord_}
        )
        for ord_, number, vector in batch
    ]


def _id(whose: str, ord_: int, number: int) -> str:
    """Always the same for a piece: told twice, it is there once."""
    return str(UUID(bytes=blake2b(f"{whose}/{ord_}/{number}".encode(), digest_size=16).digest()))


def _status(error: Any) -> tuple[int, str]:
    """The status of HTTP that is nearest to one of gRPC."""
    said = error.code().name
    statuses = {"NOT_FOUND": 404, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "INVALID_ARGUMENT": 400}
    return statuses.get(said, 503), said.lower().replace("_", " ")
