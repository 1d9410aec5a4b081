"""Every way in which a call can be answered or lost, and what the caller is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import grpc
import pytest

from kvstore.client import AsyncClient
from kvstore.client.outcomes import PUSHBACK_S_MAX, Verdict, judge
from kvstore.codec.trailers import PUSHBACK_KEY
from kvstore.errors import (
    InvalidArgument,
    KVStoreError,
    Outcome,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, FakeNode, until

WRITE = kv_pb2.SECTION_KIND_WRITE
DEFINITE = "definite"
UNKNOWN = "unknown"

Do = Callable[..., Awaitable[object]]


def put(kv: AsyncClient, timeout_s: float = 30) -> Awaitable[object]:
    return kv.put("key", "value", timeout_s=timeout_s)


def delete(kv: AsyncClient, timeout_s: float = 30) -> Awaitable[object]:
    return kv.delete("key", timeout_s=timeout_s)


def get(kv: AsyncClient, timeout_s: float = 30) -> Awaitable[object]:
    return kv.get("key", timeout_s=timeout_s)


async def scan(kv: AsyncClient, timeout_s: float = 30) -> object:
    return [entry async for entry in kv.scan(timeout_s=timeout_s)]


class GivesUp(Random):
    """Backoffs that are short at first and then outlast any deadline, so that no try is under way
    when one passes: that would leave a write unknown."""

    tries = 8

    def uniform(self, a: float, b: float) -> float:
        self.tries -= 1
        return 0.001 if self.tries > 0 else 3600.0


@pytest.fixture
async def impatient(cluster: FakeCluster) -> AsyncIterator[AsyncClient]:
    cluster.tell_leaders = False  # news of a leader would end the backoff
    async with AsyncClient(cluster.endpoints, random=GivesUp()) as client:
        yield client


# --- sections


@pytest.mark.parametrize("do", [put, delete, get, scan])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (kv_pb2.SECTION_STATUS_NOT_LEADER, Unavailable),
        (kv_pb2.SECTION_STATUS_UNAVAILABLE, Unavailable),
        (kv_pb2.SECTION_STATUS_OVERLOADED, ResourceExhausted),
    ],
)
async def test_a_refusal_is_tried_again_until_the_deadline_and_then_definite(
    impatient: AsyncClient,
    cluster: FakeCluster,
    do: Do,
    status: int,
    error: type[KVStoreError],
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(status, "no majority")
    with pytest.raises(error, match=r"no majority|does not lead") as caught:
        await do(impatient, timeout_s=0.4)
    assert type(caught.value) is error
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.calls > 2
    assert not cluster.data


async def test_a_refused_write_is_not_under_way_when_its_time_runs_out(
    cluster: FakeCluster,
) -> None:
    """Each refusal takes so long that a try at any time would as a rule be cut by the deadline."""

    async def refuse_late(
        node: FakeNode, request: kv_pb2.BatchRequest, context: fake.Context
    ) -> kv_pb2.BatchResponse:
        await asyncio.sleep(0.04)
        return await fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE)(node, request, context)

    for node in cluster.nodes.values():
        node.always = refuse_late
    async with AsyncClient(cluster.endpoints) as kv:
        await kv.cluster_map()
        outcomes = await asyncio.gather(
            *(kv.put(f"key-{i}", "", timeout_s=0.3 + i / 100) for i in range(64)),
            return_exceptions=True,
        )
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_callers_in_a_hurry_find_out_when_a_partition_is_well_again(
    cluster: FakeCluster,
) -> None:
    """That there is no time for another try, as refusals have taught, is not believed for good."""

    async def refuse_late(
        node: FakeNode, request: kv_pb2.BatchRequest, context: fake.Context
    ) -> kv_pb2.BatchResponse:
        await asyncio.sleep(0.1)
        return await fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE)(node, request, context)

    for node in cluster.nodes.values():
        node.always = refuse_late
    async with AsyncClient(cluster.endpoints) as kv:
        await kv.cluster_map()
        for _ in range(8):
            with pytest.raises(KVStoreError):
                await kv.put("key", "", timeout_s=0.25)
        for node in cluster.nodes.values():
            node.always = None
        outcomes = [
            await asyncio.gather(kv.put("key", "", timeout_s=0.09), return_exceptions=True)
            for _ in range(8)
        ]
    assert any(isinstance(outcome, int) for (outcome,) in outcomes)


@pytest.mark.parametrize("do", [put, delete, get, scan])
@pytest.mark.parametrize(
    "status",
    [
        kv_pb2.SECTION_STATUS_NOT_LEADER,
        kv_pb2.SECTION_STATUS_UNAVAILABLE,
        kv_pb2.SECTION_STATUS_OVERLOADED,
    ],
)
async def test_a_refusal_that_passes_is_not_seen(
    kv: AsyncClient, cluster: FakeCluster, do: Do, status: int
) -> None:
    for node in cluster.nodes.values():
        node.faults.extend([fake.every_section(status)] * 2)
    await do(kv)


@pytest.mark.parametrize("do", [put, delete, get, scan])
async def test_an_invalid_section_is_not_tried_again(
    kv: AsyncClient, cluster: FakeCluster, do: Do
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_INVALID, "a rule")
    with pytest.raises(InvalidArgument, match="a rule"):
        await do(kv)
    assert max(len(node.calls) for node in cluster.nodes.values()) == 1


@pytest.mark.parametrize("status", [kv_pb2.SECTION_STATUS_UNKNOWN, 99])
@pytest.mark.parametrize("do", [put, delete])
async def test_a_write_of_unknown_outcome_is_sent_again_until_the_deadline_and_then_unknown(
    impatient: AsyncClient, cluster: FakeCluster, do: Do, status: int
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(status, "leader changed")
    with pytest.raises(OutcomeUnknown, match=r"leader changed.*may have been applied") as caught:
        await do(impatient, timeout_s=0.4)
    assert type(caught.value) is OutcomeUnknown
    assert caught.value.outcome is Outcome.UNKNOWN
    assert cluster.calls > 2


@pytest.mark.parametrize("status", [kv_pb2.SECTION_STATUS_UNKNOWN, 99])
async def test_a_write_of_unknown_outcome_is_sent_again_as_it_was(
    kv: AsyncClient, cluster: FakeCluster, status: int
) -> None:
    for node in cluster.nodes.values():
        node.faults.extend([fake.every_section(status)] * 2)
    await asyncio.gather(*(kv.put(f"{{t}}{i}", "") for i in range(10)))
    bodies = {
        body for node in cluster.nodes.values() for call in node.calls for body in call.bodies
    }
    assert len(bodies) == 1
    assert cluster.calls > 2


@pytest.mark.parametrize("do", [get, scan])
async def test_a_read_of_unknown_outcome_is_sent_again(
    kv: AsyncClient, cluster: FakeCluster, do: Do
) -> None:
    for node in cluster.nodes.values():
        node.faults.append(fake.every_section(kv_pb2.SECTION_STATUS_UNKNOWN))
    await do(kv)


async def test_one_section_of_a_call_fails_without_the_others(cluster: FakeCluster) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv:

        async def fail_partition_0(*_: object) -> kv_pb2.BatchResponse:
            request = node.calls[-1]
            response = node.honest(request)
            bad = list(request.partition_ids).index(0)
            del response.details[:], response.leaders[:]
            response.statuses[bad] = kv_pb2.SECTION_STATUS_INVALID
            response.details.extend(["a rule"] * len(request.bodies))
            return response

        node.faults.append(fail_partition_0)
        keys = [cluster.keys_of(partition, 1)[0] for partition in range(4)]
        results = await asyncio.gather(*(kv.put(key, "") for key in keys), return_exceptions=True)
    assert [type(result) for result in results] == [InvalidArgument, int, int, int]


@pytest.mark.parametrize("broken", ["sections", "results"])
async def test_after_an_answer_that_makes_no_sense_it_is_tried_again(
    kv: AsyncClient, cluster: FakeCluster, broken: str
) -> None:
    node = cluster.leader_of(b"key")

    async def nonsense(*_: object) -> kv_pb2.BatchResponse:
        if broken == "sections":
            return kv_pb2.BatchResponse()
        return kv_pb2.BatchResponse(statuses=[kv_pb2.SECTION_STATUS_OK], results=[b"?"])

    node.faults.append(nonsense)
    await put(kv)
    node.faults.append(nonsense)
    assert await get(kv) == b"value"
    assert cluster.calls >= 4


# --- whole calls


@pytest.mark.parametrize(
    ("code", "outcome", "error", "is_tried_again"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, DEFINITE, Unavailable, True),
        (grpc.StatusCode.UNAVAILABLE, DEFINITE, Unavailable, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, DEFINITE, ResourceExhausted, True),
        (grpc.StatusCode.INVALID_ARGUMENT, DEFINITE, InvalidArgument, False),
        (grpc.StatusCode.UNAUTHENTICATED, DEFINITE, Unavailable, False),
        (grpc.StatusCode.PERMISSION_DENIED, DEFINITE, Unavailable, False),
        (grpc.StatusCode.UNIMPLEMENTED, None, Unavailable, False),
        (grpc.StatusCode.UNAVAILABLE, None, OutcomeUnknown, True),
        (grpc.StatusCode.UNAVAILABLE, UNKNOWN, OutcomeUnknown, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, OutcomeUnknown, True),
        (grpc.StatusCode.FAILED_PRECONDITION, None, OutcomeUnknown, True),
        (grpc.StatusCode.UNAUTHENTICATED, None, OutcomeUnknown, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, None, OutcomeUnknown, True),
        (grpc.StatusCode.CANCELLED, None, OutcomeUnknown, True),
        (grpc.StatusCode.INTERNAL, None, OutcomeUnknown, True),
    ],
)
async def test_a_write_in_a_failed_call_is_definite_only_where_the_node_says_so(
    impatient: AsyncClient,
    cluster: FakeCluster,
    code: grpc.StatusCode,
    outcome: str | None,
    error: type[KVStoreError],
    is_tried_again: bool,
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.abort(code, outcome)
    with pytest.raises(error, match=code.name) as caught:
        await put(impatient, timeout_s=0.4)
    assert type(caught.value) is error
    assert caught.value.outcome is (
        Outcome.UNKNOWN if error is OutcomeUnknown else Outcome.DEFINITE
    )
    assert (cluster.calls > 1) is is_tried_again


@pytest.mark.parametrize(
    ("pushback_ms", "at_least_s"),
    [("300", 0.3), ("0", 0.0), ("-1", 0.0), ("soon", 0.0), ("9" * 5000, 0.0)],
)
async def test_a_node_with_too_much_to_do_is_not_asked_again_before_it_said(
    kv: AsyncClient, cluster: FakeCluster, pushback_ms: str, at_least_s: float
) -> None:
    await put(kv)
    for node in cluster.nodes.values():
        node.faults.append(fake.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, DEFINITE, pushback_ms))
    before = cluster.calls
    began_s = time.monotonic()
    await put(kv)
    assert time.monotonic() - began_s >= at_least_s
    assert cluster.calls == before + 2


def test_no_node_keeps_clients_away_for_long() -> None:
    trailers = grpc.aio.Metadata(("kvstore-outcome", DEFINITE), (PUSHBACK_KEY, "999999999"))
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    failure = judge(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "", None), "n1")
    assert failure.verdict is Verdict.OVERLOADED
    assert failure.again_in_s == PUSHBACK_S_MAX


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    ],
)
@pytest.mark.parametrize("do", [get, scan])
async def test_a_read_in_a_failed_call_is_sent_again(
    kv: AsyncClient, cluster: FakeCluster, do: Do, code: grpc.StatusCode
) -> None:
    for node in cluster.nodes.values():
        node.faults.append(fake.abort(code))
    await do(kv)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_write_whose_connection_is_lost_goes_to_the_next_leader_and_is_applied_once(
    kv: AsyncClient, cluster: FakeCluster, applied: bool
) -> None:
    partition = cluster.partitions[cluster.partition_of(b"key")]
    node = cluster.leader_of(b"key")
    node.faults.append(fake.drop(applied=applied))
    writing = asyncio.ensure_future(kv.put("key", "value"))
    await until(lambda: node.server is None)
    partition.leader = node.replica % 3 + 1
    assert await writing == 1
    assert partition.revision == 1
    assert partition.sessions.repeated == applied


@pytest.mark.parametrize("applied", [True, False])
async def test_a_write_whose_connection_is_lost_for_good_is_unknown(
    kv: AsyncClient, cluster: FakeCluster, applied: bool
) -> None:
    cluster.leader_of(b"key").faults.append(fake.drop(applied=applied))
    with pytest.raises(OutcomeUnknown, match=r"UNAVAILABLE.*may have been applied"):
        # Long enough that the connection is lost before the call's own time is over.
        await kv.put("key", "value", timeout_s=2)
    assert (b"key" in cluster.data) is applied


async def test_a_read_whose_connection_is_lost_goes_to_the_next_leader(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    partition = cluster.partitions[cluster.partition_of(b"key")]
    node = cluster.leader_of(b"key")
    node.faults.append(fake.drop(applied=False))
    reading = asyncio.ensure_future(kv.get("key"))
    await until(lambda: node.server is None)
    partition.leader = node.replica % 3 + 1
    assert await reading == b"value"


# --- never sent


async def test_a_write_to_a_dead_leader_goes_to_the_next_one(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "old")
    node = cluster.leader_of(b"key")
    await fake.cut_off(kv, node)
    writing = asyncio.ensure_future(kv.put("key", "new"))
    asked = sum(n.map_calls for n in cluster.nodes.values())
    await until(lambda: sum(n.map_calls for n in cluster.nodes.values()) > asked)
    assert not writing.done()
    cluster.partitions[cluster.partition_of(b"key")].leader = node.replica % 3 + 1
    await writing
    assert cluster.data[b"key"] == b"new"


async def test_a_write_that_no_node_could_be_sent_is_definite(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.get("key")
    before = cluster.calls
    for node in cluster.nodes.values():
        await fake.cut_off(kv, node)
    with pytest.raises(Unavailable, match=r"no connection to n\d") as caught:
        await put(kv, timeout_s=0.3)
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.calls == before


async def test_a_node_that_comes_back_is_used_again(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("key", "old")
    node = cluster.leader_of(b"key")
    await fake.cut_off(kv, node)
    writing = asyncio.ensure_future(kv.put("key", "new"))
    asked = sum(n.map_calls for n in cluster.nodes.values())
    await until(lambda: sum(n.map_calls for n in cluster.nodes.values()) > asked)
    await node.start()
    await writing
    assert cluster.data[b"key"] == b"new"
