"""One byte over a limit is refused before anything is proposed, and the limit is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from kvstore import AsyncClient, InvalidArgument, LocalCluster
from kvstore.codec.byteslist import encode_list
from kvstore.codec.command import OperationKind, encode_command
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KEY_BYTES_MAX = 4096
VALUE_BYTES_MAX = 2 << 20
INVALID = kv_pb2.SECTION_STATUS_INVALID


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(
        nodes=1,
        partitions=2,
        data_dir=tmp_path_factory.mktemp("limits") / "cluster",
        settings={"value_bytes_max": VALUE_BYTES_MAX},
    ) as cluster:
        yield cluster


async def call(cluster: LocalCluster, method: str, request: Any, answer: Any) -> Any:
    async with grpc.aio.insecure_channel(
        cluster.endpoints, options=[("grpc.max_send_message_length", 64 << 20)]
    ) as channel:
        method_call = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await method_call(request, timeout=10)


async def last_indexes(cluster: LocalCluster) -> list[int]:
    status = await call(
        cluster, "/kvstore.v1.Admin/Status", admin_pb2.StatusRequest(), admin_pb2.StatusResponse
    )
    return [replica.last_index for replica in status.replicas]


async def section_status(cluster: LocalCluster, kind: int, body: bytes) -> tuple[int, str]:
    """Status and detail of a batch of one section for each partition; both are told alike."""
    request = kv_pb2.BatchRequest(
        partition_ids=[0, 1],
        kinds=[kind, kind],  # type: ignore[list-item]
        bodies=[body, body],
    )
    response = await call(cluster, "/kvstore.v1.KV/Batch", request, kv_pb2.BatchResponse)
    refused = [number for number in (0, 1) if response.statuses[number] == INVALID]
    return len(refused), response.details[refused[0]] if refused else ""


async def test_the_longest_key_and_the_largest_value_are_stored(one_node: LocalCluster) -> None:
    async with AsyncClient(one_node.endpoints) as client:
        for key in (b"\x00", b"k" * KEY_BYTES_MAX):
            value = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
            await client.put(key, value)
            assert await client.get(key) == value


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (b"", b"", "key has 0 bytes; the limit is 1 to 4096"),
        (b"k" * (KEY_BYTES_MAX + 1), b"", "key has 4097 bytes; the limit is 1 to 4096"),
        (b"k", bytes(VALUE_BYTES_MAX + 1), "value has 2097153 bytes; the limit is 2097152"),
    ],
    ids=["empty key", "long key", "large value"],
)
async def test_beyond_the_limit_nothing_is_proposed(
    one_node: LocalCluster, key: bytes, value: bytes, named: str
) -> None:
    before = await last_indexes(one_node)
    async with AsyncClient(one_node.endpoints) as client:
        with pytest.raises(InvalidArgument) as refused:
            await client.put(key, value)
    assert named in str(refused.value)
    with pytest.raises(grpc.aio.AioRpcError) as plain:
        await call(
            one_node,
            "/kvstore.v1.KV/Put",
            kv_pb2.PutRequest(key=key, value=value),
            kv_pb2.PutResponse,
        )
    assert plain.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert named in (plain.value.details() or "")
    # A client that does not check is refused by the node, in both partitions.
    command = encode_command(bytes((OperationKind.PUT,)), [key], [value])
    count, detail = await section_status(one_node, kv_pb2.SECTION_KIND_WRITE, command)
    assert count == 2
    assert named in detail or "does not belong to partition" in detail
    assert await last_indexes(one_node) == before


async def test_a_key_sent_to_another_partition_is_refused(one_node: LocalCluster) -> None:
    command = encode_command(bytes((OperationKind.PUT,)), [b"somewhere"], [b""])
    count, detail = await section_status(one_node, kv_pb2.SECTION_KIND_WRITE, command)
    assert count == 1
    assert "does not belong to partition" in detail


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (kv_pb2.SECTION_KIND_WRITE, b""),
        (kv_pb2.SECTION_KIND_WRITE, b"\x01" + bytes(40)),
        (kv_pb2.SECTION_KIND_READ, b"\xff" * 9),
        (kv_pb2.SECTION_KIND_READ, encode_list([])),
        (kv_pb2.SECTION_KIND_READ, encode_list([b""])),
        (kv_pb2.SECTION_KIND_SCAN, b"scan"),
        (kv_pb2.SECTION_KIND_UNSPECIFIED, b""),
    ],
)
async def test_sections_that_make_no_sense_are_refused_one_by_one(
    one_node: LocalCluster, kind: int, body: bytes
) -> None:
    before = await last_indexes(one_node)
    assert (await section_status(one_node, kind, body))[0] == 2
    assert await last_indexes(one_node) == before
