"""Transactions inside one partition: what a user gets."""

from __future__ import annotations

import pytest

from kvstore import (
    Append,
    Compare,
    Delete,
    Fence,
    Fenced,
    Get,
    Increment,
    NotANumber,
    Outcome,
    Put,
    Touch,
    TransactionResult,
)
from kvstore.client import AsyncClient
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument
from tests.client.fake_cluster import FakeCluster


async def test_then_is_done_when_all_holds_and_otherwise_when_not(kv: AsyncClient) -> None:
    await kv.put("{o}state", "new")
    done = await kv.transaction(
        compare=[Compare.value("{o}state", "==", "new"), Compare.absent("{o}paid")],
        then=[Put("{o}state", "paid"), Put("{o}paid", "yes")],
        otherwise=[Get("{o}state")],
    )
    assert done.succeeded is True
    again = await kv.transaction(
        compare=[Compare.value("{o}state", "==", "new"), Compare.absent("{o}paid")],
        then=[Put("{o}state", "paid twice")],
        otherwise=[Get("{o}state")],
    )
    first, second = done.results
    assert first != second
    (record,) = again.results
    assert again.succeeded is False
    assert isinstance(record, Record)
    assert (record.value, record.mod_revision) == (b"paid", first)


async def test_every_operation_gives_what_it_gives_alone(kv: AsyncClient) -> None:
    await kv.put("{t}there", "x")
    result = await kv.transaction(
        then=[
            Put("{t}new", "1"),
            Put("{t}short", "1", ttl=5),
            Increment("{t}new", 4),
            Append("{t}there", "yz"),
            Get("{t}there"),
            Get("{t}absent"),
            Delete("{t}there"),
            Delete("{t}there"),
            Touch("{t}new", 10),
            Touch("{t}absent", 10),
        ]
    )
    put, timed, number, length, got, absent, *rest = result.results
    assert isinstance(put, int)
    assert isinstance(timed, int)
    assert 0 < put < timed
    assert (number, length, absent) == (5, 3, None)
    assert isinstance(got, Record)
    assert got.value == b"xyz"
    assert rest == [True, False, True, False]
    record = await kv.get_record("{t}new")
    assert record is not None
    assert (record.value, record.expiry_ms) == (b"5", 1_010_000)


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare.value("{k}", "==", "b"), True),
        (Compare.value("{k}", "!=", "b"), False),
        (Compare.value("{k}", "<", "c"), True),
        (Compare.value("{k}", ">", "b"), False),
        (Compare.value("{k}absent", "==", ""), True),
        (Compare.version("{k}", "==", 2), True),
        (Compare.version("{k}", ">", 2), False),
        (Compare.create_revision("{k}", "==", 1), True),
        (Compare.mod_revision("{k}", "==", 2), True),
        (Compare.mod_revision("{k}", "<", 2), False),
        (Compare.mod_revision("{k}absent", "==", 0), True),
        (Compare.exists("{k}"), True),
        (Compare.exists("{k}absent"), False),
        (Compare.absent("{k}"), False),
        (Compare.absent("{k}absent"), True),
    ],
)
async def test_comparisons_are_of_values_versions_and_revisions(
    kv: AsyncClient, compare: Compare, holds: bool
) -> None:
    await kv.put("{k}", "a")
    await kv.put("{k}", "b")
    assert await kv.transaction([compare]) == TransactionResult(holds, [])


