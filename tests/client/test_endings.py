"""How operations end that no node refused: at their deadline, cancelled, with their client, or
because too many of them wait."""

from __future__ import annotations

import asyncio

import pytest

from kvstore.client import AsyncClient, outbox
from kvstore.errors import (
    ClientClosed,
    DeadlineExceeded,
    Outcome,
    OutcomeUnknown,
    ResourceExhausted,
)
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until

# --- deadlines


async def connected(cluster: FakeCluster) -> AsyncClient:
    """A client of n1, which leads all."""
    node = cluster.lead_all(1)
    kv = AsyncClient(node.address)
    await kv.get("key")
    node.calls.clear()
    return kv


async def hold_lane(kv: AsyncClient, cluster: FakeCluster) -> asyncio.Task[int]:
    """A write to partition 0 that hangs, so that others of partition 0 wait behind it."""
    node = cluster.nodes[1]
    node.always = fake.hang
    task = asyncio.create_task(kv.put(cluster.keys_of(0, 1)[0], "held"))
    await until(lambda: len(node.calls) == 1)
    return task


async def let_go(kv: AsyncClient, cluster: FakeCluster, held: asyncio.Task[int]) -> None:
    """The write that hangs is answered, and so is one behind it."""
    cluster.nodes[1].always = None
    cluster.nodes[1].release.set()
    await held
    await kv.put(cluster.keys_of(0, 3)[2], "after")


@pytest.mark.usefixtures("patient")
async def test_a_deadline_in_the_queue_is_definite_and_the_write_is_not_sent(
    cluster: FakeCluster,
) -> None:
    async with await connected(cluster) as kv:
        held = await hold_lane(kv, cluster)
        with pytest.raises(DeadlineExceeded, match="before the operation was sent") as caught:
            await kv.put(cluster.keys_of(0, 2)[1], "late", timeout_s=0.01)
        assert caught.value.outcome is Outcome.DEFINITE
        await let_go(kv, cluster, held)
    assert sorted(cluster.data.values()) == [b"after", b"held"]


async def test_a_deadline_under_way_is_unknown_for_a_write(cluster: FakeCluster) -> None:
    async with await connected(cluster) as kv:
        cluster.nodes[1].always = fake.hang
        with pytest.raises(OutcomeUnknown, match=r"the deadline passed while n1 .* had the write"):
            await kv.put("key", "value", timeout_s=0.3)
        assert len(cluster.nodes[1].calls) == 1


async def test_a_deadline_under_way_is_definite_for_a_read(cluster: FakeCluster) -> None:
    async with await connected(cluster) as kv:
        cluster.nodes[1].always = fake.hang
        with pytest.raises(DeadlineExceeded):
            await kv.get("key", timeout_s=0.05)


async def test_a_short_deadline_is_kept_among_long_ones(cluster: FakeCluster) -> None:
    async with await connected(cluster) as kv, asyncio.timeout(2):
        cluster.nodes[1].always = fake.hang
        slow = [asyncio.create_task(kv.get(f"key-{i}", timeout_s=60)) for i in range(10)]
        with pytest.raises(DeadlineExceeded):
            await kv.get("key-1", timeout_s=0.03)
        assert not any(task.done() for task in slow)
        cluster.nodes[1].release.set()
        await asyncio.gather(*slow)


# --- cancelled callers


@pytest.mark.usefixtures("patient")
async def test_a_cancelled_caller_in_the_queue_is_not_sent(cluster: FakeCluster) -> None:
    async with await connected(cluster) as kv:
        held = await hold_lane(kv, cluster)
        late = asyncio.create_task(kv.put(cluster.keys_of(0, 2)[1], "late"))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        await let_go(kv, cluster, held)
    assert sorted(cluster.data.values()) == [b"after", b"held"]


async def test_the_answer_to_a_cancelled_caller_is_ignored(cluster: FakeCluster) -> None:
    async with await connected(cluster) as kv:
        node = cluster.nodes[1]
        node.always = fake.hang
        gone = asyncio.create_task(kv.put("{t}gone", "1"))
        stays = asyncio.create_task(kv.put("{t}stays", "2"))
        await until(lambda: len(node.calls) == 1)
        gone.cancel()
        node.release.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert await stays == 2


