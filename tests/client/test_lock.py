"""Locks: one holder at a time, and what a holder learns that has lost one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import grpc
import pytest

from kvstore.client import AsyncClient
from kvstore.client.lock import Lock
from kvstore.errors import (
    Fenced,
    InvalidArgument,
    LockLost,
    LockTimeout,
    Outcome,
    OutcomeUnknown,
    Unavailable,
)
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until

NAME = b"nightly"


@pytest.fixture
async def other(cluster: FakeCluster) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(cluster.endpoints, random=Random(2)) as client:
        yield client


def expire(cluster: FakeCluster, seconds: float) -> None:
    for partition in cluster.partitions:
        partition.clock_ms += round(seconds * 1000)
        partition.expire()


async def test_the_key_is_there_while_the_lock_is_held(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    async with kv.lock("nightly", ttl=10) as lock:
        record = await kv.get_record("nightly")
        assert record is not None
        assert record.expiry_ms == 1_010_000
        assert lock.token == record.create_revision
        assert (lock.fence.lock, lock.fence.token) == (NAME, lock.token)
        assert not lock.is_lost
        lock.check()
    assert cluster.data == {}
    with pytest.raises(LockLost, match="not held"):
        lock.check()


async def test_one_holds_it_and_the_next_has_a_larger_token(
    kv: AsyncClient, other: AsyncClient
) -> None:
    order: list[tuple[str, int]] = []

    async def hold(client: AsyncClient, name: str) -> None:
        for _ in range(3):
            async with client.lock("nightly", timeout_s=30) as lock:
                order.append((f"{name} in", lock.token))
                await asyncio.sleep(0)
                order.append((f"{name} out", lock.token))

    await asyncio.gather(hold(kv, "a"), hold(other, "b"), hold(kv, "c"))
    for entered, left in zip(order[::2], order[1::2], strict=True):
        assert entered[0].removesuffix(" in") == left[0].removesuffix(" out")
    tokens = [token for _, token in order[::2]]
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 9


async def test_who_waits_too_long_is_told(kv: AsyncClient, other: AsyncClient) -> None:
    async with kv.lock("nightly") as lock:
        with pytest.raises(LockTimeout, match="held by another for 0") as caught:
            async with other.lock("nightly", timeout_s=0.1):
                pytest.fail("two hold it")
        assert caught.value.outcome is Outcome.DEFINITE
        lock.check()


async def test_it_is_renewed_at_a_third_of_its_lifetime(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    async with kv.lock("nightly", ttl=0.9) as lock:
        stored = cluster.partitions[cluster.partition_of(NAME)]
        touched = 0
        for _ in range(3):
            before = stored.data[NAME]
            expire(cluster, 0.6)
            await until(lambda before=before: stored.data.get(NAME) != before)  # type: ignore[misc]
            touched += 1
            lock.check()
        assert touched == 3
        assert lock.token == 1


async def test_a_lock_that_expired_is_lost_and_does_not_come_back(
    kv: AsyncClient, other: AsyncClient, cluster: FakeCluster
) -> None:
    async with kv.lock("nightly", ttl=0.3) as lock:
        expire(cluster, 1)
        async with other.lock("nightly") as second:
            await until(lambda: lock.is_lost)
            with pytest.raises(LockLost, match=r"token 1, is held no more: its key has expired"):
                lock.check()
            assert second.token > lock.token
        assert lock.is_lost
    assert repr(lock) == "<Lock b'nightly', not held>"


async def test_leaving_a_lost_lock_does_not_release_that_of_another(
    kv: AsyncClient, other: AsyncClient, cluster: FakeCluster
) -> None:
    lock = kv.lock("nightly")
    await lock.acquire()
    expire(cluster, 11)
    async with other.lock("nightly") as second:
        await lock.release()
        record = await kv.get_record("nightly")
        assert record is not None
        assert record.create_revision == second.token


async def test_a_late_holder_cannot_write_what_a_later_one_has_written(
    kv: AsyncClient, other: AsyncClient, cluster: FakeCluster
) -> None:
    async with kv.lock("nightly") as first:
        fence = first.fence
        await kv.put("report", "first", fence=fence)
        expire(cluster, 11)
        async with other.lock("nightly") as second:
            await other.put("report", "second", fence=second.fence)
            with pytest.raises(Fenced):
                await kv.put("report", "late", fence=fence)
    assert await kv.get("report") == b"second"


async def test_a_holder_without_a_connection_knows_before_others_can_hold_it(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    async with kv.lock("nightly", ttl=0.2) as lock:
        for node in cluster.nodes.values():
            node.always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
        await until(lambda: lock.is_lost)
        # Its own clock said so: the key has not expired.
        assert NAME in cluster.data
        with pytest.raises(LockLost):
            lock.check()


async def test_a_holder_that_was_paused_knows_as_soon_as_it_looks(
    kv: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kv.lock("nightly", ttl=10) as lock:
        lock.check()
        loop = asyncio.get_running_loop()
        after_s = loop.time() + 10
        with monkeypatch.context() as pause:
            pause.setattr(loop, "time", lambda: after_s)
            # Nothing else had its turn in between.
            assert lock.is_lost
            with pytest.raises(LockLost, match="not renewed in time"):
                lock.check()


async def test_a_renewal_that_fails_is_tried_again(kv: AsyncClient, cluster: FakeCluster) -> None:
    async with kv.lock("nightly", ttl=1.5) as lock:
        node = cluster.leader_of(NAME)
        before = len(node.calls)
        node.faults.append(fake.abort(grpc.StatusCode.DEADLINE_EXCEEDED))
        await until(lambda: len(node.calls) >= before + 2)
        lock.check()


async def test_a_cancelled_body_releases_it(kv: AsyncClient, cluster: FakeCluster) -> None:
    inside = asyncio.Event()

    async def hold() -> None:
        async with kv.lock("nightly"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cluster.data == {}


async def test_a_release_that_is_cancelled_is_done_all_the_same(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    lock = kv.lock("nightly")
    await lock.acquire()
    task = asyncio.ensure_future(lock.release())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cluster.data == {}


async def test_who_is_cancelled_while_the_put_is_under_way_leaves_no_lock(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    node = cluster.leader_of(NAME)
    node.faults.append(fake.hang)
    before = len(node.calls)
    task = asyncio.ensure_future(kv.lock("nightly").acquire())
    await until(lambda: len(node.calls) > before)
    task.cancel()
    await asyncio.sleep(0)
    node.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: set(cluster.data) == {b"connected"})


async def test_a_put_whose_outcome_is_not_known_may_be_found_to_hold_it(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    node = cluster.leader_of(NAME)

    async def applied_and_unknown(*arguments: object) -> object:
        response = node.honest(node.calls[-1])
        response.statuses[0] = kv_pb2.SECTION_STATUS_UNKNOWN
        return response

    node.faults.append(applied_and_unknown)  # type: ignore[arg-type]  # gives what a fault gives
    async with kv.lock("nightly") as lock:
        record = await kv.get_record("nightly")
        assert record is not None
        assert lock.token == record.create_revision


async def test_a_put_that_may_have_been_applied_is_undone_when_time_is_over(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    node = cluster.leader_of(NAME)

    async def applied_too_late(*arguments: object) -> object:
        response = node.honest(node.calls[-1])
        await asyncio.sleep(0.3)
        return response

    node.faults.append(applied_too_late)  # type: ignore[arg-type]  # gives what a fault gives
    with pytest.raises((OutcomeUnknown, Unavailable)):
        await kv.lock("nightly", timeout_s=0.1).acquire()
    assert set(cluster.data) == {b"connected"}


async def test_a_release_that_cannot_reach_the_cluster_raises_nothing(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    lock = kv.lock("nightly")
    await lock.acquire()
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
    await lock.release()
    assert NAME in cluster.data


async def test_a_lock_is_for_one_holder_at_a_time_and_then_again(kv: AsyncClient) -> None:
    lock = kv.lock("nightly")
    async with lock:
        with pytest.raises(RuntimeError, match="in use"):
            await lock.acquire()
        first = lock.token
    async with lock:
        assert lock.token > first


async def test_a_lock_of_a_client_that_was_closed_is_lost(cluster: FakeCluster) -> None:
    client = AsyncClient(cluster.endpoints)
    lock = client.lock("nightly", ttl=0.6)
    await lock.acquire()
    await client.aclose()
    await until(lambda: lock.is_lost)
    with pytest.raises(LockLost, match="the client is closed"):
        lock.check()
    await lock.release()


def test_a_lock_says_how_it_stands() -> None:
    assert repr(AsyncClient().lock("nightly")) == "<Lock b'nightly', not held>"


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (5, {}, "name must be bytes or str"),
        ("n", {"ttl": 0}, "ttl is 0"),
        ("n", {"ttl": None}, "a lock needs one"),
        ("n", {"ttl": 0.05}, "ttl is 0.05; a lock needs 100 ms at least"),
        ("n", {"ttl": float("nan")}, "ttl is nan"),
        ("n", {"timeout_s": -1}, "timeout_s is -1"),
    ],
)
async def test_what_breaks_a_rule_is_refused(
    kv: AsyncClient, name: str, arguments: dict[str, float], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words):
        kv.lock(name, **arguments)


@pytest.mark.parametrize("name", ["", "n" * 4097])
async def test_its_name_is_a_key(kv: AsyncClient, cluster: FakeCluster, name: str) -> None:
    lock: Lock = kv.lock(name)
    with pytest.raises(InvalidArgument, match="key has"):
        await lock.acquire()
    assert cluster.calls == 0
    with pytest.raises(InvalidArgument, match="key has"):
        await lock.acquire()
