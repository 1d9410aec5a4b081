"""Reading a partition for a backup: whole and of one moment, or begun anew, or an error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import grpc
import pytest

from kvstore.client import AsyncClient, backup
from kvstore.client.backup import RESTARTS_MAX, BrokenOff
from kvstore.codec.backup import SectionEnd, SectionStart, checksum, decode_rows, encode_rows
from kvstore.codec.record import decode_record
from kvstore.errors import InvalidArgument, ResourceExhausted, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2
from tests.client.fake_cluster import (
    Backup,
    Context,
    FakeCluster,
    FakeNode,
    FakePartition,
    honest_backup,
    until,
)

Chunks = list[admin_pb2.BackupChunk]


async def filled(cluster: FakeCluster, kv: AsyncClient, count: int = 7) -> dict[bytes, bytes]:
    """What partition 0 holds."""
    data = {key: b"value of " + key for key in cluster.keys_of(0, count)}
    for key, value in data.items():
        await kv.put(key, value)
    return data


async def events_of(kv: AsyncClient, partition: int = 0, timeout_s: float = 5.0) -> list[object]:
    return [event async for event in kv.backup(partition, timeout_s=timeout_s)]


def data_of(events: list[object]) -> dict[bytes, bytes]:
    """What the rows since the last start hold."""
    found: dict[bytes, bytes] = {}
    for event in events:
        if isinstance(event, SectionStart):
            found.clear()
        elif isinstance(event, bytes):
            for key, record in zip(*decode_rows(event), strict=True):
                found[key] = decode_record(record).value
    return found


def kinds(events: list[object]) -> list[type]:
    return [type(event) for event in events]


def once(fault: Backup) -> Backup:
    """`fault`, then honest answers; at whichever node."""
    faults = [fault]

    async def answer(node: FakeNode, partition: FakePartition, context: Context) -> None:
        leads = partition.leader == node.replica
        await (faults.pop() if faults and leads else honest_backup)(node, partition, context)

    return answer


def changed(change: Callable[[Chunks], object]) -> Backup:
    """Sends what `change` leaves of the chunks, and ends well."""

    async def answer(_node: FakeNode, partition: FakePartition, context: Context) -> None:
        chunks = partition.chunks()
        change(chunks)
        for chunk in chunks:
            await context.write(chunk)

    return answer


def let_all(cluster: FakeCluster, answer: Backup) -> None:
    for node in cluster.nodes.values():
        node.backup = answer


async def test_a_partition_is_read_from_its_leader(cluster: FakeCluster, kv: AsyncClient) -> None:
    data = await filled(cluster, kv)
    events = await events_of(kv)
    assert kinds(events) == [SectionStart, bytes, bytes, bytes, bytes, SectionEnd]
    assert data_of(events) == data
    start, end = events[0], events[-1]
    assert isinstance(start, SectionStart)
    assert isinstance(end, SectionEnd)
    assert (start.partition, start.revision, end.records) == (0, 7, 7)
    assert [node.backups for node in cluster.nodes.values()] == [[0], [], []]


async def test_an_empty_partition_has_a_start_and_an_end(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    assert data_of(await events_of(kv, 3)) == {}


def flip(chunks: Chunks) -> None:
    rows = bytearray(chunks[1].rows)
    rows[-1] ^= 1
    chunks[1].rows = bytes(rows)


def swap(chunks: Chunks) -> None:
    first, second = chunks[1], chunks[2]
    first.rows, second.rows = second.rows, first.rows
    first.checksum, second.checksum = second.checksum, first.checksum


def forget_rows(chunks: Chunks) -> None:
    chunks[1].rows = encode_rows([], [])
    chunks[1].checksum = checksum(chunks[1].rows)


@pytest.mark.parametrize(
    "change",
    [
        flip,
        swap,
        forget_rows,
        lambda chunks: chunks.pop(1),
        lambda chunks: chunks.pop(),
        lambda chunks: chunks.insert(1, chunks[1]),
        lambda chunks: chunks[2].position.SetInParent(),
    ],
    ids=["flipped", "swapped", "emptied", "lost", "cut short", "repeated", "of two moments"],
)
async def test_what_did_not_arrive_as_it_was_sent_is_begun_anew(
    cluster: FakeCluster, kv: AsyncClient, change: Callable[[Chunks], object]
) -> None:
    data = await filled(cluster, kv)
    let_all(cluster, once(changed(change)))
    events = await events_of(kv)
    assert kinds(events).count(BrokenOff) == 1
    assert kinds(events).count(SectionStart) == 2
    assert kinds(events).count(SectionEnd) == 1
    assert data_of(events) == data


async def test_a_first_chunk_that_is_not_one_is_no_start(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    data = await filled(cluster, kv)
    let_all(cluster, once(changed(lambda chunks: chunks[0].ClearField("position"))))
    events = await events_of(kv)
    assert kinds(events).count(BrokenOff) == 0
    assert data_of(events) == data


async def test_when_the_leader_dies_another_begins_anew(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    data = await filled(cluster, kv)

    async def die(node: FakeNode, partition: FakePartition, context: Context) -> None:
        for chunk in partition.chunks()[:2]:
            await context.write(chunk)
        cluster.lead_all(2)
        partition.data.pop(min(data))  # the other's state is a later one
        partition.revision += 1
        await asyncio.shield(asyncio.ensure_future(node.stop()))

    let_all(cluster, once(die))
    events = await events_of(kv)
    data.pop(min(data))
    assert data_of(events) == data
    starts = [event for event in events if isinstance(event, SectionStart)]
    assert [start.revision for start in starts] == [7, 8]
    (broken,) = [event for event in events if isinstance(event, BrokenOff)]
    assert broken.reason.startswith("n1 (")
    assert cluster.nodes[2].backups == [0]


async def test_whoever_does_not_lead_sends_nothing_and_the_leader_is_found(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    data = await filled(cluster, kv)
    cluster.tell_leaders = False
    cluster.lead_all(3)
    events = await events_of(kv)
    assert kinds(events).count(BrokenOff) == 0
    assert data_of(events) == data


async def test_a_node_that_falls_silent_is_left(
    cluster: FakeCluster, kv: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await filled(cluster, kv)
    monkeypatch.setattr(backup, "SILENCE_S_MIN", 0.2)
    left = asyncio.Event()

    async def hang(node: FakeNode, partition: FakePartition, context: Context) -> None:
        await context.write(partition.chunks()[0])
        try:
            await node.release.wait()
        finally:
            left.set()

    let_all(cluster, once(hang))
    events = await events_of(kv, timeout_s=1.0)
    assert data_of(events) == data
    (broken,) = [event for event in events if isinstance(event, BrokenOff)]
    assert broken.reason.endswith("no answer in time")
    await asyncio.wait_for(left.wait(), 5)


async def test_a_partition_that_always_breaks_off_is_given_up(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    await filled(cluster, kv)
    let_all(cluster, changed(lambda chunks: chunks.pop()))
    with pytest.raises(Unavailable, match=f"partition 0 broke off {RESTARTS_MAX + 1} times"):
        await events_of(kv)
    assert sum(len(node.backups) for node in cluster.nodes.values()) >= RESTARTS_MAX + 1


async def test_a_node_with_too_many_backups_is_waited_for_until_the_deadline(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    data = await filled(cluster, kv)

    async def full(_node: FakeNode, _partition: FakePartition, context: Context) -> None:
        outcome = (("kvstore-outcome", "definite"),)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "2 backups", outcome)

    let_all(cluster, once(full))
    assert data_of(await events_of(kv)) == data
    assert cluster.nodes[1].backups == [0, 0]
    let_all(cluster, full)
    with pytest.raises(ResourceExhausted, match="2 backups"):
        await events_of(kv, timeout_s=2)


async def test_nobody_there_is_unavailable(cluster: FakeCluster, kv: AsyncClient) -> None:
    await filled(cluster, kv)
    for node in cluster.nodes.values():
        await node.stop()
    with pytest.raises(Unavailable):
        await events_of(kv, timeout_s=2)


async def test_a_node_without_backups_is_named(cluster: FakeCluster, kv: AsyncClient) -> None:
    async def unknown(_node: FakeNode, _partition: FakePartition, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    let_all(cluster, unknown)
    with pytest.raises(Unavailable, match=r"n1 \(.*UNIMPLEMENTED"):
        await events_of(kv)


async def test_there_are_only_so_many_partitions(kv: AsyncClient) -> None:
    with pytest.raises(InvalidArgument, match="partition is 4; there are 4"):
        await events_of(kv, 4)


async def test_who_leaves_early_leaves_no_call_behind(
    cluster: FakeCluster, kv: AsyncClient
) -> None:
    await filled(cluster, kv)
    ended = []

    async def endless(node: FakeNode, partition: FakePartition, context: Context) -> None:
        try:
            await context.write(partition.chunks()[0])
            await node.release.wait()
        finally:
            ended.append(node.name)

    let_all(cluster, endless)
    async with contextlib.aclosing(kv.backup(0)) as events:
        async for event in events:
            assert isinstance(event, SectionStart)
            break
    await until(lambda: ended == ["n1"])
