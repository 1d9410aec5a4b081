"""What an operation costs, counted and not timed: rounds, messages, syncs, bytes and calls of
functions, over all three nodes of a cluster. The same on every machine.

Where a change makes something dearer, it is to be looked at, and the figure raised only with a
reason; where it makes it cheaper, the figure is to follow, so that it stays cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import FrameType

import pytest

from cluster.ids import META_GROUP, ReplicaId, group_of
from kvstore.codec.command import OperationKind, encode_command
from kvstore.commitlog.commit_log import Position, Record
from kvstore.replica.log_pipeline import AppendLog
from kvstore.replica.requests import ReadRequest, Status
from kvstore.wire.peer import Introduction, encode_round
from tests.replica.world import LONG_TICKS, Answers, World

BATCHES = 50
VALUE = b"v" * 256
TOLERANCE = 0.1
SAID = Introduction("cluster", 1, 2, "127.0.0.1:7001")


class CountingLog:
    """A commit log whose records are counted."""

    def __init__(self, log: AppendLog) -> None:
        self._log = log
        self.bytes = 0

    def append(self, records: Sequence[Record]) -> list[Position]:
        self.bytes += sum(len(record.payload) for record in records)
        return self._log.append(records)


@dataclass
class Costs:
    """Of one batch, which is waited for."""

    rounds: float
    messages: float
    syncs: float
    log_bytes: float
    peer_bytes: float
    calls: float


def measure(batch: Callable[[World, int], Answers], partitions: int) -> Costs:
    """What batches cost on average, one after another; the first ones, which warm caches, apart."""
    world = World(partitions=partitions, seed=5, segment_bytes=1 << 22)
    world.until(world.serves)
    world.tick(3)
    logs = [CountingLog(member.commit_log) for member in world.nodes]
    for member, log in zip(world.nodes, logs, strict=True):
        member.host.pipeline._log = log
    sent = 0
    deliver = world.deliver

    def count_bytes(sender: ReplicaId, to: ReplicaId, messages: tuple[object, ...]) -> None:
        nonlocal sent
        sent += encode_round(sender, to, SAID, messages).ByteSize()  # type: ignore[arg-type]
        deliver(sender, to, messages)  # type: ignore[arg-type]

    def totals() -> list[int]:
        nodes = [member.host for member in world.nodes]
        return [
            sum(host.rounds for host in nodes),
            sum(host.messages_sent for host in nodes),
            sum(host.pipeline.syncs for host in nodes),
            sum(log.bytes for log in logs),
            sent,
        ]

    def run(numbers: range) -> None:
        for number in numbers:
            answers = batch(world, number)
            world.run()
            assert answers.status is Status.OK

    run(range(BATCHES))
    world.deliver = count_bytes  # type: ignore[method-assign]
    before = totals()
    run(range(BATCHES, 2 * BATCHES))
    costs = [(after - was) / BATCHES for after, was in zip(totals(), before, strict=True)]
    world.deliver = deliver  # type: ignore[method-assign]
    calls = count_calls(lambda: run(range(2 * BATCHES, 3 * BATCHES)))
    return Costs(*[*costs, calls / BATCHES])


def count_calls(work: Callable[[], None]) -> int:
    """How many Python functions `work` calls."""
    calls = 0

    def on_event(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def puts(count: int) -> Callable[[World, int], Answers]:
    """Batches of so many puts to keys of one partition, over and over."""

    def batch(world: World, number: int) -> Answers:
        partition = world.partition_of(b"key")
        keys = [b"{key}%d" % (each % 200) for each in range(number * count, (number + 1) * count)]
        kinds = bytes([OperationKind.PUT]) * count
        leader = world.leader_of(group_of(partition))
        assert leader is not None
        command = encode_command(kinds, keys, [VALUE] * count)
        return world.write(group_of(partition), command, leader)

    return batch


def gets(count: int) -> Callable[[World, int], Answers]:
    def batch(world: World, number: int) -> Answers:
        group = group_of(world.partition_of(b"key"))
        leader = world.leader_of(group)
        assert leader is not None
        answers = Answers()
        request = ReadRequest(answers, 0, [b"{key}%d" % each for each in range(count)])
        world.members[leader].host.read(group, request, LONG_TICKS)
        return answers

    return batch


def gets_of_all(world: World, _number: int) -> Answers:
    """A get of each partition, at each of the leaders."""
    last = Answers()
    for member in world.nodes:
        for group, replica in member.host.replicas.items():
            if replica.is_leader and group != META_GROUP:
                last = Answers()
                member.host.read(group, ReadRequest(last, 0, [b"key"]), LONG_TICKS)
    return last


EXPECTED = {
    "a put alone": (puts(1), 4, Costs(8, 4, 3, 1095, 932, 836)),
    "64 puts of one partition": (puts(64), 4, Costs(8, 4, 3, 52_590, 35_270, 1643)),
    "a get alone": (gets(1), 4, Costs(4, 4, 0, 0, 240, 286)),
    "64 gets of one partition": (gets(64), 4, Costs(4, 4, 0, 0, 240, 286)),
    "a get of each of 64 partitions": (gets_of_all, 64, Costs(9, 12, 0, 0, 1696, 9258)),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_costs_are_what_they_were(case: str) -> None:
    batch, partitions, expected = EXPECTED[case]
    found = measure(batch, partitions)
    for each in fields(Costs):
        cost, known = getattr(found, each.name), getattr(expected, each.name)
        assert cost == pytest.approx(known, rel=TOLERANCE), f"{each.name}: {found}"
