"""Callers that share a call: what becomes of one is nothing to the others."""

from __future__ import annotations

import asyncio

import pytest

from kvstore.client import AsyncClient
from kvstore.errors import OutcomeUnknown
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until


@pytest.mark.usefixtures("patient")
async def test_a_deadline_that_passes_under_way_leaves_the_others_their_answers(
    cluster: FakeCluster,
) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv:
        await kv.cluster_map()
        node.always = fake.hang
        first, second, third = cluster.keys_of(0, 3)
        early, late, last = (
            asyncio.create_task(kv.put(key, key, timeout_s=timeout_s))
            for key, timeout_s in ((first, 30), (second, 0.05), (third, 30))
        )
        with pytest.raises(OutcomeUnknown):
            await late
        await until(lambda: len(node.calls) == 1)
        node.release.set()
        assert await early < await last
    assert len(node.calls) == 1


async def held(
    node: fake.FakeNode, kv: AsyncClient, keys: list[bytes], calls: int
) -> list[asyncio.Task[int]]:
    """Puts that are under way, in as many calls as these."""
    puts = [asyncio.create_task(kv.put(key, b"", timeout_s=30)) for key in keys]
    await until(lambda: len(node.calls) >= calls)
    for _ in range(10):
        await asyncio.sleep(0)
    return puts


@pytest.mark.parametrize(("operations", "calls"), [(511, 1), (512, 2), (2000, 2)])
@pytest.mark.usefixtures("patient")
async def test_where_very_many_wait_two_calls_take_half_of_the_partitions_each(
    cluster: FakeCluster, operations: int, calls: int
) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv:
        await kv.cluster_map()
        node.always = fake.hang
        keys = [b"key %d" % number for number in range(operations)]
        puts = await held(node, kv, keys, calls)
        taken = [set(call.partition_ids) for call in node.calls]
        assert len(taken) == calls
        assert sum(map(len, taken)) == len(set.union(*taken)) == len(cluster.partitions)
        node.release.set()
        await asyncio.gather(*puts)
    assert len(node.calls) == calls


@pytest.mark.parametrize(("more", "calls"), [(191, 1), (192, 2)])
@pytest.mark.usefixtures("patient")
async def test_a_second_call_goes_only_for_many_operations_of_other_partitions(
    cluster: FakeCluster, more: int, calls: int
) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv:
        await kv.cluster_map()
        node.always = fake.hang
        first, other = cluster.keys_of(0, 300), cluster.keys_of(1, more)
        puts = await held(node, kv, first, 1)
        puts += await held(node, kv, first + other, calls)
        assert [list(call.partition_ids) for call in node.calls] == [[0], [1]][:calls]
        node.release.set()
        await asyncio.gather(*puts)
