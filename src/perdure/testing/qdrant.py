"""A server that speaks Qdrant's HTTP, for tests: its answers are those of the client's own local mode."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from aiohttp import web

START: Final = 20.0
"""Seconds in which it has to be there."""


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request as the server saw it."""

    method: str
    path: str
    """Below `/collections/`, without the query."""
    headers: Mapping[str, str]
    body: Any


class QdrantServer:
    """A server in a thread of its own, on loopback, empty at first; what Qdrant's HTTP needs for storing and finding."""

    def __init__(self) -> None:
        """Nothing is opened before `start`."""
        self.seen: list[SeenRequest] = []
        self.peers: set[str] = set()
        """The other ends of all connections by which something was asked."""
        self.status = 200
        """Another one is all that it answers."""
        self.api_key: str | None = None
        """The key that it wants."""
        self._port = 0
        self.grpc_port = 0
        """For gRPC, which it always answers."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended: asyncio.Event | None = None
        self._answering: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Of the server, the same after `stop` and `start`."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, empty."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(START):
            raise RuntimeError("the server does not start")

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._thread is not None and self._loop is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
            self._thread = None

    def hang(self) -> None:
        """Take requests and answer none, until `go_on`."""
        if self._loop is not None and self._answering is not None:
            self._loop.call_soon_threadsafe(self._answering.clear)

    def go_on(self) -> None:
        """End what `hang` began."""
        if self._loop is not None and self._answering is not None:
            self._loop.call_soon_threadsafe(self._answering.set)

    async def _serve(self, ready: threading.Event) -> None:
        from aiohttp import web
        from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal

        from perdure.testing.qdrantgrpc import serve

        self._loop, self._ended, self._answering = (
            asyncio.get_running_loop(),
            asyncio.Event(),
            asyncio.Event(),
        )
        self._answering.set()
        local = AsyncQdrantLocal(":memory:")
        answers = _Answers(local)
        app = web.Application(client_max_size=1 << 25)

        async def handle(request: web.Request) -> web.Response:
            return await self._handle(request, answers)

        app.router.add_route("*", "/collections/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self._port = runner.addresses[0][1]
        beside, self.grpc_port = await serve(local, self.grpc_port, self.peers)
        ready.set()
        await self._ended.wait()
        await beside.stop(grace=None)
        await runner.cleanup()

    async def _handle(self, request: web.Request, answers: _Answers) -> web.Response:
        from aiohttp import web

        body = json.loads(await request.read() or b"null")
        path = request.match_info["path"]
        self.seen.append(
            SeenRequest(
                method=request.method,
                path=path,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
            )
        )
        self.peers.add(str(request.transport and request.transport.get_extra_info("peername")))
        if self._answering is not None:
            await self._answering.wait()
        if self.api_key not in {None, request.headers.get("api-key")}:
            return web.Response(status=401, text="Must provide an API key or an Authorization bearer token")
        if self.status != 200:
            return _told(self.status, {"error": "told to fail"}, None)
        try:
            return _told(200, "ok", await answers.to(request.method, path, body))
        except ValueError as error:  # as of a collection that is not there
            status = 404 if "not found" in str(error) else 400
            return _told(status, {"error": str(error)}, None)


class _Answers:
    """What a method at a path does, by Qdrant's description of its HTTP."""

    def __init__(self, local: Any) -> None:
        self._local = local

    async def to(self, method: str, path: str, body: Any) -> Any:
        collection, _, rest = path.partition("/")
        ways: dict[tuple[str, str], Callable[[str, Any], Awaitable[Any]]] = {
            ("GET", "exists"): self._exists,
            ("PUT", ""): self._create,
            ("DELETE", ""): self._drop,
            ("PUT", "index"): self._index,
            ("PUT", "points"): self._upsert,
            ("POST", "points"): self._retrieve,
            ("POST", "points/batch"): self._batch,
            ("POST", "points/delete"): self._delete,
            ("POST", "points/count"): self._count,
            ("POST", "points/query"): self._query,
        }
        return await ways[method, rest](collection, body)

    async def _exists(self, collection: str, _body: Any) -> Any:
        return {"exists": await self._local.collection_exists(collection)}

    async def _create(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        made = models.CreateCollection.model_validate(body)
        return await self._local.create_collection(collection, made.vectors)

    async def _drop(self, collection: str, _body: Any) -> Any:
        return await self._local.delete_collection(collection)

    async def _index(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        models.CreateFieldIndex.model_validate(body)
        await self._local.get_collection(collection)
        return _DONE

    async def _upsert(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        await self._local.upsert(collection, models.PointsList.model_validate(body).points)
        return _DONE

    async def _retrieve(self, collection: str, body: Any) -> Any:
        return _plain(await self._local.retrieve(collection, body["ids"], with_payload=body["with_payload"]))

    async def _batch(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        operations = models.UpdateOperations.model_validate(body).operations
        await self._local.batch_update_points(collection, operations)
        return [_DONE] * len(operations)

    async def _delete(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        await self._local.delete(collection, models.FilterSelector.model_validate(body))
        return _DONE

    async def _count(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        asked = models.CountRequest.model_validate(body)
        return _plain(await self._local.count(collection, asked.filter))

    async def _query(self, collection: str, body: Any) -> Any:
        from qdrant_client import models

        asked = models.QueryRequest.model_validate(body)
        return _plain(
            await self._local.query_points(
                collection,
                query=asked.query,
                query_filter=asked.filter,
                limit=asked.limit or 10,
                with_payload=asked.with_payload or False,
            )
        )


_DONE: Final = {"operation_id": 1, "status": "completed"}


def _plain(answer: Any) -> Any:
    """As JSON has it."""
    if isinstance(answer, list):
        return [one.model_dump(mode="json") for one in answer]
    return answer.model_dump(mode="json")


def _told(status: int, said: Any, result: Any) -> web.Response:
    from aiohttp import web

    return web.json_response({"time": 0.0, "status": said, "result": result}, status=status)
