"""What the commit log lets go of, and not before the last that needs it has let go, too."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId, PartitionId, ReplicaId, group_of
from cluster.raft.messages import AppendResponse
from kvstore.environment import GroupMessage
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.requests import Status
from tests.replica.world import LONG_TICKS, Answers, Member, World

VALUE = bytes(200)
LATE, BUSY = GroupId(1), GroupId(2)


@pytest.fixture
def world() -> World:
    """Leadership is at rest, and every segment before the one that is written to may go."""
    world = World(partitions=2, segment_bytes=2048, compaction=CompactionPolicy(0))
    world.until(world.serves)
    world.tick(LONG_TICKS)
    return world


def leader(world: World, group: GroupId) -> Member:
    me = world.leader_of(group)
    assert me is not None
    return world.members[me]


def key_of(world: World, group: GroupId) -> bytes:
    keys = (b"%d" % number for number in range(100))
    return next(key for key in keys if group_of(PartitionId(world.partition_of(key))) == group)


def put(world: World, group: GroupId) -> Answers:
    return world.put(key_of(world, group), VALUE)


def load(world: World, puts: int) -> None:
    for _ in range(puts):
        written = put(world, BUSY)
        world.tick()
        assert written.status is Status.OK


def hold_back(world: World, group: GroupId) -> None:
    """From now on nobody acknowledges the group's entries, though all is well otherwise."""
    deliver = world.deliver

    def without(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        kept = [
            (of, message)
            for of, message in messages
            if of != group or not isinstance(message, AppendResponse)
        ]
        deliver(sender, to, tuple(kept))

    world.deliver = without  # type: ignore[method-assign]


def test_what_is_applied_while_the_engine_flushes_stays_in_the_log(world: World) -> None:
    member = leader(world, LATE)
    late = member.host.replicas[LATE]
    deliver = world.deliver
    hold_back(world, LATE)
    open_write = put(world, LATE)
    member.flush_worker.is_holding = True
    load(world, 40)
    assert len(member.flush_worker.held) == 1
    applied_before = late.core.applied
    assert applied_before < late.core.last_index
    world.deliver = deliver  # type: ignore[method-assign]
    world.until(lambda: open_write.status is Status.OK)
    member.flush_worker.release()
    member.flush_worker.is_holding = True
    world.run()
    assert late.log.first_index() == applied_before + 1


def test_segments_wait_for_bounds_that_wait_for_another_write(world: World) -> None:
    member = leader(world, BUSY)
    member.flush_worker.is_holding = True
    load(world, 40)
    member.worker.is_holding = True
    put(world, BUSY)
    world.run()
    assert len(member.worker.held) == 1, "a write is under way"
    member.flush_worker.release()
    world.run()
    assert member.host.replicas[BUSY].log.first_index() > 1
    assert len(member.worker.held) == 1, "nothing is let go behind it"


def test_segments_of_a_group_that_is_not_there_yet_stay(world: World) -> None:
    member = leader(world, BUSY)
    first = member.commit_log.oldest_segment
    member.compactor._unclaimed = lambda: first
    load(world, 60)
    assert member.commit_log.oldest_segment == first
    member.compactor._unclaimed = lambda: None
    load(world, 60)
    assert member.commit_log.oldest_segment > first + 3
