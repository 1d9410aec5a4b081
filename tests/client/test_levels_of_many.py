"""Levels of reads of many keys and of scans: by whom they are served, and what they ask for."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.client import AsyncClient, Client, Consistency, Receipt, Seen, Stale
from kvstore.codec.read_level import split_bound
from kvstore.errors import InvalidArgument, Unavailable
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.background import Background
from tests.client.fake_cluster import READ_LEVELS, SCAN_LEVELS, FakeCluster

KEYS = [f"key-{number:02}" for number in range(40)]
LEVELS = ("session", Stale(5.0))
SESSIONS = (kv_pb2.SECTION_KIND_READ_SESSION, kv_pb2.SECTION_KIND_SCAN_SESSION)


@pytest.fixture
async def filled(kv: AsyncClient, cluster: FakeCluster) -> AsyncClient:
    await kv.put_many(dict.fromkeys(KEYS, "value"))
    cluster.page_keys_max = 3
    return kv


async def many(kv: AsyncClient, level: Any) -> int:
    return len(await kv.get_many(KEYS, consistency=level))


async def scanned(kv: AsyncClient, level: Any) -> int:
    return len([entry async for entry in kv.scan(consistency=level)])


READS = (many, scanned)


def asked(cluster: FakeCluster, kinds: tuple[int, ...]) -> dict[int, list[tuple[int, int]]]:
    """Partition and bound of the sections of these kinds, by node."""
    return {
        node.replica: [
            (partition, split_bound(body)[0])
            for call in node.calls
            for partition, kind, body in zip(
                call.partition_ids, call.kinds, call.bodies, strict=True
            )
            if kind in kinds
        ]
        for node in cluster.nodes.values()
    }


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("level", LEVELS)
async def test_they_are_spread_over_all_replicas(
    filled: AsyncClient, cluster: FakeCluster, read: Any, level: Any
) -> None:
    for _ in range(6):
        assert await read(filled, level) == 40
    shares = [len(each) for each in asked(cluster, (*READ_LEVELS, *SCAN_LEVELS)).values()]
    assert max(shares) < 2 * min(shares)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("level", LEVELS)
async def test_whoever_is_behind_says_so_and_others_are_asked(
    filled: AsyncClient, cluster: FakeCluster, read: Any, level: Any
) -> None:
    for node in cluster.nodes.values():
        node.is_behind = True
    assert await read(filled, level) == 40, "the leader of each partition lacks nothing"


@pytest.mark.parametrize("read", READS)
async def test_they_go_on_while_a_node_is_gone(
    filled: AsyncClient, cluster: FakeCluster, read: Any
) -> None:
    await cluster.nodes[2].stop()
    for level in LEVELS:
        assert await read(filled, level) == 40


@pytest.mark.parametrize("read", READS)
async def test_what_nobody_can_serve_says_why(
    filled: AsyncClient, cluster: FakeCluster, read: Any
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_BEHIND, "has applied entry 3")
    filled._timeout_s = 0.3
    with pytest.raises(Unavailable, match="has applied entry 3"):
        await read(filled, "session")


@pytest.mark.parametrize("read", READS)
async def test_a_session_asks_of_each_partition_for_what_it_has_seen_of_it(
    filled: AsyncClient, cluster: FakeCluster, read: Any
) -> None:
    await read(filled, "session")
    seen = {each for found in asked(cluster, SESSIONS).values() for each in found}
    assert seen == {(n, each.revision + 1) for n, each in enumerate(cluster.partitions)}


async def test_a_session_scan_never_goes_back_from_one_page_to_the_next(
    filled: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.page_keys_max = 1
    scan = filled.scan(consistency="session")
    await anext(scan)
    for partition in cluster.partitions:
        partition.revision += 100
    assert len([entry async for entry in scan]) == 39
    bounds: dict[int, list[int]] = {}
    for found in asked(cluster, SESSIONS).values():
        for number, bound in found:
            bounds.setdefault(number, []).append(bound)
    for number, each in enumerate(cluster.partitions):
        assert max(bounds[number]) == each.revision + 1, "what the page before was from"


@pytest.mark.parametrize("read", READS)
async def test_who_keeps_account_alone_names_an_index_of_each_partition(
    filled: AsyncClient, cluster: FakeCluster, read: Any
) -> None:
    await read(filled, Seen({1: 3, 2: 1}))
    seen = {each for found in asked(cluster, SESSIONS).values() for each in found}
    assert seen == {(0, 0), (1, 3), (2, 1), (3, 0)}


async def test_receipts_are_what_an_account_is_kept_of(
    filled: AsyncClient, cluster: FakeCluster
) -> None:
    receipts: list[Receipt] = []
    await filled.get_many(KEYS, receipts=receipts)
    account = Seen({each.partition: each.index for each in receipts})
    assert account.indexes == {n: each.revision + 1 for n, each in enumerate(cluster.partitions)}
    assert await scanned(filled, account) == 40


@pytest.mark.parametrize("read", READS)
async def test_linearizable_ones_go_to_leaders_alone(
    filled: AsyncClient, cluster: FakeCluster, read: Any
) -> None:
    assert await read(filled, "linearizable") == 40
    assert not any(asked(cluster, (*READ_LEVELS, *SCAN_LEVELS)).values())


async def test_a_consistent_scan_has_no_lesser_level(kv: AsyncClient, cluster: FakeCluster) -> None:
    for level in (*LEVELS, Seen({})):
        with pytest.raises(InvalidArgument, match="consistent is given together with consistency="):
            kv.scan(consistent=True, consistency=level)
    assert len([each async for each in kv.scan(consistent=True, consistency="linearizable")]) == 0


async def test_what_is_no_level_is_refused_before_anything_is_sent(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    bad: Any
    for bad, why in (("stale", "say how old"), ("eventual", "must be"), (5, "consistency is 5")):
        with pytest.raises(InvalidArgument, match=why):
            await kv.get_many(KEYS, consistency=bad)
        with pytest.raises(InvalidArgument, match=why):
            kv.scan(consistency=bad)
    for bad, why in (
        (5, "indexes must be a mapping, not int"),
        ({-1: 5}, "partition is -1"),
        ({0: 1 << 64}, "index is 18446744073709551616; it must be 0 to 18446744073709551615"),
        ({0: "1"}, "index must be an int, not str"),
        ({True: 1}, "partition must be an int, not bool"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            Seen(bad)
    assert cluster.calls == 0


def test_the_client_for_threads_has_them(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        kv.put_many(dict.fromkeys(KEYS, "value"))
        for level in (*LEVELS, Seen({}), Consistency.LINEARIZABLE):
            assert len(kv.get_many(KEYS, consistency=level)) == 40
            assert len(list(kv.scan_keys(consistency=level))) == 40
