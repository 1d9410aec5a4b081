"""Backups: the data of one partition as they are at one moment, as a stream of chunks.

The node makes sure that it leads (ReadIndex), as for any read; then it takes a view of the engine,
and sends what that shows, at the pace of whoever reads it. Losing the leadership meanwhile changes
nothing: the view stays what it was, and every write acknowledged before the call is in it.

One chunk is read at a time and handed to gRPC, which takes it when the one before has left; so a
backup takes a few chunks of memory, however large the partition and however slow the reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import grpc
import xxhash

from cluster.ids import GroupId, PartitionId, group_of
from kvstore.codec.backup import CHUNK_BYTES, checksum, encode_rows
from kvstore.codec.record import with_time_left
from kvstore.codec.scan import Page
from kvstore.errors import ResourceExhausted, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.replica.requests import Answer, ReadRequest, Status
from kvstore.rpc.batch import BatchReply
from kvstore.rpc.errors import refuse, refuse_with
from kvstore.rpc.node_view import NodeView
from kvstore.storage.partition_view import PartitionView

BACKUPS_MAX: Final = 2
"""Under way from one node: a view keeps what is deleted meanwhile from being given back to the
disk."""
BEGIN_S_MAX: Final = 2.0
"""How long a backup waits for the node to make sure that it leads."""
SILENCE_S_MAX: Final = 30.0
"""Without the caller taking a chunk; then the view is let go of."""

Context = grpc.aio.ServicerContext[Any, Any]


class BackupService:
    """See the module. Beside AdminService, whose method it is on the wire."""

    def __init__(
        self, view: NodeView, tick_ms: int, *, silence_s_max: float = SILENCE_S_MAX
    ) -> None:
        self._view = view
        self._begin_ticks = int(BEGIN_S_MAX * 1000 / tick_ms)
        self._silence_s_max = silence_s_max
        self._under_way = 0
        self._views: dict[PartitionView, None] = {}
        self._closed = False

    @property
    def views(self) -> int:
        """How many there are at the moment."""
        return len(self._views)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a server is given."""
        return grpc.method_handlers_generic_handler(
            "kvstore.v1.Admin",
            {
                "Backup": grpc.unary_stream_rpc_method_handler(
                    self.backup, pb.BackupRequest.FromString, pb.BackupChunk.SerializeToString
                )
            },
        )

    def close(self) -> None:
        """Lets go of all views; backups under way end as if the node had crashed."""
        self._closed = True
        while self._views:
            self._views.popitem()[0].close()

    async def backup(self, request: pb.BackupRequest, context: Context) -> None:
        """Sends the chunks of one partition."""
        view = self._view
        if not view.partitions:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "the cluster is still starting")
        if request.cluster_id not in ("", view.cluster_id):
            sentence = f"this node belongs to cluster {view.cluster_id}, not {request.cluster_id}"
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, sentence)
        if request.partition_id >= view.partitions:
            sentence = f"partition is {request.partition_id}; there are {view.partitions}"
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, sentence)
        group = group_of(PartitionId(request.partition_id))
        try:
            async with aclosing(self._chunks(group)) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(self._silence_s_max):
                        await context.write(chunk)
        except TimeoutError:
            sentence = f"nobody took a chunk for {self._silence_s_max:g} s"
            await refuse(context, grpc.StatusCode.ABORTED, sentence)
        except (Unavailable, ResourceExhausted) as problem:
            await refuse_with(context, problem)

    async def _chunks(self, group: GroupId) -> AsyncGenerator[pb.BackupChunk, None]:
        """The chunks; raises Unavailable and ResourceExhausted."""
        if self._under_way >= BACKUPS_MAX:
            raise ResourceExhausted(f"{BACKUPS_MAX} backups are being read from this node already")
        self._under_way += 1
        try:
            await self._lead(group)
            view = self._open(group)
            try:
                async for chunk in self._read(view):
                    yield chunk
            finally:
                self._views.pop(view, None)
                view.close()
        finally:
            self._under_way -= 1

    async def _lead(self, group: GroupId) -> None:
        """Returns when all that was acknowledged before the call is applied here."""
        reply = BatchReply(asyncio.get_running_loop().create_future(), 1)
        nothing = ReadRequest(reply, 0, [])
        self._view.host.read(group, nothing, self._begin_ticks)
        try:
            await reply.done
        finally:
            nothing.abandon()
        (answer,) = reply.answers
        if answer is None or answer.status is not Status.OK:
            raise Unavailable(_refusal(answer))

    def _open(self, group: GroupId) -> PartitionView:
        state = self._view.host.replicas[group].state
        if self._closed or state is None:
            raise Unavailable("the node stops")
        view = state.view()
        self._views[view] = None
        return view

    async def _read(self, view: PartitionView) -> AsyncGenerator[pb.BackupChunk, None]:
        position = pb.BackupPosition(
            applied_index=view.applied_index, term=view.term, revision=view.revision
        )
        chunk = pb.BackupChunk(position=position)
        digest = xxhash.xxh3_64()
        records = 0
        more = True
        while more:
            page = self._next_page(view)
            records_left = [with_time_left(each, view.clock_ms) for each in page.records]
            rows = encode_rows(page.keys, records_left)
            digest.update(rows)
            records += len(page.keys)
            chunk.rows, chunk.checksum = rows, checksum(rows)
            more = page.more
            if not more:
                chunk.totals.records, chunk.totals.rows_hash = records, digest.intdigest()
            yield chunk
            chunk = pb.BackupChunk(sequence=chunk.sequence + 1)

    def _next_page(self, view: PartitionView) -> Page:
        if not self._closed:
            # Damage that is found here stops the node, as it does wherever else it is found.
            with self._view.host.guard:
                return view.next_page(CHUNK_BYTES)
        raise Unavailable("the node stops")


def _refusal(answer: Answer | None) -> str:
    if answer is None or answer.status is Status.NOT_LEADER:
        return "this node does not lead the partition"
    return answer.detail or answer.status.name
