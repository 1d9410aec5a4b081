"""Many keys in one call."""

from __future__ import annotations

import asyncio
import pickle

import grpc
import pytest

from kvstore.client import AsyncClient, many, outbox
from kvstore.errors import (
    BatchFailed,
    InvalidArgument,
    Outcome,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until

KEYS = [b"key-%03d" % number for number in range(400)]


async def test_what_was_put_is_got_in_the_order_that_is_asked_for(kv: AsyncClient) -> None:
    revisions = await kv.put_many({key: key for key in KEYS})
    assert list(revisions) == KEYS
    assert all(revisions.values())
    wanted = [*reversed(KEYS), b"absent", KEYS[7]]
    assert list((await kv.get_many(wanted)).items()) == [(key, key) for key in reversed(KEYS)]


@pytest.mark.usefixtures("patient")
async def test_they_travel_in_few_calls(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("connected", "")
    before = cluster.calls
    await kv.put_many(dict.fromkeys(KEYS, "value"))
    await kv.get_many(KEYS)
    assert cluster.calls - before <= 4 * len(cluster.nodes)


async def test_nothing_asked_for_is_nothing_done(kv: AsyncClient, cluster: FakeCluster) -> None:
    assert await kv.put_many({}) == {}
    assert await kv.get_many([]) == {}
    assert cluster.calls == 0


async def test_they_may_have_a_lifetime(kv: AsyncClient, cluster: FakeCluster) -> None:
    revisions = await kv.put_many({"a": "1", "b": "2"}, ttl=5)
    record = await kv.get_record("a")
    assert record is not None
    assert (record.mod_revision, record.expiry_ms) == (revisions[b"a"], 1_005_000)


async def test_more_than_the_queue_holds_goes_in_parts(
    kv: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "AT_ONCE_BYTES", 2000)
    monkeypatch.setattr("kvstore.client.dispatch.OUTBOX_BYTES_MAX", 8000)
    assert len(await kv.put_many({key: bytes(100) for key in KEYS})) == len(KEYS)
    assert len(await kv.get_many(KEYS)) == len(KEYS)


async def test_a_partition_that_fails_leaves_the_others_done(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.get("connected")
    failing = cluster.nodes[2]
    failing.always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
    with pytest.raises(BatchFailed, match="no majority") as caught:
        await kv.put_many(dict.fromkeys(KEYS, "value"), timeout_s=0.5)
    failed = {key for key in KEYS if cluster.leader_of(key) is failing}
    assert set(caught.value.failed) == failed
    assert set(caught.value.done) == set(KEYS) - failed
    assert set(cluster.data) == set(KEYS) - failed
    assert all(type(each) is Unavailable for each in caught.value.failed.values())
    assert caught.value.outcome is Outcome.DEFINITE


async def test_a_key_that_may_have_been_written_makes_the_outcome_unknown(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    cluster.leader_of(b"a").always = fake.abort(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(BatchFailed, match=r"0 were not and 1 may have been") as caught:
        await kv.put_many({"a": "1"}, timeout_s=2)
    assert type(caught.value.failed[b"a"]) is OutcomeUnknown
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_reads_raise_what_kept_a_key_from_being_read(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put_many(dict.fromkeys(KEYS, "value"))
    cluster.nodes[2].always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
    with pytest.raises(Unavailable, match="no majority"):
        await kv.get_many(KEYS, timeout_s=0.5)


@pytest.mark.usefixtures("patient")
async def test_where_the_queue_is_full_the_rest_is_refused_and_named(
    kv: AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kv.put("connected", "")
    monkeypatch.setattr("kvstore.client.dispatch.OUTBOX_BYTES_MAX", 2000)
    monkeypatch.setattr(outbox, "OUTBOX_BYTES_MAX", 2000)
    with pytest.raises(BatchFailed) as caught:
        await kv.put_many(dict.fromkeys(KEYS, "value"))
    assert caught.value.done
    assert {*caught.value.done, *caught.value.failed} == set(KEYS)
    assert {type(each) for each in caught.value.failed.values()} == {ResourceExhausted}
    assert set(cluster.data) == {b"connected", *caught.value.done}


async def test_a_cancelled_call_leaves_nothing_waiting(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    for node in cluster.nodes.values():
        node.always = fake.hang
    call = asyncio.ensure_future(kv.put_many(dict.fromkeys(KEYS, "value")))
    await until(lambda: any(node.sections() > 1 for node in cluster.nodes.values()))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([("a", "1")], "items must be a mapping, not list"),
        ({"a": "1", b"a": "2"}, "twice"),
        ({"a": "1", "": "2"}, "key has 0 bytes"),
        ({"a": "1", "b": bytes((1 << 20) + 1)}, "value has 1048577 bytes"),
        ({"a": "1", "b": None}, "value must be bytes or str, not NoneType"),
        ({"a": "1", 5: "2"}, "key must be bytes or str, not int"),
    ],
)
async def test_one_wrong_key_or_value_and_nothing_is_sent(
    kv: AsyncClient, cluster: FakeCluster, items: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words):
        await kv.put_many(items)
    assert cluster.calls == 0


@pytest.mark.parametrize("keys", ["key", b"key", None, 5])
async def test_keys_are_several(kv: AsyncClient, cluster: FakeCluster, keys: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="keys must be several"):
        await kv.get_many(keys)
    assert cluster.calls == 0


def test_the_error_keeps_what_it_knows_when_it_crosses_processes() -> None:
    problem = BatchFailed("some", {b"a": 1}, {b"b": OutcomeUnknown("sent")})
    copy = pickle.loads(pickle.dumps(problem))
    assert (copy.done, list(copy.failed)) == ({b"a": 1}, [b"b"])
    assert copy.outcome is Outcome.UNKNOWN
