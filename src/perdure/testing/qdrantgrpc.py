"""Qdrant's gRPC for tests: what it is asked becomes what the client's own local mode is asked."""

# ruff: noqa: ARG002, N802 -- the methods have the names and arguments of the protocol

from __future__ import annotations

from typing import Any, cast

import grpc
from qdrant_client import grpc as wire
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

_DONE = wire.PointsOperationResponse(
    result=wire.UpdateResult(operation_id=1, status=wire.UpdateStatus.Completed)
)


async def serve(local: Any, port: int, peers: set[str]) -> tuple[grpc.aio.Server, int]:
    """A server that has begun, and its port; on the running event loop.

    Args:
        local: an `AsyncQdrantLocal`, of which it tells.
        port: 0 for a free one.
        peers: gets the other ends of connections.
    """
    server, added = grpc.aio.server(), cast("Any", wire)
    added.add_CollectionsServicer_to_server(_Collections(local), server)
    added.add_PointsServicer_to_server(_Points(local, peers), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, port


class _Collections(wire.CollectionsServicer):
    def __init__(self, local: Any) -> None:
        self._local = local

    async def CollectionExists(self, request: Any, context: Any) -> Any:
        exists = await self._local.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    async def Create(self, request: Any, context: Any) -> Any:
        vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        await self._local.create_collection(request.collection_name, vectors)
        return wire.CollectionOperationResponse(result=True)

    async def Delete(self, request: Any, context: Any) -> Any:
        await self._local.delete_collection(request.collection_name)
        return wire.CollectionOperationResponse(result=True)


class _Points(wire.PointsServicer):
    def __init__(self, local: Any, peers: set[str]) -> None:
        self._local = local
        self._peers = peers

    async def Upsert(self, request: Any, context: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        await self._local.upsert(request.collection_name, points)
        return _DONE

    async def UpdateBatch(self, request: Any, context: Any) -> Any:
        operations: list[Any] = []
        for operation in request.operations:
            if operation.HasField("upsert"):
                points = [GrpcToRest.convert_point_struct(point) for point in operation.upsert.points]
                operations.append(models.UpsertOperation(upsert=models.PointsList(points=points)))
            else:
                those = GrpcToRest.convert_points_selector(operation.delete_points.points)
                operations.append(models.DeleteOperation(delete=those))
        await self._local.batch_update_points(request.collection_name, operations)
        return wire.UpdateBatchResponse(result=[_DONE.result] * len(operations))

    async def Delete(self, request: Any, context: Any) -> Any:
        those = GrpcToRest.convert_points_selector(request.points)
        await self._local.delete(request.collection_name, those)
        return _DONE

    async def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        if not await self._local.collection_exists(request.collection_name):
            await context.abort(grpc.StatusCode.NOT_FOUND, "Collection not found")
        return _DONE

    async def Get(self, request: Any, context: Any) -> Any:
        self._peers.add(context.peer())
        ids = [GrpcToRest.convert_point_id(one) for one in request.ids]
        found = await self._looked(
            context, self._local.retrieve(request.collection_name, ids, with_payload=True)
        )
        return wire.GetResponse(result=[RestToGrpc.convert_record(record) for record in found])

    async def Count(self, request: Any, context: Any) -> Any:
        those = GrpcToRest.convert_filter(request.filter)
        counted = await self._looked(context, self._local.count(request.collection_name, those))
        return wire.CountResponse(result=wire.CountResult(count=counted.count))

    async def Query(self, request: Any, context: Any) -> Any:
        asked = GrpcToRest.convert_query_points(request)
        answer = await self._looked(
            context,
            self._local.query_points(
                request.collection_name,
                query=asked.query,
                query_filter=asked.filter,
                limit=asked.limit or 10,
                with_payload=True,
            ),
        )
        points = [RestToGrpc.convert_scored_point(point) for point in answer.points]
        return wire.QueryResponse(result=points)

    async def _looked(self, context: Any, answer: Any) -> Any:
        try:
            return await answer
        except ValueError:  # as of a collection that is not there
            await context.abort(grpc.StatusCode.NOT_FOUND, "Collection not found")
