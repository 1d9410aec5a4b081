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
