"""The client service: `Batch` for the client library, and the plain operations for all others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol, TypedDict, cast

import grpc

from kvstore.codec.record import Record
from kvstore.errors import KVStoreError
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.requests import Request
from kvstore.rpc.batch import SECTIONS_MAX, BatchReply, Sections, response_of
from kvstore.rpc.errors import refuse, refuse_with
from kvstore.rpc.node_view import NodeView

_TIMEOUT_S_DEFAULT: Final = 10.0
_TIMEOUT_S_MAX: Final = 60.0
_MARGIN_S_MIN: Final = 0.05
_PAGE_KEYS_MAX: Final = 10_000
_PAGE_BYTES_MAX: Final = 1 << 20

Context = grpc.aio.ServicerContext[Any, Any]


class _Range(TypedDict):
    """What a scan is asked for; see Router."""

    prefix: bytes | None
    start: bytes | None
    end: bytes | None
    limit: int
    timeout_s: float


class Router(Protocol):
    """Operations that find their partition's leader, wherever it is."""

    async def put(self, key: bytes, value: bytes, *, timeout_s: float | None = None) -> int:
        """The write's revision."""
        ...

    async def get_record(self, key: bytes, *, timeout_s: float | None = None) -> Record | None:
        """None where there is no such key."""
        ...

    async def delete(self, key: bytes, *, timeout_s: float | None = None) -> bool:
        """Whether there was such a key."""
        ...

    def scan_records(
        self,
        *,
        prefix: bytes | None = None,
        start: bytes | None = None,
        end: bytes | None = None,
        limit: int | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[tuple[bytes, Record], None]:
        """Keys in order over all partitions, with their records."""
        ...

    def scan_keys(
        self,
        *,
        prefix: bytes | None = None,
        start: bytes | None = None,
        end: bytes | None = None,
        limit: int | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Keys in order over all partitions."""
        ...


class KVService:
    """See the module."""

    def __init__(self, view: NodeView, router: Router, tick_ms: int) -> None:
        self._view = view
        self._router = router
        self._tick_s = tick_ms / 1000
        self._sections = Sections(view)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a server is given."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            "kvstore.v1.KV",
            {
                "Batch": unary(
                    self.batch, pb.BatchRequest.FromString, pb.BatchResponse.SerializeToString
                ),
                "Get": unary(self.get, pb.GetRequest.FromString, pb.GetResponse.SerializeToString),
                "Put": unary(self.put, pb.PutRequest.FromString, pb.PutResponse.SerializeToString),
                "Delete": unary(
                    self.delete, pb.DeleteRequest.FromString, pb.DeleteResponse.SerializeToString
                ),
                "Scan": unary(
                    self.scan, pb.ScanRequest.FromString, pb.ScanResponse.SerializeToString
                ),
            },
        )

    async def batch(self, request: pb.BatchRequest, context: Context) -> pb.BatchResponse:
        """Answers every section, each for itself; fails as a whole only before it has begun."""
        view = self._view
        if not view.partitions:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "the cluster is still starting")
        if request.cluster_id and request.cluster_id != view.cluster_id:
            await refuse(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                f"this node belongs to cluster {view.cluster_id}, not {request.cluster_id}",
            )
        count = len(request.bodies)
        if not len(request.partition_ids) == len(request.kinds) == count <= SECTIONS_MAX:
            await refuse(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"partition_ids, kinds and bodies must be parallel, up to {SECTIONS_MAX} long",
            )
        response = pb.BatchResponse()
        if count:
            response = await self._answer(request, count, context)
        if request.map_epoch < view.epoch:
            message = view.map_message()
            if message is not None:
                response.map.CopyFrom(message)
        return response

    async def _answer(
        self, request: pb.BatchRequest, count: int, context: Context
    ) -> pb.BatchResponse:
        admission = self._view.host.admission
        size = request.ByteSize()
        full = admission.enter(count, size)
        if full is not None:
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, full)
        reply = BatchReply(asyncio.get_running_loop().create_future(), count)
        timeout_ticks = int(_time_left_s(context) / self._tick_s)
        requests: list[Request] = []
        try:
            requests = self._sections.enter(request, reply, timeout_ticks)
            await reply.done
        finally:
            admission.leave(count, size)
            if not reply.done.done() or reply.done.cancelled():
                for each in requests:
                    each.abandon()
        return response_of(reply)

    async def get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """One key, linearizable."""
        try:
            record = await self._router.get_record(request.key, timeout_s=_time_left_s(context))
        except KVStoreError as problem:
            await refuse_with(context, problem)
        if record is None:
            return pb.GetResponse()
        return pb.GetResponse(record=_record(request.key, record))

    async def put(self, request: pb.PutRequest, context: Context) -> pb.PutResponse:
        """One key, durable when it returns."""
        try:
            revision = await self._router.put(
                request.key, request.value, timeout_s=_time_left_s(context)
            )
        except KVStoreError as problem:
            await refuse_with(context, problem)
        return pb.PutResponse(revision=revision)

    async def delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteResponse:
        """One key, durable when it returns."""
        try:
            deleted = await self._router.delete(request.key, timeout_s=_time_left_s(context))
        except KVStoreError as problem:
            await refuse_with(context, problem)
        return pb.DeleteResponse(deleted=deleted)

    async def scan(self, request: pb.ScanRequest, context: Context) -> pb.ScanResponse:
        """A page of keys in order over all partitions."""
        response = pb.ScanResponse()
        limit = min(request.limit or _PAGE_KEYS_MAX, _PAGE_KEYS_MAX)
        size = 0
        try:
            async with contextlib.aclosing(self._found(request, limit, context)) as found:
                async for record in found:
                    response.records.append(record)
                    size += len(record.key) + len(record.value)
                    if size >= _PAGE_BYTES_MAX or len(response.records) >= limit:
                        response.next_start = record.key + b"\0"
                        break
        except KVStoreError as problem:
            await refuse_with(context, problem)
        return response

    async def _found(
        self, request: pb.ScanRequest, limit: int, context: Context
    ) -> AsyncGenerator[pb.Record, None]:
        wanted: _Range = {
            "prefix": request.prefix or None,
            "start": request.start or None,
            "end": request.end or None,
            "limit": limit,
            "timeout_s": _time_left_s(context),
        }
        if request.keys_only:
            async with contextlib.aclosing(self._router.scan_keys(**wanted)) as keys:
                async for key in keys:
                    yield pb.Record(key=key)
        else:
            async with contextlib.aclosing(self._router.scan_records(**wanted)) as records:
                async for key, record in records:
                    yield _record(key, record)


def _record(key: bytes, record: Record) -> pb.Record:
    return pb.Record(
        key=key,
        value=record.value,
        version=record.version,
        create_revision=record.create_revision,
        mod_revision=record.mod_revision,
    )


def _time_left_s(context: Context) -> float:
    """Until when to answer: before the caller gives up, so that it learns what is known."""
    # None without a deadline, whatever the stubs say.
    left = cast("float | None", context.time_remaining())
    if left is None:
        return _TIMEOUT_S_DEFAULT
    left = min(left, _TIMEOUT_S_MAX)
    return max(0.0, left - max(_MARGIN_S_MIN, left / 10))
