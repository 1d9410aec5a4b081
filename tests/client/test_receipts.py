"""Receipts: every answer says by whom it was given and where it stands, to those who ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kvstore.client import AsyncClient, Client, Consistency, Get, Put, Receipt, Stale
from kvstore.errors import ConditionFailed, InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.background import Background
from tests.client.fake_cluster import FakeCluster

WRITES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "put": (("key", "1"), {}),
    "put with conditions": (("key", "1"), {"if_absent": True, "return_previous": True}),
    "delete": (("key",), {}),
    "delete with conditions": (("key",), {"return_previous": True}),
    "increment": (("key",), {}),
    "append": (("key", "1"), {}),
    "touch": (("key", 5), {}),
    "put_many": (({"key": "1"},), {}),
    "put_many with a lifetime": (({"key": "1"},), {"ttl": 5}),
    "transaction": (([], [Put("key", "1"), Get("key")]), {}),
}


def of_state(cluster: FakeCluster, key: bytes) -> Receipt:
    """What a linearizable answer that is given now says."""
    number = cluster.partition_of(key)
    partition = cluster.partitions[number]
    leader, revision = cluster.nodes[partition.leader].name, partition.revision
    return Receipt(leader, number, 7, revision, revision + 1, Consistency.LINEARIZABLE)


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_of_any_kind_gives_one(
    kv: AsyncClient, cluster: FakeCluster, name: str
) -> None:
    arguments, options = WRITES[name]
    receipts: list[Receipt] = []
    await getattr(kv, name.split(maxsplit=1)[0])(*arguments, **options, receipts=receipts)
    assert receipts == [of_state(cluster, b"key")]


@pytest.mark.parametrize("name", WRITES)
def test_the_client_for_threads_gives_the_same(background: Background, name: str) -> None:
    arguments, options = WRITES[name]
    receipts: list[Receipt] = []
    with Client(background.cluster.endpoints) as kv:
        getattr(kv, name.split(maxsplit=1)[0])(*arguments, **options, receipts=receipts)
    assert receipts == [of_state(background.cluster, b"key")]


async def test_a_refusal_by_the_partition_gives_one_too(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    receipts: list[Receipt] = []
    with pytest.raises(ConditionFailed):
        await kv.put("key", "1", if_revision=5, receipts=receipts)
    assert receipts == [of_state(cluster, b"key")]


async def test_only_who_asks_is_given_one_where_several_travel_together(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "0")
    asked: list[list[Receipt]] = [[], []]
    writes = [kv.put("key", str(i), receipts=asked[i % 2] if i < 4 else None) for i in range(9)]
    await asyncio.gather(*writes)
    assert asked == [[of_state(cluster, b"key")]] * 2, "a list is given the receipt once"


async def test_a_write_that_is_sent_again_gives_the_one_of_its_answer(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "0")
    receipts: list[Receipt] = []
    cluster.leader_of(b"key").faults += [fake.unanswered, fake.unanswered]
    await kv.put("key", "1", receipts=receipts)
    assert receipts == [of_state(cluster, b"key")]


async def test_a_write_that_fails_gives_none(kv: AsyncClient, cluster: FakeCluster) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_INVALID, "a rule")
    receipts: list[Receipt] = []
    with pytest.raises(InvalidArgument, match="a rule"):
        await kv.put("key", "1", receipts=receipts)
    assert receipts == []


async def test_a_list_of_receipts_is_split_with_the_section_that_it_waits_in(
    kv: AsyncClient, cluster: FakeCluster, patient: None
) -> None:
    """Each write fills most of a section: they are cut apart, and sent one after another."""
    receipts: list[list[Receipt]] = [[] for _ in range(5)]
    values = [bytes((1 << 20) - 1)] * 5
    await asyncio.gather(
        *(kv.put("key", value, receipts=each) for value, each in zip(values, receipts, strict=True))
    )
    revisions = [each.revision for (each,) in receipts]
    assert revisions == sorted(revisions)
    assert len(set(revisions)) > 1


@pytest.mark.parametrize("level", [Consistency.LINEARIZABLE, Consistency.SESSION, Stale(5.0)])
async def test_many_keys_give_one_of_each_partition(
    kv: AsyncClient, cluster: FakeCluster, level: Any
) -> None:
    keys = [f"key-{number}" for number in range(40)]
    written: list[Receipt] = []
    await kv.put_many(dict.fromkeys(keys, "v"), receipts=written)
    assert sorted(each.partition for each in written) == [0, 1, 2, 3]
    read: list[Receipt] = []
    assert len(await kv.get_many(keys, consistency=level, receipts=read)) == 40
    assert sorted(each.partition for each in read) == [0, 1, 2, 3]
    for before in written:
        (after,) = (each for each in read if each.partition == before.partition)
        assert (after.revision, after.index) == (before.revision, before.index)
        assert after.level == ("stale" if isinstance(level, Stale) else level)
        assert after.age_s == (0.007 if isinstance(level, Stale) else None)


@pytest.mark.parametrize("scan", ["scan", "scan_keys", "scan_records"])
@pytest.mark.parametrize("level", ["linearizable", "session", Stale(5.0)])
async def test_a_scan_gives_one_of_each_page(
    kv: AsyncClient, cluster: FakeCluster, scan: str, level: Any
) -> None:
    await kv.put_many({f"key-{number}": "v" for number in range(40)})
    cluster.page_keys_max = 5
    receipts: list[Receipt] = []
    found = [e async for e in getattr(kv, scan)(consistency=level, receipts=receipts)]
    pages = [-(-len(partition.data) // 5) for partition in cluster.partitions]
    assert len(found) == 40
    given = [sum(each.partition == number for each in receipts) for number in range(4)]
    assert given == pages
    assert {each.level for each in receipts} == {"stale" if isinstance(level, Stale) else level}


async def test_a_consistent_scan_and_a_count_give_them_too(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put_many({f"key-{number}": "v" for number in range(40)})
    scanned: list[Receipt] = []
    scan = kv.scan(consistent=True, receipts=scanned)
    assert len([entry async for entry in scan]) == 40
    assert {each.partition: each.revision for each in scanned} == scan.revisions
    counted: list[Receipt] = []
    assert await kv.count(receipts=counted) == 40
    assert sorted(each.partition for each in counted) == [0, 1, 2, 3]


async def test_receipts_are_a_list(kv: AsyncClient, cluster: FakeCluster) -> None:
    bad: Any = ()
    words = "receipts must be a list, which is added to, or None, not tuple"
    for name, (arguments, options) in WRITES.items():
        with pytest.raises(InvalidArgument, match=words):
            await getattr(kv, name.split()[0])(*arguments, **options, receipts=bad)
    with pytest.raises(InvalidArgument, match=words):
        await kv.get_many(["key"], receipts=bad)
    with pytest.raises(InvalidArgument, match=words):
        kv.scan(receipts=bad)
    with pytest.raises(InvalidArgument, match=words):
        await kv.count(receipts=bad)
    assert cluster.calls == 0


async def test_what_nobody_asks_for_is_not_noted(kv: AsyncClient, cluster: FakeCluster) -> None:
    """The hot path leaves what a section says of its place unread."""
    await asyncio.gather(*(kv.put("key", str(number)) for number in range(9)))
    await kv.put("key", "last", receipts=[])
    assert kv._dispatcher is not None
    queue = kv._dispatcher.board.writes.queues[cluster.partition_of(b"key")]
    assert not queue.section.wants_place
