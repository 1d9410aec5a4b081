"""A cluster that speaks the protocol over real connections, keeps its data in a dict, and fails
exactly as it is told to."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import xxhash

from cluster.partition.ranges import partition_of_hash
from kvstore.client import AsyncClient
from kvstore.codec.backup import checksum, encode_rows
from kvstore.codec.byteslist import decode_list, encode_optional_list
from kvstore.codec.command import decode_command
from kvstore.codec.limits import Limits
from kvstore.codec.read_level import decode_level_read, split_bound, with_age
from kvstore.codec.record import decode_record
from kvstore.codec.routing import key_hash
from kvstore.codec.scan import Page, Scan, ViewAction, decode_scan, encode_page
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2, map_pb2
from tests.client.fake_sessions import FakeSessions
from tests.client.fake_state import FakeState

CLUSTER_ID = "fake-cluster"
READ_LEVELS = (kv_pb2.SECTION_KIND_READ_SESSION, kv_pb2.SECTION_KIND_READ_STALE)
SCAN_LEVELS = (kv_pb2.SECTION_KIND_SCAN_SESSION, kv_pb2.SECTION_KIND_SCAN_STALE)
Context = grpc.aio.ServicerContext[Any, Any]
Fault = Callable[
    ["FakeNode", kv_pb2.BatchRequest, Context], Coroutine[Any, Any, kv_pb2.BatchResponse]
]
"""Answers a Batch call in place of the node."""
Backup = Callable[["FakeNode", "FakePartition", Context], Coroutine[Any, Any, None]]
"""Answers a Backup call."""


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Returns as soon as `condition` holds; fails the test when it does not `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)


async def cut_off(kv: AsyncClient, node: FakeNode) -> None:
    """Stops `node`, and returns when the client's connection to it is gone."""
    await node.stop()
    assert kv._dispatcher is not None
    connection = kv._dispatcher.connections.to(node.address)
    await until(lambda: not connection.is_ready())


