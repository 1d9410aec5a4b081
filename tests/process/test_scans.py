"""Scans of real nodes: as of one moment under load, and over the end of a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvstore import AsyncClient, LocalCluster
from kvstore.errors import ScanExpired, Unavailable

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KEYS = [b"scans/%05d" % number for number in range(3000)]
VALUE = b"v" * 400


@pytest.fixture
async def kv(cluster: LocalCluster) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(cluster.endpoints, timeout_s=20) as client:
        yield client


async def fill(kv: AsyncClient) -> None:
    await asyncio.gather(*(kv.put(key, VALUE) for key in KEYS))


@pytest.mark.parametrize("reverse", [False, True])
async def test_a_consistent_scan_is_of_its_revisions_while_writes_go_on(
    kv: AsyncClient, reverse: bool
) -> None:
    await fill(kv)
    scan = kv.scan_records(prefix=b"scans/", consistent=True, reverse=reverse)
    found = [await anext(scan)]
    await asyncio.gather(
        *(kv.delete(key) for key in KEYS[::3]),
        *(kv.put(key, b"newer") for key in KEYS[1::3]),
        *(kv.put(key + b"x", b"new") for key in KEYS[2::3]),
    )
    found += [entry async for entry in scan]
    assert [key for key, _ in found] == sorted(KEYS, reverse=reverse)
    assert {record.value for _, record in found} == {VALUE}
    assert set(scan.revisions) == set(range(16))
    newest = max(record.mod_revision for _, record in found)
    assert newest <= max(scan.revisions.values())
    assert await kv.delete_range(prefix=b"scans/") == 3000


async def test_a_scan_by_cursor_goes_on_when_a_node_is_gone_and_a_consistent_one_ends(
    kv: AsyncClient, cluster: LocalCluster
) -> None:
    await fill(kv)
    scan = kv.scan_keys(prefix=b"scans/", limit=1000)
    found = [key async for key in scan]
    consistent = kv.scan(prefix=b"scans/", consistent=True)
    seen = [(await anext(consistent))[0]]
    cluster.kill("n2")
    try:
        found += [key async for key in kv.scan_keys(cursor=scan.cursor)]
        assert found == KEYS
        # What n2 led is led by others now, who have no view of it; unless its pages had all come.
        try:
            seen += [key async for key, _ in consistent]
        except (ScanExpired, Unavailable):
            assert seen == KEYS[: len(seen)]
        else:
            assert seen == KEYS
        assert await kv.count(prefix=b"scans/") == 3000
        assert await kv.delete_range(prefix=b"scans/") == 3000
    finally:
        cluster.start("n2")
    assert await kv.count(prefix=b"scans/") == 0
