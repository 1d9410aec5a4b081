"""Writes with conditions, lifetimes, sums: what a user gets."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta

import pytest

from kvstore import (
    ConditionFailed,
    CounterOverflow,
    DeleteResult,
    Fence,
    Fenced,
    KVStoreError,
    NotANumber,
    Outcome,
    PutResult,
    ResourceExhausted,
)
from kvstore.client import AsyncClient
from kvstore.codec.limits import Limits
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument, OutcomeUnknown
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client.fake_cluster import Context, FakeCluster, FakeNode

CLOCK_MS = 1_000_000


def later(cluster: FakeCluster, seconds: float) -> None:
    for partition in cluster.partitions:
        partition.clock_ms += round(seconds * 1000)


async def test_a_put_if_absent_is_done_once(kv: AsyncClient) -> None:
    revision = await kv.put("key", "one", if_absent=True)
    with pytest.raises(ConditionFailed, match=f"'key'.*has revision {revision}") as caught:
        await kv.put("key", "two", if_absent=True)
    assert caught.value.revision == revision
    assert caught.value.outcome is Outcome.DEFINITE
    assert await kv.get("key") == b"one"


async def test_a_put_at_a_revision_is_done_only_there(kv: AsyncClient) -> None:
    first = await kv.put("key", "one")
    second = await kv.put("key", "two", if_revision=first)
    with pytest.raises(ConditionFailed) as caught:
        await kv.put("key", "three", if_revision=first)
    assert caught.value.revision == second
    assert await kv.get_record("key") == Record(b"two", 2, first, second)


async def test_revision_0_means_that_there_is_no_such_key(kv: AsyncClient) -> None:
    await kv.put("key", "one", if_revision=0)
    with pytest.raises(ConditionFailed):
        await kv.put("key", "two", if_revision=0)
    with pytest.raises(ConditionFailed, match="does not exist") as caught:
        await kv.put("other", "two", if_revision=5)
    assert caught.value.revision == 0


async def test_a_put_over_a_value_is_done_only_over_that(kv: AsyncClient) -> None:
    await kv.put("key", "")
    await kv.put("key", "two", if_value="")
    with pytest.raises(ConditionFailed):
        await kv.put("key", "three", if_value="one")
    with pytest.raises(ConditionFailed, match="does not exist"):
        await kv.put("absent", "three", if_value="")
    assert await kv.get("key") == b"two"


async def test_a_put_gives_what_it_replaced_where_that_is_asked_for(kv: AsyncClient) -> None:
    first = await kv.put("key", "one", return_previous=True)
    assert first == PutResult(first.revision, None)
    second = await kv.put("key", "two", return_previous=True)
    assert second.revision > first.revision
    assert second.previous == Record(b"one", 1, first.revision, first.revision)


async def test_a_delete_has_conditions_too(kv: AsyncClient) -> None:
    revision = await kv.put("key", "one")
    with pytest.raises(ConditionFailed) as caught:
        await kv.delete("key", if_revision=revision + 1)
    assert caught.value.revision == revision
    with pytest.raises(ConditionFailed):
        await kv.delete("key", if_value="two")
    assert await kv.delete("key", if_revision=revision, if_value="one") is True
    with pytest.raises(ConditionFailed, match="does not exist"):
        await kv.delete("key", if_value="one")
    assert await kv.delete("key", if_revision=0) is False


async def test_a_delete_gives_what_it_removed_where_that_is_asked_for(kv: AsyncClient) -> None:
    revision = await kv.put("key", "one")
    removed = Record(b"one", 1, revision, revision)
    assert await kv.delete("key", return_previous=True) == DeleteResult(True, removed)
    assert await kv.delete("key", return_previous=True) == DeleteResult(False, None)


@pytest.mark.parametrize(
    ("ttl", "lifetime_ms"),
    [
        (1, 1000),
        (0.25, 250),
        (0.0001, 1),
        (timedelta(minutes=1), 60_000),
        (100 * 366 * 24 * 3600, 100 * 366 * 24 * 3600 * 1000),
    ],
)
async def test_a_key_with_a_ttl_expires(
    kv: AsyncClient, cluster: FakeCluster, ttl: float | timedelta, lifetime_ms: int
) -> None:
    await kv.put("key", "value", ttl=ttl)
    record = await kv.get_record("key")
    assert record is not None
    assert record.expiry_ms == CLOCK_MS + lifetime_ms
    later(cluster, lifetime_ms / 1000)
    assert await kv.get("key") is None


async def test_a_put_without_a_ttl_ends_the_lifetime(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("key", "one", ttl=1)
    await kv.put("key", "two")
    later(cluster, 2)
    assert await kv.get("key") == b"two"


async def test_increments_add_up(kv: AsyncClient) -> None:
    assert await kv.increment("key") == 1
    assert await kv.increment("key", 41) == 42
    assert await kv.increment("key", -50) == -8
    assert await kv.get("key") == b"-8"
    assert await kv.increment("other", 5, initial=100) == 105
    assert sum(await asyncio.gather(*(kv.increment("many") for _ in range(100)))) == 5050


async def test_what_is_no_number_is_not_added_to(kv: AsyncClient) -> None:
    await kv.put("key", "ten")
    with pytest.raises(NotANumber, match=r"'key'.*no decimal number") as caught:
        await kv.increment("key")
    assert caught.value.outcome is Outcome.DEFINITE
    assert await kv.get("key") == b"ten"


async def test_a_sum_beyond_64_bits_is_refused_and_says_what_is_there(kv: AsyncClient) -> None:
    most = 2**63 - 1
    await kv.put("key", str(most))
    with pytest.raises(CounterOverflow, match=str(most)) as caught:
        await kv.increment("key")
    assert caught.value.number == most
    assert await kv.increment("key", -most) == 0
    with pytest.raises(CounterOverflow):
        await kv.increment("other", -1, initial=-(2**63))


async def test_appends_give_the_new_length(kv: AsyncClient) -> None:
    assert await kv.append("key", "ab") == 2
    assert await kv.append("key", b"cde") == 5
    assert await kv.get("key") == b"abcde"


async def test_an_append_beyond_the_limit_is_refused(kv: AsyncClient, cluster: FakeCluster) -> None:
    cluster.limits = Limits(value_bytes_max=10)
    await kv.put("key", bytes(8))
    with pytest.raises(InvalidArgument, match="would have 11 bytes") as caught:
        await kv.append("key", "abc")
    assert caught.value.outcome is Outcome.DEFINITE
    assert await kv.append("key", "ab") == 10


async def test_sums_and_appends_keep_the_lifetime_unless_given_one(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    for key in ("number", "text"):
        await kv.put(key, "1", ttl=10)
    await kv.increment("number")
    await kv.append("text", "2", ttl=30)
    later(cluster, 10)
    assert await kv.get("number") is None
    assert await kv.get("text") == b"12"
    later(cluster, 20)
    assert await kv.get("text") is None


async def test_a_touch_gives_a_new_lifetime_or_none(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("key", "value", ttl=1)
    assert await kv.touch("key", 10) is True
    later(cluster, 5)
    assert await kv.get("key") == b"value"
    assert await kv.touch("key", None) is True
    later(cluster, 100)
    assert await kv.get("key") == b"value"
    assert await kv.touch("other", 10) is False


async def test_a_touch_has_conditions_too(kv: AsyncClient) -> None:
    revision = await kv.put("key", "value")
    with pytest.raises(ConditionFailed) as caught:
        await kv.touch("key", 1, if_value="other")
    assert caught.value.revision == revision
    assert await kv.touch("key", 1, if_value="value", if_revision=revision) is True


async def test_a_write_with_an_older_token_is_refused_where_a_later_was_seen(
    kv: AsyncClient,
) -> None:
    old, new = Fence(b"lock", 7), Fence(b"lock", 8)
    await kv.put("{t}a", "old", fence=old)
    await kv.put("{t}b", "new", fence=new)
    for write in (
        kv.put("{t}a", "late", fence=old),
        kv.delete("{t}a", fence=old),
        kv.increment("{t}n", fence=old),
        kv.append("{t}a", "late", fence=old),
        kv.touch("{t}a", 1, fence=old),
    ):
        with pytest.raises(Fenced, match="token 8") as caught:
            await write
        assert caught.value.token == 8
        assert caught.value.outcome is Outcome.DEFINITE
    assert await kv.get("{t}a") == b"old"
    await kv.put("{t}a", "other lock", fence=Fence(b"another", 1))
    await kv.put("{t}a", "again", fence=new)


async def test_what_a_node_cannot_do_at_once_is_refused_as_busy(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.limits = Limits(value_bytes_max=16 << 20)
    await kv.put("key", bytes(9 << 20))
    with pytest.raises(ResourceExhausted, match="too much at once") as caught:
        await kv.append("key", "more")
    assert caught.value.outcome is Outcome.DEFINITE


async def test_two_large_values_that_do_not_fit_in_a_batch_are_refused_before_they_are_sent(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.limits = Limits(value_bytes_max=3 << 20)
    value = bytes(3 << 20)
    with pytest.raises(InvalidArgument, match=r"the operation has 62\d+ bytes.*the limit is"):
        await kv.put("key", value, if_value=value)
    assert cluster.calls == 0


async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "1")
    node = cluster.leader_of(b"key")

    async def garbled(
        node: FakeNode, request: kv_pb2.BatchRequest, context: Context
    ) -> kv_pb2.BatchResponse:
        response = node.honest(request)
        response.results[0] = response.results[0][:-1] + b"\7"
        return response

    node.faults.append(garbled)
    with pytest.raises(OutcomeUnknown, match="cannot be read"):
        await kv.increment("key")


@pytest.mark.parametrize(
    "problem",
    [ConditionFailed("c", 5), Fenced("f", 6), CounterOverflow("o", 7), NotANumber("n")],
)
def test_errors_keep_what_they_know_when_they_cross_processes(problem: KVStoreError) -> None:
    copy = pickle.loads(pickle.dumps(problem))
    assert (str(copy), vars(copy)) == (str(problem), vars(problem))