async def test_a_refused_operation_leaves_all_as_it_was(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("{t}text", "ten")
    with pytest.raises(NotANumber, match=r"operation 2 of the transaction") as caught:
        await kv.transaction(then=[Put("{t}a", "1"), Put("{t}b", "2"), Increment("{t}text")])
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.data == {b"{t}text": b"ten"}


async def test_a_fence_is_on_every_write_of_it(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.transaction(then=[Put("{t}a", "1")], fence=Fence(b"lock", 2))
    for operation in (Put("{t}a", "2"), Delete("{t}a"), Touch("{t}a", 1), Increment("{t}a")):
        with pytest.raises(Fenced) as caught:
            await kv.transaction(then=[operation], fence=Fence(b"lock", 1))
        assert caught.value.token == 2
    assert cluster.data == {b"{t}a": b"1"}


async def test_keys_of_different_partitions_are_named_and_told_how_to_meet(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    (one,), (other,) = cluster.keys_of(0, 1), cluster.keys_of(3, 1)
    with pytest.raises(InvalidArgument) as caught:
        await kv.transaction(compare=[Compare.exists(one)], then=[Put(other, "x")])
    sentence = str(caught.value)
    assert repr(one) in sentence
    assert repr(other) in sentence
    assert "{user:7}" in sentence
    assert cluster.calls == 0


def many(count: int) -> list[Get]:
    return [Get("{t}")] * count


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "names no key"),
        ({"then": [Put("", "x")]}, r"then\[0\]: key has 0 bytes"),
        ({"then": [Get("{t}"), Put("k" * 4097, "x")]}, r"then\[1\]: key has 4097 bytes"),
        ({"then": [Put("{t}", bytes((1 << 20) + 1))]}, r"then\[0\]: value has 1048577 bytes"),
        ({"then": [Put("{t}", 5)]}, r"then\[0\]: value must be bytes or str, not int"),  # type: ignore[arg-type]
        ({"then": [Put("{t}", "x", ttl=0)]}, r"then\[0\]: ttl is 0"),
        ({"otherwise": [Touch("{t}", -1)]}, r"otherwise\[0\]: ttl is -1"),
        ({"then": [Increment("{t}", 1 << 63)]}, r"then\[0\]: by is 9223372036854775808"),
        ({"then": [Append("{t}", None)]}, r"then\[0\]: suffix must be bytes or str"),  # type: ignore[arg-type]
        ({"then": ["put"]}, r"then\[0\]: must be a Put, .* not str"),
        ({"then": "put"}, "then must be a sequence, not str"),
        ({"compare": {1}}, "compare must be a sequence, not set"),
        ({"compare": [True]}, r"compare\[0\]: must be a Compare, not bool"),
        ({"compare": [Compare.value("{t}", "=", "x")]}, r"compare\[0\]: relation is '='"),  # type: ignore[arg-type]
        ({"compare": [Compare.value("{t}", "==", 5)]}, r"compare\[0\]: value must be bytes"),  # type: ignore[arg-type]
        ({"compare": [Compare.version("{t}", "==", -1)]}, r"compare\[0\]: version is -1"),
        ({"compare": [Compare.version("{t}", "==", "1")]}, r"compare\[0\]: version must be an int"),  # type: ignore[arg-type]
        ({"compare": [Compare.exists("")]}, r"compare\[0\]: key has 0 bytes"),
        ({"then": many(1025)}, "then has 1025 parts; the limit is 1024"),
        ({"otherwise": many(1025)}, "otherwise has 1025 parts; the limit is 1024"),
        ({"compare": [Compare.exists("{t}")] * 1025}, "compare has 1025 parts"),
        ({"then": [Put("{t}", bytes(1 << 20))] * 5}, r"the operation has 52\d+ bytes"),
        ({"then": many(1), "fence": Fence(b"", 1)}, "fence"),
        ({"then": [Delete("{t}")], "fence": Fence(b"lock", 0)}, "fence's token is 0"),
        ({"then": many(1), "timeout_s": 0}, "timeout_s is 0"),
    ],
)
async def test_what_breaks_a_rule_is_named_and_changes_nothing(
    kv: AsyncClient, cluster: FakeCluster, parts: dict[str, list[Put]], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words):
        await kv.transaction(**parts)  # type: ignore[arg-type]  # what is tested
    assert cluster.calls == 0


async def test_the_most_operations_are_taken(kv: AsyncClient) -> None:
    result = await kv.transaction(
        [Compare.absent("{t}")] * 1024, then=many(1024), otherwise=many(1024)
    )
    assert result == TransactionResult(True, [None] * 1024)
