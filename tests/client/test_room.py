"""Answers that had no room in a message: what is left is asked for again, and applied once."""

from __future__ import annotations

import asyncio

import pytest

from kvstore.client import AsyncClient, Receipt, Stale, Touch
from kvstore.codec.byteslist import decode_optional_list, encode_optional_list
from kvstore.codec.limits import Limits
from kvstore.codec.read_level import split_bound, with_age
from kvstore.errors import OutcomeUnknown, ResourceExhausted
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, FakeNode

NO_ROOM = kv_pb2.SECTION_STATUS_NO_ROOM
KEYS = [f"key-{number:02}" for number in range(40)]


async def first_two_records(
    node: FakeNode, request: kv_pb2.BatchRequest, context: fake.Context
) -> kv_pb2.BatchResponse:
    """Answers reads as far as two records go."""
    response = node.honest(request)
    for number, kind in enumerate(request.kinds):
        result = response.results[number]
        if kind == kv_pb2.SECTION_KIND_READ_STALE:
            age_ms, records = split_bound(result)
            response.results[number] = with_age(age_ms, cut(records))
        elif kind in (kv_pb2.SECTION_KIND_READ, kv_pb2.SECTION_KIND_READ_SESSION):
            response.results[number] = cut(result)
    return response


def cut(result: bytes) -> bytes:
    return encode_optional_list(decode_optional_list(result)[0][:2]) if result else result


async def one_section(
    node: FakeNode, request: kv_pb2.BatchRequest, context: fake.Context
) -> kv_pb2.BatchResponse:
    """Does all that is asked, and has room for the answer of the last section only."""
    response = node.honest(request)
    for number in range(len(response.statuses) - 1):
        if response.statuses[number] == kv_pb2.SECTION_STATUS_OK:
            response.statuses[number] = NO_ROOM
            response.results[number] = b""
    return response


@pytest.mark.parametrize("level", ["linearizable", "session", Stale(5.0)])
async def test_the_rest_of_the_keys_is_asked_for_again(
    kv: AsyncClient, cluster: FakeCluster, level: str | Stale
) -> None:
    await kv.put_many({key: key for key in KEYS})
    for node in cluster.nodes.values():
        node.always = first_two_records
    found = await kv.get_many(KEYS, consistency=level)
    assert found == {key.encode(): key.encode() for key in KEYS}


async def test_readers_of_one_key_each_are_answered_all(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put_many({key: key for key in KEYS})
    for node in cluster.nodes.values():
        node.always = first_two_records
    plain = asyncio.gather(*(kv.get(key) for key in KEYS))
    named = asyncio.gather(*(kv.read(key) for key in KEYS))
    assert await plain == [key.encode() for key in KEYS]
    assert [answer.value for answer in await named] == [key.encode() for key in KEYS]


async def test_sections_without_room_are_asked_again_until_all_are_answered(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put_many({key: key for key in KEYS})
    cluster.lead_all(1)
    cluster.nodes[1].always = one_section
    assert len(await kv.get_many(KEYS)) == 40
    assert len([key async for key in kv.scan_keys()]) == 40


async def test_writes_without_room_for_what_was_there_are_applied_once(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.lead_all(1)
    await kv.put_many(dict.fromkeys(KEYS, "0"))
    cluster.nodes[1].always = one_section
    results = await asyncio.gather(*(kv.put(key, "1", return_previous=True) for key in KEYS))
    assert [each.previous.value for each in results if each.previous] == [b"0"] * 40
    sums = await asyncio.gather(*(kv.increment(key) for key in KEYS))
    assert sums == [2] * 40
    assert set(cluster.data.values()) == {b"2"}


async def test_where_there_never_is_room_the_error_says_what_is_known(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(NO_ROOM, "its answer does not fit")
    with pytest.raises(ResourceExhausted, match="does not fit"):
        await kv.get("key", timeout_s=0.3)
    with pytest.raises(OutcomeUnknown, match="does not fit"):
        await kv.put("key", "1", timeout_s=0.3)
    assert cluster.calls < 60, "with a pause in between"


# --- what one command may give back or rewrite


async def test_writes_that_others_crowd_out_are_done_in_commands_of_their_own(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    """One command gives back 8 MiB here: two values, of the seven that are replaced at once."""
    cluster.limits = Limits(value_bytes_max=4 << 20)
    keys = cluster.keys_of(0, 7)
    for key in keys:
        await kv.put(key, bytes((4 << 20) - 100))
    receipts: list[Receipt] = []
    more = [kv.put(b"{%b}" % keys[0], "plain"), kv.get("other")]
    replaced, *_ = await asyncio.gather(
        asyncio.gather(
            *(kv.put(key, "1", return_previous=True, receipts=receipts) for key in keys)
        ),
        *more,
    )
    assert [len(each.previous.value) for each in replaced if each.previous] == [(4 << 20) - 100] * 7
    records = await kv.get_many_records(keys)
    assert {record.version for record in records.values()} == {2}, "each was put once more"
    assert [each.revision for each in receipts] == sorted({each.revision for each in receipts})
    assert len(receipts) == 4, "one for each command that did something of it"


async def test_transactions_that_others_crowd_out_are_done_too(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.limits = Limits(value_bytes_max=4 << 20)
    keys = cluster.keys_of(0, 4)
    for key in keys:
        await kv.put(key, bytes(4 << 20))
    touched = await asyncio.gather(*(kv.transaction([], [Touch(key, None)]) for key in keys))
    assert [each.results for each in touched] == [[True]] * 4


async def test_what_is_too_much_by_itself_is_refused_whoever_stands_beside_it(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.limits = Limits(value_bytes_max=16 << 20)
    small, large = cluster.keys_of(0, 2)
    await kv.put(large, bytes(9 << 20))
    outcomes = await asyncio.gather(
        *(kv.append(small, "s") for _ in range(3)),
        kv.append(large, "l"),
        kv.append(large, "l"),
        *(kv.append(small, "s") for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes[3:5]] == [ResourceExhausted] * 2
    assert await kv.get(small) == b"ssssss"


async def test_a_crowded_command_whose_answer_is_lost_is_taken_apart_by_that_of_its_second_try(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.limits = Limits(value_bytes_max=4 << 20)
    keys = cluster.keys_of(0, 3)
    for key in keys:
        await kv.put(key, bytes(4 << 20))
    leader = cluster.nodes[cluster.partitions[0].leader]
    leader.faults.append(fake.unanswered)
    sums = await asyncio.gather(*(kv.append(key, "", receipts=[]) for key in keys))
    assert sums == [4 << 20] * 3
    records = await kv.get_many_records(keys)
    assert {record.version for record in records.values()} == {2}
