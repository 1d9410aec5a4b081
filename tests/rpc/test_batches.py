"""`Batch` calls on a real host: what is taken, and what is left of a call whose caller is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn, cast

import grpc
import pytest

from cluster.ids import NodeId, PartitionId, ReplicaId
from kvstore.codec.byteslist import encode_list
from kvstore.codec.command import OperationKind, encode_command
from kvstore.codec.read_level import encode_level_read, encode_level_scan, split_bound
from kvstore.codec.scan import Scan, ViewAction, decode_page, encode_scan
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.admission import AdmissionLimits
from kvstore.replica.requests import Status
from kvstore.rpc.batch import BatchReply, Sections, response_of
from kvstore.rpc.kv_service import KVService
from kvstore.rpc.node_view import NodeView
from kvstore.rpc.plain import Context
from kvstore.rpc.router import Router
from kvstore.tick_times import TickTimes
from tests.replica.world import LONG_TICKS, World

ME = ReplicaId(1)
KEY = b"key"


class Call:
    """As much of a gRPC context as an answer needs."""

    def __init__(self, peer: str = "[::1]:1") -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float:
        return 30.0


class Refused(Exception):
    """What ends a call."""


class RefusedCall(Call):
    """Remembers how it was ended."""

    async def abort(
        self, code: grpc.StatusCode, details: str, metadata: Sequence[tuple[str, str]]
    ) -> NoReturn:
        self.code, self.said = code, dict(metadata)
        raise Refused(details)


@pytest.fixture
def world() -> World:
    """A node alone, which leads everything."""
    world = World(size=1)
    world.until(world.serves)
    return world


def view_of(world: World) -> NodeView:
    return NodeView(
        host=world.members[ME].host,
        node_id=NodeId("n1"),
        me=ME,
        version="1",
        uptime_s=lambda: 0.0,
        log_bytes=lambda: 0,
        tick_ms=50,
        loop_lag=TickTimes(1),
        round_times=TickTimes(1),
        slowest_log_write_s=lambda: 0.0,
        unfit_reason=lambda: "",
        rebuilds=lambda: 0,
    )


def write_to(partition: PartitionId) -> pb.BatchRequest:
    command = encode_command(bytes((OperationKind.PUT,)), [KEY], [b"value"])
    return pb.BatchRequest(
        partition_ids=[partition], kinds=[pb.SECTION_KIND_WRITE], bodies=[command]
    )


async def test_a_key_is_taken_only_by_its_own_partition(world: World) -> None:
    sections = Sections(view_of(world))
    for partition in map(PartitionId, range(world.partitions)):
        reply = BatchReply(asyncio.get_running_loop().create_future(), 1)
        sections.enter(write_to(partition), reply, LONG_TICKS)
        world.run()
        (answer,) = reply.answers
        assert answer is not None
        own = partition == world.partition_of(KEY)
        assert answer.status is (Status.OK if own else Status.INVALID)


async def answer_of(world: World, partition: int, kind: int, body: bytes) -> pb.BatchResponse:
    """What one section is answered with."""
    request = pb.BatchRequest(partition_ids=[partition], bodies=[body])
    request.kinds.append(kind)  # type: ignore[arg-type]  # its number
    reply = BatchReply(asyncio.get_running_loop().create_future(), 1)
    Sections(view_of(world)).enter(request, reply, LONG_TICKS)
    world.run()
    return response_of(reply)


async def test_every_answer_says_where_it_stands_and_a_refusal_says_nothing(world: World) -> None:
    partition = world.partition_of(KEY)
    command = encode_command(bytes((OperationKind.PUT,)), [KEY], [b"value"])
    written = await answer_of(world, partition, pb.SECTION_KIND_WRITE, command)
    (index,) = written.indexes
    assert index > 0
    assert list(written.revisions) == [1]
    for kind, body in (
        (pb.SECTION_KIND_READ, encode_list([KEY])),
        (pb.SECTION_KIND_READ_SESSION, encode_level_read(index, [KEY])),
        (pb.SECTION_KIND_READ_STALE, encode_level_read(0, [KEY])),
    ):
        read = await answer_of(world, partition, kind, body)
        assert list(read.statuses) == [pb.SECTION_STATUS_OK]
        where = (*read.indexes, *read.terms, *read.revisions)
        assert where == (*written.indexes, *written.terms, 1)
    refused = await answer_of(world, partition, pb.SECTION_KIND_READ_SESSION, b"")
    assert list(refused.statuses) == [pb.SECTION_STATUS_INVALID]
    assert (*refused.indexes, *refused.terms, *refused.revisions) == (0, 0, 0)


async def test_keys_of_level_reads_keep_the_limits(world: World) -> None:
    for kind in (pb.SECTION_KIND_READ_SESSION, pb.SECTION_KIND_READ_STALE):
        for body in (encode_level_read(0, [b""]), encode_level_read(0, [])):
            response = await answer_of(world, 0, kind, body)
            assert list(response.statuses) == [pb.SECTION_STATUS_INVALID]


async def test_scans_of_any_replica_are_answered_and_have_no_view(world: World) -> None:
    partition = world.partition_of(KEY)
    command = encode_command(bytes((OperationKind.PUT,)), [KEY], [b"value"])
    (index,) = (await answer_of(world, partition, pb.SECTION_KIND_WRITE, command)).indexes
    plain = encode_scan(Scan(b"", None, 0, 1000))
    viewed = encode_scan(Scan(b"", None, 0, 1000, view_action=ViewAction.OPEN, view=1))
    for kind, bound in ((pb.SECTION_KIND_SCAN_SESSION, index), (pb.SECTION_KIND_SCAN_STALE, 0)):
        served = await answer_of(world, partition, kind, encode_level_scan(bound, plain))
        assert list(served.statuses) == [pb.SECTION_STATUS_OK]
        assert list(served.indexes) == [index]
        (result,) = served.results
        page = split_bound(result)[1] if kind == pb.SECTION_KIND_SCAN_STALE else result
        assert list(decode_page(page).keys) == [KEY]
        for bad in (encode_level_scan(bound, viewed), encode_level_scan(bound, b"scan"), b"short"):
            refused = await answer_of(world, partition, kind, bad)
            assert list(refused.statuses) == [pb.SECTION_STATUS_INVALID]


async def test_a_level_read_that_waits_ends_with_its_call(world: World) -> None:
    service = KVService(view_of(world), cast("Router", None), tick_ms=50)
    body = encode_level_read(1000, [KEY])
    kinds = [pb.SECTION_KIND_READ_SESSION]
    request = pb.BatchRequest(partition_ids=[world.partition_of(KEY)], kinds=kinds, bodies=[body])
    call = asyncio.create_task(service.batch(request, cast("Context", Call())))
    await asyncio.sleep(0)
    world.tick(10)
    response = await call
    assert list(response.statuses) == [pb.SECTION_STATUS_BEHIND]
    assert "1000 is asked for" in response.details[0]


async def test_a_call_whose_caller_is_gone_does_not_stay_counted(world: World) -> None:
    service = KVService(view_of(world), cast("Router", None), tick_ms=50)
    request = write_to(world.partition_of(KEY))
    call = asyncio.create_task(service.batch(request, cast("Context", Call())))
    await asyncio.sleep(0)
    admission = world.members[ME].host.admission
    everything = AdmissionLimits().requests_max
    assert admission.enter("other", everything, 0) is not None, "the call is under way"
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert admission.enter("other", everything, 0) is None


async def test_a_connection_that_floods_a_node_takes_no_room_from_another(world: World) -> None:
    service = KVService(view_of(world), cast("Router", None), tick_ms=50)
    world.members[ME].host.admission.limits = AdmissionLimits(requests_max=10)  # type: ignore[misc]
    request = write_to(world.partition_of(KEY))
    flood = [
        asyncio.create_task(service.batch(request, cast("Context", RefusedCall("greedy"))))
        for _ in range(100)
    ]
    await asyncio.sleep(0)
    modest = asyncio.create_task(service.batch(request, cast("Context", Call("modest"))))
    await asyncio.sleep(0)
    world.run()
    assert list((await modest).statuses) == [pb.SECTION_STATUS_OK]
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 95


async def test_a_call_for_which_there_is_no_room_is_told_when_to_come_back(world: World) -> None:
    service = KVService(view_of(world), cast("Router", None), tick_ms=50)
    everything = AdmissionLimits().requests_max
    assert world.members[ME].host.admission.enter("other", everything, 0) is None
    call = RefusedCall()
    with pytest.raises(Refused):
        await service.batch(write_to(world.partition_of(KEY)), cast("Context", call))
    assert call.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call.said["kvstore-outcome"] == "definite"
    assert call.said["grpc-retry-pushback-ms"] == "1000", "nothing has left so far"
