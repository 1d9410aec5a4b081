"""The client service: `Batch` for the client library, and the plain operations for all others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, TypedDict, TypeVar

import grpc

from kvstore.client.levels import Level
from kvstore.client.receipts import Receipt
from kvstore.codec.trailers import PUSHBACK_KEY
from kvstore.errors import DeadlineExceeded, KVStoreError
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.requests import Request
from kvstore.rpc.batch import SECTIONS_MAX, BatchReply, Sections, response_of
from kvstore.rpc.errors import refuse, refuse_with
from kvstore.rpc.key_calls import KeyCalls
from kvstore.rpc.node_view import NodeView
from kvstore.rpc.plain import Context, record_to_wire, time_left_s
from kvstore.rpc.read_levels import level_of_many, receipts_to_wire
from kvstore.rpc.router import Found, Router

_PAGE_KEYS_MAX: Final = 10_000
_PAGE_BYTES_MAX: Final = 1 << 20

T = TypeVar("T")


class _Range(TypedDict):
    """What a scan is asked for; see Router."""

    prefix: bytes | None
    start: bytes | None
    end: bytes | None
    limit: int
    reverse: bool
    consistent: bool
    consistency: Level
    cursor: str | None
    receipts: list[Receipt]
    timeout_s: float


class KVService:
    """See the module."""

    def __init__(self, view: NodeView, router: Router, tick_ms: int) -> None:
        self._view = view
        self._router = router
        self._tick_s = tick_ms / 1000
        self._sections = Sections(view)
        self._keys = KeyCalls(router)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a server is given."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            "kvstore.v1.KV",
            {
                "Batch": unary(
                    self.batch, pb.BatchRequest.FromString, pb.BatchResponse.SerializeToString
                ),
                "Scan": unary(
                    self.scan, pb.ScanRequest.FromString, pb.ScanResponse.SerializeToString
                ),
                **self._keys.handlers(),
                "Count": unary(
                    self.count, pb.CountRequest.FromString, pb.CountResponse.SerializeToString
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
        peer = context.peer()
        full = admission.enter(peer, count, size)
        if full is not None:
            again_ms = round(admission.drains_in_ticks() * self._tick_s * 1000)
            hint = ((PUSHBACK_KEY, str(again_ms)),)
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, full, more=hint)
        reply = BatchReply(asyncio.get_running_loop().create_future(), count)
        timeout_ticks = int(time_left_s(context) / self._tick_s)
        requests: list[Request] = []
        try:
            requests = self._sections.enter(request, reply, timeout_ticks)
            await reply.done
        finally:
            admission.leave(peer, count, size)
            if not reply.done.done() or reply.done.cancelled():
                for each in requests:
                    each.abandon()
        return response_of(reply)

    async def scan(self, request: pb.ScanRequest, context: Context) -> pb.ScanResponse:
        """A page of keys in order over all partitions."""
        try:
            if request.close:
                await self._router.unpin(request.cursor, timeout_s=time_left_s(context))
                return pb.ScanResponse()
            page = await self._scan(request, time_left_s(context))
        except KVStoreError as problem:
            await refuse_with(context, problem)
        if page.next_cursor and not (request.reverse or request.cursor or request.consistent):
            page.next_start = page.records[-1].key + b"\0"
        return page

    async def _scan(self, request: pb.ScanRequest, timeout_s: float) -> pb.ScanResponse:
        limit = min(request.limit or _PAGE_KEYS_MAX, _PAGE_KEYS_MAX)
        wanted: _Range = {
            "prefix": request.prefix or None,
            "start": request.start or None,
            "end": request.end or None,
            "limit": limit,
            "reverse": request.reverse,
            "consistent": request.consistent,
            "consistency": level_of_many(request),
            "cursor": request.cursor or None,
            "receipts": [],
            "timeout_s": timeout_s,
        }
        if request.keys_only:
            keys = self._router.scan_keys(**wanted)
            page = await _page(keys, lambda key: pb.Record(key=key), limit)
        else:
            records = self._router.scan_records(**wanted)
            page = await _page(records, lambda pair: record_to_wire(*pair), limit)
        page.receipts.extend(receipts_to_wire(wanted["receipts"]))
        return page

    async def count(self, request: pb.CountRequest, context: Context) -> pb.CountResponse:
        """How many keys there are."""
        left_s = time_left_s(context)
        receipts: list[Receipt] = []
        try:
            async with asyncio.timeout(left_s):
                count = await self._router.count(
                    prefix=request.prefix or None,
                    start=request.start or None,
                    end=request.end or None,
                    receipts=receipts,
                    timeout_s=left_s,
                )
        except TimeoutError:
            sentence = f"the keys were not counted within {left_s:.1f} s: give the call more time"
            await refuse_with(context, DeadlineExceeded(sentence))
        except KVStoreError as problem:
            await refuse_with(context, problem)
        return pb.CountResponse(count=count, receipts=receipts_to_wire(receipts))


async def _page(found: Found[T], convert: Callable[[T], pb.Record], limit: int) -> pb.ScanResponse:
    """The entries of `found` as far as a page goes, and where the next one begins: in the same
    views, where there are such."""
    response = pb.ScanResponse()
    size = 0
    async with contextlib.aclosing(found):
        async for entry in found:
            record = convert(entry)
            response.records.append(record)
            size += len(record.key) + len(record.value)
            if size >= _PAGE_BYTES_MAX or len(response.records) >= limit:
                response.next_cursor = found.pin() if found.is_consistent else found.cursor
                break
        response.revisions.update(found.revisions)
    return response