# --- the end


@pytest.mark.usefixtures("patient")
async def test_close_tells_who_was_sent_and_who_was_not(cluster: FakeCluster) -> None:
    kv = await connected(cluster)
    sent = await hold_lane(kv, cluster)
    queued = asyncio.create_task(kv.put(cluster.keys_of(0, 2)[1], "queued"))
    reading = asyncio.create_task(kv.get("key"))
    await until(lambda: len(cluster.nodes[1].calls) == 2)
    await kv.aclose()
    with pytest.raises(OutcomeUnknown, match="the client was closed while n1"):
        await sent
    with pytest.raises(ClientClosed, match="nothing was sent") as caught:
        await queued
    assert caught.value.outcome is Outcome.DEFINITE
    with pytest.raises(ClientClosed):
        await reading


async def test_close_ends_those_that_wait_for_a_first_map() -> None:
    port, sock = fake.free_port()
    kv = AsyncClient(f"127.0.0.1:{port}")
    waiting = asyncio.create_task(kv.put("key", "value"))
    await asyncio.sleep(0)
    await kv.aclose()
    with pytest.raises(ClientClosed):
        await waiting
    sock.close()


async def test_a_closed_client_refuses(kv: AsyncClient, cluster: FakeCluster) -> None:
    await kv.put("key", "value")
    await kv.aclose()
    await kv.aclose()

    async def scan() -> object:
        return [entry async for entry in kv.scan()]

    asking = (kv.put("key", "value"), kv.delete("key"), kv.get("key"), scan(), kv.status())
    for each in asking:
        with pytest.raises(ClientClosed):
            await each


@pytest.mark.usefixtures("patient")
async def test_close_leaves_no_task_behind(cluster: FakeCluster) -> None:
    before = asyncio.all_tasks()
    kv = await connected(cluster)
    held = await hold_lane(kv, cluster)
    parked = asyncio.create_task(kv.get("key"))
    await cluster.nodes[2].stop()
    await kv.aclose()
    await asyncio.gather(held, parked, return_exceptions=True)
    cluster.nodes[1].release.set()
    # The fake node's own tasks end when its calls do.
    await until(lambda: asyncio.all_tasks() <= before)


# --- bounds


@pytest.mark.usefixtures("patient")
async def test_a_full_outbox_refuses_and_takes_more_when_it_has_room(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.client.dispatch.OUTBOX_BYTES_MAX", 10_000)
    monkeypatch.setattr(outbox, "OUTBOX_BYTES_MAX", 10_000)
    async with await connected(cluster) as kv:
        held = await hold_lane(kv, cluster)
        keys = cluster.keys_of(0, 200)[1:]
        waiting = [asyncio.create_task(kv.put(key, bytes(100))) for key in keys]
        await asyncio.sleep(0)
        refused = [task for task in waiting if task.done()]
        assert 0 < len(refused) < len(waiting)
        for task in refused:
            with pytest.raises(ResourceExhausted, match="the limit is 10000"):
                await task
        cluster.nodes[1].always = None
        cluster.nodes[1].release.set()
        await asyncio.gather(held, *(task for task in waiting if task not in refused))
        await kv.put(keys[0], "room again")


@pytest.mark.usefixtures("patient")
async def test_operations_that_nobody_waits_for_make_room(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.client.dispatch.OUTBOX_BYTES_MAX", 10_000)
    monkeypatch.setattr(outbox, "OUTBOX_BYTES_MAX", 10_000)
    monkeypatch.setattr(outbox, "COMPACT_INTERVAL_S", 0)
    async with await connected(cluster) as kv:
        held = await hold_lane(kv, cluster)
        key = cluster.keys_of(0, 2)[1]
        for _ in range(10):
            late = asyncio.create_task(kv.put(key, bytes(8_000)))
            await asyncio.sleep(0)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
        cluster.nodes[1].release.set()
        await held