def free_port() -> tuple[int, socket.socket]:
    """A port that refuses connections while the socket is kept open."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock.getsockname()[1], sock


@dataclass
class FakePartition(FakeState):
    leader: int = 0
    index: int = 0
    sessions: FakeSessions = field(default_factory=FakeSessions)
    scans: list[Scan] = field(default_factory=list)
    """Asked for so far."""
    views: dict[int, tuple[dict[bytes, bytes], int]] = field(default_factory=dict)
    """What was there when they were opened, and at which revision."""

    def write(self, body: bytes) -> bytes:
        command = decode_command(body)
        self.index += 1
        return self.sessions.apply(command.stamp, self.index, lambda: self.apply(command))

    def read(self, body: bytes) -> bytes:
        keys, _ = decode_list(body)
        self.expire()
        return encode_optional_list([self.data.get(key) for key in keys])

    def chunks(self) -> list[admin_pb2.BackupChunk]:
        """Of a backup, two rows to a chunk."""
        keys = sorted(self.data)
        digest = xxhash.xxh3_64()
        chunks = []
        for sequence, first in enumerate(range(0, max(1, len(keys)), 2)):
            some = keys[first : first + 2]
            rows = encode_rows(some, [self.data[key] for key in some])
            digest.update(rows)
            chunk = admin_pb2.BackupChunk(sequence=sequence, rows=rows, checksum=checksum(rows))
            chunks.append(chunk)
        chunks[0].position.applied_index = chunks[0].position.revision = self.revision
        chunks[-1].totals.records, chunks[-1].totals.rows_hash = len(keys), digest.intdigest()
        return chunks

    def scan(self, body: bytes, page_keys_max: int) -> bytes | None:
        """None: the view is gone."""
        scan = decode_scan(body)
        self.scans.append(scan)
        data, revision = self.data, 0
        if scan.view_action is ViewAction.OPEN:
            self.views.setdefault(scan.view, (self.data.copy(), self.revision))
        if scan.view_action is not ViewAction.NONE:
            if scan.view not in self.views:
                return None
            data, revision = self.views[scan.view]
        if scan.view_action is ViewAction.CLOSE:
            del self.views[scan.view]
        if scan.view_action > ViewAction.READ:
            return encode_page(Page((), (), more=False))
        matching = sorted(
            (key for key in data if key >= scan.start and (scan.end is None or key < scan.end)),
            reverse=scan.reverse,
        )
        keys: list[bytes] = []
        size = 0
        for key in matching[: min(scan.limit or page_keys_max, page_keys_max)]:
            size += len(key) + len(data[key])
            if keys and size > scan.bytes_max:
                break
            keys.append(key)
        more = len(keys) < len(matching)
        if scan.count:
            return encode_page(Page(keys[-1:], (), more, revision, len(keys)))
        records = [] if scan.keys_only else [data[key] for key in keys]
        return encode_page(Page(keys, records, more, revision))


class FakeNode:
    """One server. `faults` are used up one per Batch call; then `always`, then honest answers."""

    def __init__(self, cluster: FakeCluster, replica: int) -> None:
        self.cluster = cluster
        self.replica = replica
        self.name = f"n{replica}"
        self.port, self._held = free_port()
        self.calls: list[kv_pb2.BatchRequest] = []
        self.map_calls = 0
        self.faults: deque[Fault] = deque()
        self.on_write: Fault | None = None
        """Used up by the next call that carries writes."""
        self.always: Fault | None = None
        self.map_fault: Callable[[Context], Coroutine[Any, Any, None]] | None = None
        self.backup: Backup = honest_backup
        """What it does with Backup calls."""
        self.backups: list[int] = []
        """The partitions that were asked for."""
        self.is_behind = False
        """Whether it serves no reads but as a leader."""
        self.stale_age_ms = 7
        self.unapplied = 0
        """Entries that it says to have not yet applied."""
        self.release = asyncio.Event()
        """Ends what hangs."""
        self.server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._held.close()
        self.server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 64 << 20),
                ("grpc.max_send_message_length", 64 << 20),
            ]
        )
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "kvstore.v1.KV",
                    {"Batch": _method(self._batch, kv_pb2.BatchRequest, kv_pb2.BatchResponse)},
                ),
                grpc.method_handlers_generic_handler(
                    "kvstore.v1.Admin",
                    {
                        "GetMap": _method(
                            self._get_map, admin_pb2.GetMapRequest, admin_pb2.GetMapResponse
                        ),
                        "Status": _method(
                            self._status, admin_pb2.StatusRequest, admin_pb2.StatusResponse
                        ),
                        "Backup": _stream(self._backup),
                    },
                ),
            )
        )
        assert self.server.add_insecure_port(self.address) == self.port
        await self.server.start()

    async def stop(self) -> None:
        """Cuts all connections; further ones are refused."""
        if self.server is not None:
            server, self.server = self.server, None
            await server.stop(None)

    @property
    def has_fault(self) -> bool:
        """Whether one of those that are used up is left."""
        return bool(self.faults) or self.on_write is not None

    def sections(self, kind: int | None = None) -> int:
        """How many sections it was sent."""
        return sum(sum(kind in (None, each) for each in call.kinds) for call in self.calls)

    async def _batch(self, request: kv_pb2.BatchRequest, context: Context) -> kv_pb2.BatchResponse:
        self.calls.append(request)
        if self.on_write is not None and kv_pb2.SECTION_KIND_WRITE in request.kinds:
            fault, self.on_write = self.on_write, None
            return await fault(self, request, context)
        if self.faults:
            return await self.faults.popleft()(self, request, context)
        if self.always is not None:
            return await self.always(self, request, context)
        return self.honest(request)

    def honest(self, request: kv_pb2.BatchRequest) -> kv_pb2.BatchResponse:
        response = kv_pb2.BatchResponse()
        for partition, kind, body in zip(
            request.partition_ids, request.kinds, request.bodies, strict=True
        ):
            status, result, detail, leader = self._section(partition, kind, body)
            response.statuses.append(status)  # type: ignore[arg-type]  # an enum's number
            response.results.append(result)
            response.details.append(detail)
            response.leaders.append(leader)
            index = 0
            if status == kv_pb2.SECTION_STATUS_OK:
                index = self.cluster.partitions[partition].revision + 1
            response.indexes.append(index)
            response.terms.append(7 if index else 0)
            response.revisions.append(max(0, index - 1))
        if all(status == kv_pb2.SECTION_STATUS_OK for status in response.statuses):
            del response.details[:], response.leaders[:]
        if self.cluster.epoch > request.map_epoch:
            response.map.CopyFrom(self.cluster.map_message())
        return response

    def _section(self, number: int, kind: int, body: bytes) -> tuple[int, bytes, str, int]:
        partition = self.cluster.partitions[number]
        if kind in (*READ_LEVELS, *SCAN_LEVELS):
            return self._level_section(partition, kind, body)
        if partition.leader != self.replica:
            return kv_pb2.SECTION_STATUS_NOT_LEADER, b"", "not the leader", partition.leader
        if kind == kv_pb2.SECTION_KIND_WRITE:
            result = partition.write(body)
        elif kind == kv_pb2.SECTION_KIND_READ:
            result = partition.read(body)
        else:
            found = partition.scan(body, self.cluster.page_keys_max)
            if found is None:
                return kv_pb2.SECTION_STATUS_EXPIRED, b"", "the view is gone", 0
            result = found
        return kv_pb2.SECTION_STATUS_OK, result, "", 0

    def _level_section(
        self, partition: FakePartition, kind: int, body: bytes
    ) -> tuple[int, bytes, str, int]:
        if kind in SCAN_LEVELS:
            bound, question = split_bound(body)
            result = partition.scan(question, self.cluster.page_keys_max) or b""
        else:
            bound, keys = decode_level_read(body)
            result = encode_optional_list([partition.data.get(key) for key in keys])
        behind = bound > partition.revision + 1
        if kind in (kv_pb2.SECTION_KIND_READ_STALE, kv_pb2.SECTION_KIND_SCAN_STALE):
            behind = bound < self.stale_age_ms
            result = with_age(self.stale_age_ms, result)
        if (self.is_behind or behind) and partition.leader != self.replica:
            return kv_pb2.SECTION_STATUS_BEHIND, b"", "as told", 0
        return kv_pb2.SECTION_STATUS_OK, result, "", 0

    async def _backup(self, request: admin_pb2.BackupRequest, context: Context) -> None:
        self.backups.append(request.partition_id)
        assert request.cluster_id == CLUSTER_ID
        await self.backup(self, self.cluster.partitions[request.partition_id], context)

    async def _get_map(
        self, request: admin_pb2.GetMapRequest, context: Context
    ) -> admin_pb2.GetMapResponse:
        self.map_calls += 1
        if self.map_fault is not None:
            await self.map_fault(context)
        return admin_pb2.GetMapResponse(map=self.cluster.map_message())

    async def _status(
        self, request: admin_pb2.StatusRequest, context: Context
    ) -> admin_pb2.StatusResponse:
        replicas = []
        for number, partition in enumerate(self.cluster.partitions):
            leads = partition.leader == self.replica
            lags = [
                admin_pb2.ReplicaLag(replica_id=other, entries=other)
                for other in self.cluster.nodes
                if leads and other != self.replica
            ]
            replicas.append(
                admin_pb2.ReplicaStatus(
                    group_id=number + 1,
                    role="leader" if leads else "follower",
                    term=7,
                    leader_replica_id=partition.leader,
                    commit_index=partition.revision,
                    applied_index=max(0, partition.revision - self.unapplied),
                    lags=lags,
                )
            )
        return admin_pb2.StatusResponse(
            node_id=self.name,
            replica_id=self.replica,
            cluster_id=CLUSTER_ID,
            version="0.1.0",
            map_epoch=self.cluster.epoch,
            uptime_s=1.5,
            replicas=replicas,
        )


async def honest_backup(node: FakeNode, partition: FakePartition, context: Context) -> None:
    if partition.leader != node.replica:
        outcome = (("kvstore-outcome", "definite"),)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "does not lead", outcome)
    for chunk in partition.chunks():
        await context.write(chunk)


def _stream(
    behaviour: Callable[[Any, Any], Coroutine[Any, Any, Any]],
) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_stream_rpc_method_handler(
        behaviour,
        request_deserializer=admin_pb2.BackupRequest.FromString,
        response_serializer=admin_pb2.BackupChunk.SerializeToString,
    )


def _method(
    behaviour: Callable[[Any, Any], Coroutine[Any, Any, Any]], request: Any, response: Any
) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


class FakeCluster:
    def __init__(self, nodes: int = 3, partitions: int = 4) -> None:
        self.nodes = {replica: FakeNode(self, replica) for replica in range(1, nodes + 1)}
        self.partitions = [FakePartition() for _ in range(partitions)]
        self.spread_leaders()
        self.epoch = 1
        self.cluster_id = CLUSTER_ID
        self.limits = Limits(value_bytes_max=1 << 20)
        self.tell_leaders = True
        """Whether maps say who leads."""
        self.tell_partitions = True
        """False: a cluster that is still starting."""
        self.page_keys_max = 1 << 30

    def spread_leaders(self) -> None:
        for number, partition in enumerate(self.partitions):
            partition.leader = number % len(self.nodes) + 1

    def lead_all(self, replica: int) -> FakeNode:
        for partition in self.partitions:
            partition.leader = replica
        return self.nodes[replica]

    @property
    def endpoints(self) -> list[str]:
        return [node.address for node in self.nodes.values()]

    @property
    def calls(self) -> int:
        """Batch calls so far."""
        return sum(len(node.calls) for node in self.nodes.values())

    @property
    def data(self) -> dict[bytes, bytes]:
        """All keys with their values."""
        return {
            key: decode_record(record).value
            for partition in self.partitions
            for key, record in partition.data.items()
        }

    def partition_of(self, key: bytes) -> int:
        return partition_of_hash(key_hash(key), len(self.partitions))

    def leader_of(self, key: bytes) -> FakeNode:
        return self.nodes[self.partitions[self.partition_of(key)].leader]

    def keys_of(self, partition: int, count: int) -> list[bytes]:
        """`count` keys that live in `partition`."""
        keys = (b"key-%d" % number for number in range(1_000_000))
        found: list[bytes] = []
        for key in keys:
            if self.partition_of(key) == partition:
                found.append(key)
                if len(found) == count:
                    break
        return found

    def map_message(self) -> map_pb2.ClusterMap:
        message = map_pb2.ClusterMap(
            cluster_id=self.cluster_id,
            epoch=self.epoch,
            key_bytes_max=self.limits.key_bytes_max,
            value_bytes_max=self.limits.value_bytes_max,
            batch_bytes_max=self.limits.batch_bytes_max,
        )
        for node in self.nodes.values():
            message.nodes.add(replica_id=node.replica, node_id=node.name, address=node.address)
        if self.tell_partitions:
            for number, partition in enumerate(self.partitions):
                message.partitions.add(
                    partition_id=number,
                    replica_ids=list(self.nodes),
                    leader_replica_id=partition.leader if self.tell_leaders else 0,
                )
        return message


@asynccontextmanager
async def running(nodes: int = 3, partitions: int = 4) -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster(nodes, partitions)
    for node in cluster.nodes.values():
        await node.start()
    try:
        yield cluster
    finally:
        for node in cluster.nodes.values():
            node.release.set()
            await node.stop()


# --- faults


def every_section(status: int, detail: str = "as told", leader: int = 0) -> Fault:
    """All sections are answered with `status`; nothing is applied."""

    async def answer(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        count = len(request.bodies)
        return kv_pb2.BatchResponse(
            statuses=[status] * count,  # type: ignore[list-item]  # an enum's number
            results=[b""] * count,
            details=[detail] * count,
            leaders=[leader] * count,
        )

    return answer


async def hang(
    node: FakeNode, request: kv_pb2.BatchRequest, context: Context
) -> kv_pb2.BatchResponse:
    """Answers honestly, once `release` is set."""
    await node.release.wait()
    return node.honest(request)


def hang_partitions(partitions: Iterable[int]) -> Fault:
    """Calls that carry one of `partitions` hang."""
    stuck = set(partitions)

    async def answer(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        if stuck.intersection(request.partition_ids):
            await node.release.wait()
        return node.honest(request)

    return answer


def drop(*, applied: bool) -> Fault:
    """Cuts the connection instead of answering, after or before the request was applied."""

    async def answer(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        if applied:
            node.honest(request)
        stopping = asyncio.ensure_future(node.stop())
        await asyncio.shield(stopping)
        raise AssertionError("a stopped server still runs its calls")

    return answer


async def unanswered(
    node: FakeNode, request: kv_pb2.BatchRequest, context: Context
) -> kv_pb2.BatchResponse:
    """Applies all of it, and ends the call without saying so."""
    node.honest(request)
    await context.abort(grpc.StatusCode.INTERNAL, "as told")


def writes_only(fault: Fault) -> Fault:
    """`fault` for calls that carry writes; others are answered honestly."""

    async def answer(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        if kv_pb2.SECTION_KIND_WRITE in request.kinds:
            return await fault(node, request, context)
        return node.honest(request)

    return answer


def abort(
    code: grpc.StatusCode, outcome: str | None = None, pushback_ms: str | None = None
) -> Fault:
    """Ends the call with `code`, and with the trailing metadata that nodes add."""

    async def answer(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        said = {"kvstore-outcome": outcome, "grpc-retry-pushback-ms": pushback_ms}
        metadata = tuple((key, value) for key, value in said.items() if value is not None)
        await context.abort(code, "as told", metadata)

    return answer
