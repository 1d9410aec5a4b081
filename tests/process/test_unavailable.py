"""A minority refuses, clearly and before the deadline; it never guesses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import grpc
import pytest

from kvstore import AsyncClient, LocalCluster, Outcome, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from tests.conftest import Command

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

DEADLINE_S = 3.0


KEYS = [b"%d" % i for i in range(32)]
"""Enough that every node leads some of their partitions."""


@pytest.fixture(scope="module")
def minority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three nodes of which n1 and n2 were paused, and n3 has noticed. It had passed calls on to
    both, so that its connections to them are open and look well."""
    with LocalCluster(data_dir=tmp_path_factory.mktemp("minority") / "cluster") as cluster:

        async def begin() -> None:
            for write in (True, False):
                await asyncio.gather(*(ask(cluster, key, write) for key in KEYS))
            cluster.pause("n1")
            cluster.pause("n2")
            await notices(cluster.addresses["n3"])

        asyncio.run(begin())
        yield cluster
        cluster.resume("n1")
        cluster.resume("n2")


async def notices(address: str) -> None:
    """Until the node at `address` knows of no leader at all."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(20):
        get_map = channel.unary_unary(
            "/kvstore.v1.Admin/GetMap",
            request_serializer=admin_pb2.GetMapRequest.SerializeToString,
            response_deserializer=admin_pb2.GetMapResponse.FromString,
        )
        while any(
            partition.leader_replica_id
            for partition in (await get_map(admin_pb2.GetMapRequest())).map.partitions
        ):
            await asyncio.sleep(0.05)


async def ask(cluster: LocalCluster, key: bytes, write: bool) -> None:
    """A plain call to n3; raises what it answers."""
    async with grpc.aio.insecure_channel(cluster.addresses["n3"]) as channel:
        name = "Put" if write else "Get"
        request = kv_pb2.PutRequest(key=key, value=b"x") if write else kv_pb2.GetRequest(key=key)
        call = channel.unary_unary(
            f"/kvstore.v1.KV/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=bytes,
        )
        await call(request, timeout=DEADLINE_S)


async def refusal(cluster: LocalCluster, key: bytes, write: bool) -> grpc.aio.AioRpcError:
    """The error that n3 gives to a plain call."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(cluster, key, write)
    return raised.value


def outcome_of(error: grpc.aio.AioRpcError) -> str | None:
    """What the trailing metadata say of the call's outcome."""
    trailing = cast("list[tuple[str, str]]", list(error.trailing_metadata() or ()))
    return dict(trailing).get("kvstore-outcome")


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
async def test_every_partition_answers_unavailable_before_the_deadline(
    minority: LocalCluster, write: bool
) -> None:
    started = time.monotonic()
    errors = await asyncio.gather(*(refusal(minority, key, write) for key in KEYS))
    assert time.monotonic() - started < DEADLINE_S
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert {outcome_of(error) for error in errors} == {"definite"}


async def test_the_client_raises_unavailable_and_says_that_nothing_was_applied(
    minority: LocalCluster,
) -> None:
    async with AsyncClient(minority.addresses["n3"], timeout_s=1.5) as client:
        for operation in (client.get(b"1"), client.put(b"1", b"x")):
            with pytest.raises(Unavailable) as raised:
                await operation
            assert raised.value.outcome is Outcome.DEFINITE


@pytest.mark.parametrize("arguments", [("get", "1"), ("put", "1", "x")])
def test_the_command_line_exits_with_3(
    minority: LocalCluster, command: Command, arguments: tuple[str, ...]
) -> None:
    finished = command("--endpoints", minority.addresses["n3"], "--timeout", "1.5", *arguments)
    assert finished.code == 3
    assert finished.out == b""


async def test_nothing_refused_was_applied(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            await client.put(b"key", b"before")
            for node in ("n1", "n2"):
                cluster.pause(node)
            async with AsyncClient(cluster.addresses["n3"], timeout_s=1.5) as lonely:
                with pytest.raises(Unavailable):
                    await lonely.put(b"key", b"refused")
            for node in ("n1", "n2"):
                cluster.resume(node)
            assert await client.get(b"key", timeout_s=20.0) == b"before"
