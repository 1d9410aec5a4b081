"""Reads by level: whom they go to, what they say of themselves, and what sessions remember."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from kvstore.client import AsyncClient, Consistency, Stale
from kvstore.codec.read_level import decode_level_read
from kvstore.codec.session_token import encode_session_token
from kvstore.errors import InvalidArgument, Unavailable
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster

SESSION = kv_pb2.SECTION_KIND_READ_SESSION
STALE = kv_pb2.SECTION_KIND_READ_STALE
READ = kv_pb2.SECTION_KIND_READ
LEVELS = (Consistency.SESSION, Stale(5.0))


def nodes_asked(cluster: FakeCluster, kind: int) -> list[int]:
    return [node.replica for node in cluster.nodes.values() if node.sections(kind)]


def bounds(cluster: FakeCluster, kind: int) -> list[int]:
    """Of all sections of that kind."""
    return [
        decode_level_read(body)[0]
        for node in cluster.nodes.values()
        for call in node.calls
        for each, body in zip(call.kinds, call.bodies, strict=True)
        if each == kind
    ]


# --- what is asked of whom


async def test_linearizable_reads_go_to_the_leader_alone_and_open_no_other_lane(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    for _ in range(6):
        assert await kv.get("key") == b"value"
        assert await kv.get("key", consistency="linearizable") == b"value"
    leader = cluster.leader_of(b"key")
    assert nodes_asked(cluster, READ) == [leader.replica]
    assert kv._dispatcher is not None
    assert {lane.replica for lane in kv._dispatcher.board.lanes} == {leader.replica}


@pytest.mark.parametrize("level", LEVELS)
async def test_session_and_stale_reads_are_spread_over_all_replicas(
    kv: AsyncClient, cluster: FakeCluster, level: Consistency | Stale
) -> None:
    await kv.put("key", "value")
    for _ in range(9):
        assert await kv.get("key", consistency=level) == b"value"
    kind = STALE if isinstance(level, Stale) else SESSION
    assert [node.sections(kind) for node in cluster.nodes.values()] == [3, 3, 3]


async def test_reads_that_are_asked_for_together_travel_together_but_not_with_other_levels(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    cluster.nodes[1].calls.clear()
    levels = ("session", Stale(5.0), Stale(60.0), "linearizable")
    answers = await asyncio.gather(
        *(kv.read("key", consistency=level) for level in levels for _ in range(20))
    )
    assert {answer.value for answer in answers} == {b"value"}
    counts = [
        sum(node.sections(kind) for node in cluster.nodes.values()) for kind in (SESSION, STALE)
    ]
    assert counts == [1, 1]
    assert bounds(cluster, STALE) == [5000], "the strictest bound serves all"


async def test_whoever_is_behind_is_passed_over_for_a_while(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    behind = next(node for node in cluster.nodes.values() if node is not cluster.leader_of(b"key"))
    behind.is_behind = True
    for _ in range(12):
        assert await kv.get("key", consistency="session") == b"value"
    assert behind.sections(SESSION) == 1


@pytest.mark.parametrize("level", LEVELS)
async def test_where_all_are_behind_the_leader_serves(
    kv: AsyncClient, cluster: FakeCluster, level: Consistency | Stale
) -> None:
    await kv.put("key", "value")
    for node in cluster.nodes.values():
        node.is_behind = True
    for _ in range(6):
        answer = await kv.read("key", consistency=level)
        assert answer.value == b"value"
        assert answer.receipt.node == cluster.leader_of(b"key").name


@pytest.mark.parametrize("level", LEVELS)
async def test_a_node_that_is_gone_costs_a_read_no_more_than_a_try_elsewhere(
    kv: AsyncClient, cluster: FakeCluster, level: Consistency | Stale
) -> None:
    await kv.put("key", "value")
    gone = next(node for node in cluster.nodes.values() if node is not cluster.leader_of(b"key"))
    assert await kv.get("key", consistency=level) == b"value"
    await gone.stop()
    for _ in range(12):
        assert await kv.get("key", consistency=level) == b"value"


async def test_a_node_that_hangs_is_passed_over_after_one_call(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    hung = next(node for node in cluster.nodes.values() if node is not cluster.leader_of(b"key"))
    hung.always = fake.hang
    for _ in range(12):
        assert await kv.get("key", consistency="session") == b"value"
    assert hung.sections(SESSION) == 1


async def test_reads_go_on_through_followers_while_nobody_leads(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    await cluster.leader_of(b"key").stop()
    for _ in range(12):
        assert await kv.get("key", consistency="session") == b"value"


async def test_what_nobody_can_serve_ends_with_an_error_that_says_why(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_BEHIND, "has applied entry 3")
    with pytest.raises(Unavailable, match="has applied entry 3"):
        await kv.get("key", consistency="session", timeout_s=0.3)


# --- receipts


async def test_a_receipt_says_by_whom_and_from_which_state(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    revision = await kv.put("key", "value")
    for level in ("linearizable", "session", Stale(5.0)):
        receipt = (await kv.read("key", consistency=level)).receipt
        assert receipt.partition == cluster.partition_of(b"key")
        assert (receipt.term, receipt.revision, receipt.index) == (7, revision, revision + 1)
        assert receipt.node in {node.name for node in cluster.nodes.values()}
        assert receipt.level == ("stale" if isinstance(level, Stale) else level)
        assert receipt.age_s == (0.007 if isinstance(level, Stale) else None)


async def test_a_read_of_nothing_has_a_receipt_too(kv: AsyncClient) -> None:
    answer = await kv.read("nothing", consistency="session")
    assert (answer.record, answer.value) == (None, None)
    assert answer.receipt.index == 1


# --- sessions


async def test_a_session_read_asks_for_all_that_the_client_has_written_or_read(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.get("key", consistency="session")
    assert bounds(cluster, SESSION) == [0], "it has seen nothing yet"
    for number in range(3):
        revision = await kv.put("key", str(number))
        await kv.get("key", consistency="session")
        assert max(bounds(cluster, SESSION)) == revision + 1
    partition = cluster.partitions[cluster.partition_of(b"key")]
    partition.revision += 10
    await kv.get("key", consistency=Stale(5.0))
    await kv.get("key", consistency="session")
    assert max(bounds(cluster, SESSION)) == partition.revision + 1


async def test_a_token_takes_a_session_to_another_client(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    revision = await kv.put("key", "value")
    other = cluster.keys_of((cluster.partition_of(b"key") + 1) % 4, 1)[0]
    async with AsyncClient(cluster.endpoints, random=Random(2)) as second:
        assert second.token() == encode_session_token("", {}), "it has seen nothing"
        await second.merge_token(second.token())
        await second.merge_token(kv.token())
        await second.get("key", consistency="session")
        await second.get(other, consistency="session")
        assert second.token() != kv.token(), "it has read another partition, too"
    assert sorted(bounds(cluster, SESSION)) == [0, revision + 1]


async def test_a_token_never_takes_a_session_back(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("key", "1")
    old = kv.token()
    await kv.put("key", "2")
    new = kv.token()
    await kv.merge_token(old)
    assert kv.token() == new


async def test_tokens_that_are_not_of_this_cluster_or_damaged_are_refused(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "1")
    token = kv.token()
    for bad, why in (
        (encode_session_token("elsewhere", {0: 1}), "of cluster elsewhere"),
        (encode_session_token(fake.CLUSTER_ID, {4: 1}), "names partition 4; there are 4"),
        (token[:-2], "cannot be used"),
        ("B" + token[1:], "cannot be used"),
        ("", "cannot be used"),
        ("§", "cannot be used"),
        (b"bytes", "must be a str, not bytes"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            await kv.merge_token(bad)  # type: ignore[arg-type]  # one of them is no str
    assert kv.token() == token


async def test_who_keeps_account_alone_names_the_index(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "1")
    await kv.read("key", consistency="session", min_index=1)
    assert bounds(cluster, SESSION) == [1]
    with pytest.raises(InvalidArgument, match="min_index is 1; it is for session reads only"):
        await kv.read("key", min_index=1)
    with pytest.raises(InvalidArgument, match="min_index is -1; it must be 0 to"):
        await kv.read("key", consistency="session", min_index=-1)


# --- arguments


async def test_levels_that_say_too_little_are_refused(kv: AsyncClient) -> None:
    for bad, why in (
        ("stale", "say how old"),
        (Consistency.STALE, "say how old"),
        ("eventual", "'linearizable', 'session', Stale"),
        (None, "consistency is None"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            await kv.get("key", consistency=bad)  # type: ignore[arg-type]  # one is no level
    for bound in (-1, float("nan"), float("inf"), 1e6, "5", True):
        with pytest.raises(InvalidArgument, match="max_staleness_s"):
            Stale(bound)  # type: ignore[arg-type]  # some are no numbers
