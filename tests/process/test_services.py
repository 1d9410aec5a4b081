"""What other languages and tools see of a node: plain calls, health and reflection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from kvstore import LocalCluster
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KEYS = [b"plain/%03d" % number for number in range(50)]


class Plain:
    """Plain calls to one node, as a client in any language makes them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def __call__(self, method: str, request: Any, answer: Any) -> Any:
        call = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await call(request, timeout=10)

    async def put(self, key: bytes, value: bytes) -> kv_pb2.PutResponse:
        request = kv_pb2.PutRequest(key=key, value=value)
        response = await self("/kvstore.v1.KV/Put", request, kv_pb2.PutResponse)
        assert isinstance(response, kv_pb2.PutResponse)
        return response

    async def get(self, key: bytes) -> kv_pb2.GetResponse:
        response = await self("/kvstore.v1.KV/Get", kv_pb2.GetRequest(key=key), kv_pb2.GetResponse)
        assert isinstance(response, kv_pb2.GetResponse)
        return response

    async def scan(self, **wanted: Any) -> kv_pb2.ScanResponse:
        request = kv_pb2.ScanRequest(**wanted)
        response = await self("/kvstore.v1.KV/Scan", request, kv_pb2.ScanResponse)
        assert isinstance(response, kv_pb2.ScanResponse)
        return response


@pytest.fixture(params=["n1", "n2", "n3"])
async def plain(cluster: LocalCluster, request: pytest.FixtureRequest) -> AsyncIterator[Plain]:
    """Each node in turn: any of them serves every key."""
    async with grpc.aio.insecure_channel(cluster.addresses[request.param]) as channel:
        yield Plain(channel)


async def test_any_node_puts_gets_and_deletes_any_key(plain: Plain) -> None:
    for key in KEYS[:16]:
        first = (await plain.put(key, b"one")).revision
        second = (await plain.put(key, b"two")).revision
        assert second > first
        record = (await plain.get(key)).record
        assert (record.key, record.value, record.mod_revision) == (key, b"two", second)
        assert record.version >= 2
        delete = kv_pb2.DeleteRequest(key=key)
        for existed in (True, False):
            gone = await plain("/kvstore.v1.KV/Delete", delete, kv_pb2.DeleteResponse)
            assert gone.deleted is existed
        assert not (await plain.get(key)).HasField("record")


async def test_pages_of_a_scan_join_to_all_keys_in_order(plain: Plain) -> None:
    for key in KEYS:
        await plain.put(key, b"value of " + key)
    found: list[tuple[bytes, bytes]] = []
    start = b""
    while True:
        page = await plain.scan(prefix=b"plain/", start=start, limit=7)
        assert len(page.records) <= 7
        found += [(record.key, record.value) for record in page.records]
        if not page.HasField("next_start"):
            break
        start = page.next_start
    assert found == [(key, b"value of " + key) for key in KEYS]


@pytest.mark.parametrize("reverse", [False, True])
async def test_pages_by_cursor_join_to_all_keys_in_either_direction(
    plain: Plain, reverse: bool
) -> None:
    for key in KEYS[:20]:
        await plain.put(key, b"v")
    page = await plain.scan(prefix=b"plain/", end=KEYS[20], limit=6, reverse=reverse)
    assert page.HasField("next_start") is not reverse
    found = [record.key for record in page.records]
    while page.HasField("next_cursor"):
        page = await plain.scan(cursor=page.next_cursor, limit=6)
        assert not page.HasField("next_start")
        found += [record.key for record in page.records]
    assert found == sorted(KEYS[:20], reverse=reverse)


async def test_pages_of_a_consistent_scan_are_of_one_revision_while_writes_go_on(
    plain: Plain,
) -> None:
    for key in KEYS[:20]:
        await plain.put(key, b"old")
    page = await plain.scan(prefix=b"plain/", end=KEYS[20], limit=6, consistent=True)
    pinned, found = dict(page.revisions), list(page.records)
    assert set(pinned) == set(range(16))
    while page.HasField("next_cursor"):
        for key in KEYS[:20]:
            await plain.put(key, b"new")
        page = await plain.scan(cursor=page.next_cursor, limit=6)
        assert dict(page.revisions) == pinned
        assert {each.partition_id for each in page.receipts} == set(pinned)
        found += page.records
    assert [(record.key, record.value) for record in found] == [(key, b"old") for key in KEYS[:20]]
    first = await plain.scan(prefix=b"plain/", limit=6, consistent=True)
    await plain.scan(cursor=first.next_cursor, close=True)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await plain.scan(cursor=first.next_cursor)
    assert refused.value.code() is grpc.StatusCode.ABORTED


async def test_many_keys_and_scans_are_of_the_level_that_is_asked_for(plain: Plain) -> None:
    written = [await plain.put(key, b"v") for key in KEYS]
    seen: dict[int, int] = {}
    for each in written:
        number = each.receipt.partition_id
        seen[number] = max(seen.get(number, 0), each.receipt.index)
        assert each.index == each.receipt.index
        assert each.receipt.revision >= each.revision
    for level, more in (
        (kv_pb2.CONSISTENCY_LINEARIZABLE, {}),
        (kv_pb2.CONSISTENCY_SESSION, {"min_indexes": seen}),
        (kv_pb2.CONSISTENCY_STALE, {"max_staleness_ms": 0}),
    ):
        asked = kv_pb2.GetManyRequest(keys=KEYS, consistency=level, **more)
        many = await plain("/kvstore.v1.KV/GetMany", asked, kv_pb2.GetManyResponse)
        page = await plain.scan(prefix=b"plain/", consistency=level, **more)
        assert [record.key for record in many.records] == KEYS
        assert [record.key for record in page.records] == KEYS
        for receipts in (many.receipts, page.receipts):
            assert {each.consistency for each in receipts} == {level}
            assert seen.keys() <= {each.partition_id for each in receipts}
            assert all(each.index >= seen.get(each.partition_id, 0) for each in receipts)


async def test_keys_are_counted(plain: Plain) -> None:
    for key in KEYS:
        await plain.put(key, b"v")
    for wanted, count in (
        (kv_pb2.CountRequest(prefix=b"plain/"), 50),
        (kv_pb2.CountRequest(start=KEYS[10], end=KEYS[13]), 3),
    ):
        answer = await plain("/kvstore.v1.KV/Count", wanted, kv_pb2.CountResponse)
        assert answer.count == count


async def test_a_scan_of_keys_only_leaves_the_values_out(plain: Plain) -> None:
    await plain.put(KEYS[0], b"value")
    page = await plain.scan(start=KEYS[0], end=KEYS[0] + b"\0", keys_only=True)
    assert [(record.key, record.value) for record in page.records] == [(KEYS[0], b"")]


@pytest.mark.parametrize(
    "call",
    [
        lambda plain: plain.get(b""),
        lambda plain: plain.put(b"k" * 5000, b""),
        lambda plain: plain.scan(cursor="nonsense"),
    ],
)
async def test_a_call_that_breaks_a_rule_is_refused_as_invalid(
    plain: Plain, call: Callable[[Plain], Any]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(plain)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_batch_for_another_cluster_is_refused(plain: Plain) -> None:
    request = kv_pb2.BatchRequest(cluster_id="another")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await plain("/kvstore.v1.KV/Batch", request, kv_pb2.BatchResponse)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "not another" in (refused.value.details() or "")


async def test_a_client_with_an_older_map_is_given_the_newer_one(plain: Plain) -> None:
    request = kv_pb2.BatchRequest(map_epoch=0)
    response = await plain("/kvstore.v1.KV/Batch", request, kv_pb2.BatchResponse)
    assert response.map.epoch >= 1
    assert len(response.map.partitions) == 16
    again = kv_pb2.BatchRequest(map_epoch=response.map.epoch)
    assert not (await plain("/kvstore.v1.KV/Batch", again, kv_pb2.BatchResponse)).HasField("map")


async def test_a_healthy_node_says_that_it_serves(plain: Plain) -> None:
    answer = await plain(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest(),
        health_pb2.HealthCheckResponse,
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_services(cluster: LocalCluster) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(cluster.addresses["n1"]) as channel:
        call = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        async for answer in call(iter([request])):
            names = {service.name for service in answer.list_services_response.service}
            assert {"kvstore.v1.KV", "kvstore.v1.Admin", "grpc.health.v1.Health"} <= names


async def test_status_tells_of_every_replica(plain: Plain) -> None:
    status = await plain(
        "/kvstore.v1.Admin/Status", admin_pb2.StatusRequest(), admin_pb2.StatusResponse
    )
    assert [replica.group_id for replica in status.replicas] == list(range(17))
    assert all(replica.applied_index <= replica.commit_index for replica in status.replicas)
