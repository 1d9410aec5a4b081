"""Full, failing and stuck disks under real hosts, logs and appliers."""

from __future__ import annotations

import errno

import pytest

from cluster.disk_watch import DiskPatience
from cluster.ids import META_GROUP, GroupId, ReplicaId
from kvstore.commitlog.commit_log import CommitLogFailed
from kvstore.errors import ResourceExhausted
from kvstore.replica.host import Host
from kvstore.replica.requests import Status
from kvstore.replica.space import Space
from kvstore.storage.engine import WriteBatch
from kvstore.storage.memory_engine import MemoryEngine
from tests.replica.world import RAFT, Member, World, value_of

ONE, TWO, THREE = ReplicaId(1), ReplicaId(2), ReplicaId(3)
PATIENCE = DiskPatience.of_elections(RAFT.election_ticks_max)
GROUP = GroupId(1)


class PickyEngine(MemoryEngine):
    """An engine that has no room while it is told so."""

    is_full = False

    def write(self, batch: WriteBatch) -> None:
        if self.is_full:
            raise ResourceExhausted("the disk is full")
        super().write(batch)


@pytest.fixture
def world() -> World:
    return settled(World(partitions=1))


def settled(world: World) -> World:
    world.until(world.serves)
    world.until(lambda: world.leader_of(GROUP) is not None)
    world.tick(4)
    return world


def leader(world: World) -> ReplicaId:
    found = world.leader_of(GROUP)
    assert found is not None
    return found


def put(world: World, key: bytes, value: bytes, at: ReplicaId | None = None) -> Status | None:
    """How a write ended, within a moment."""
    written = world.put(key, value, at)
    for _ in range(5):
        world.tick()
    return written.status


def get(world: World, key: bytes) -> bytes | None:
    read = world.get(key)
    world.until(lambda: read.status is not None)
    return value_of(read)


def space_of(host: Host) -> Space:
    return host.space.space


def fill(*members: Member) -> None:
    for member in members:
        member.files.capacity_bytes = member.files.used_bytes


def empty(*members: Member) -> None:
    for member in members:
        member.files.capacity_bytes = None


def test_a_leader_short_of_space_hands_over_and_writes_go_on(world: World) -> None:
    old = leader(world)
    member = world.members[old]
    assert put(world, b"k", b"1") is Status.OK
    fill(member)
    world.until(lambda: member.host.space.space is Space.NONE)
    world.until(lambda: leader(world) != old)
    for number in range(20):
        assert put(world, b"k", b"%d" % number) is Status.OK
    # It is the preferred leader, and is not given back what it could not serve.
    world.tick(10 * RAFT.election_ticks_max)
    assert not any(replica.is_leader for replica in member.host.replicas.values())
    empty(member)
    world.until(lambda: leader(world) == old)
    assert get(world, b"k") == b"19"
    assert world.problems() == []


def test_a_follower_without_room_acknowledges_nothing_and_catches_up_later(world: World) -> None:
    at = leader(world)
    follower = next(m for me, m in world.members.items() if me != at)
    fill(follower)
    world.until(lambda: follower.host.space.space is Space.NONE)
    before = follower.host.replicas[GROUP].core.last_index
    for number in range(20):
        assert put(world, b"k", b"%d" % number, at) is Status.OK
    assert follower.host.replicas[GROUP].core.last_index == before
    assert leader(world) == at
    empty(follower)
    last = world.members[at].host.replicas[GROUP].core.last_index
    world.until(lambda: follower.host.replicas[GROUP].core.applied == last)
    assert world.problems() == []


def test_where_all_are_full_writes_are_refused_for_certain_and_reads_go_on(world: World) -> None:
    assert put(world, b"k", b"1") is Status.OK
    fill(*world.nodes)
    world.until(lambda: all(m.host.space.space is Space.NONE for m in world.nodes))
    last = world.members[leader(world)].host.replicas[GROUP].core.last_index
    refused = world.put(b"k", b"2")
    assert refused.status is Status.OVERLOADED, "at once"
    assert refused.answer is not None
    assert f"n{leader(world)}" in refused.answer.detail
    assert "make room" in refused.answer.detail
    assert get(world, b"k") == b"1"
    world.crash(leader(world))  # an election, and what the new leader begins its term with
    world.until(lambda: world.leader_of(GROUP) is not None)
    assert get(world, b"k") == b"1"
    assert put(world, b"k", b"3") is Status.OVERLOADED
    assert world.members[leader(world)].host.replicas[GROUP].core.last_index <= last + 2
    empty(*world.nodes)
    world.until(lambda: put(world, b"k", b"4") is Status.OK)
    assert get(world, b"k") == b"4"
    assert world.problems() == []


def test_writes_that_were_not_proposed_are_refused_when_space_runs_short(world: World) -> None:
    at = leader(world)
    member = world.members[at]
    member.worker.is_holding = True
    world.put(b"k", b"under way")
    world.run()
    waiting = world.put(b"k", b"waits")
    world.run()
    assert waiting.status is None
    member.host.space.measured(0, log_has_room=True)
    world.tick()
    assert waiting.status is Status.OVERLOADED


@pytest.mark.parametrize("size", [1, 3])
def test_a_log_without_room_takes_up_where_it_was_and_nothing_is_written_past_a_hole(
    size: int,
) -> None:
    """Nothing is kept back: the log itself meets the end of the disk, in the middle of things."""
    world = settled(World(size=size, partitions=1, segment_bytes=2048, disk_reserve_bytes=0))
    answers = [world.put(b"%d" % n, bytes(200)) for n in range(3)]
    world.tick(5)
    fill(*world.nodes)
    for member in world.nodes:
        member.worker.is_holding = True
    for number in range(3, 40):
        answers.append(world.put(b"%d" % number, bytes(200)))
        world.run()
    for member in world.nodes:
        member.worker.is_holding = False
        member.worker.release()
    for number in range(40, 60):
        at = world.leader_of(GROUP)
        if at is not None:
            answers.append(world.put(b"%d" % number, bytes(200), at))
        world.tick()
    assert any(member.host.pipeline.is_refused for member in world.nodes)
    acknowledged = [n for n, each in enumerate(answers) if each.status is Status.OK]
    empty(*world.nodes)
    world.until(lambda: not any(member.host.pipeline.is_refused for member in world.nodes))
    world.until(lambda: world.leader_of(GROUP) is not None)
    world.until(lambda: put(world, b"last", b"x") is Status.OK)
    acknowledged = [n for n, each in enumerate(answers) if each.status is Status.OK]
    assert len(acknowledged) >= 3
    assert world.problems() == []
    for me in world.members_ids:
        member = world.crash(me)
        world.start(me, member.files, member.engine)
    world.until(world.serves)
    for number in acknowledged:
        assert get(world, b"%d" % number) == bytes(200)


def test_what_the_engine_has_no_room_for_is_applied_later_in_order() -> None:
    world = World(size=1, partitions=1)
    member = world.crash(ONE)
    engine = PickyEngine()
    world.start(ONE, member.files, engine)
    settled(world)
    host = world.members[ONE].host
    engine.is_full = True
    answers = [world.put(b"k", b"%d" % number) for number in range(5)]
    world.tick(10)
    assert [each.status for each in answers] == [None] * 5
    assert space_of(host) is Space.ENOUGH, "it may be that it only cannot keep up"
    world.tick(20)
    assert space_of(host) is Space.NONE
    assert world.put(b"k", b"refused").status is Status.OVERLOADED
    engine.is_full = False
    world.tick(2)
    assert [each.status for each in answers] == [Status.OK] * 5
    assert get(world, b"k") == b"4"
    world.until(lambda: put(world, b"k", b"again") is Status.OK)
    assert world.problems() == []


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails_stops_the_node_whatever_the_system_says(
    world: World, error: int
) -> None:
    member = world.members[leader(world)]
    member.files.fail("sync", error)
    world.put(b"k", b"1")
    world.run()
    assert isinstance(member.problem, CommitLogFailed)
    assert member.host.is_stopped


def test_a_leader_whose_disk_is_stuck_hands_all_it_leads_over_and_wins_nothing_back() -> None:
    world = World(partitions=6)
    world.until(world.serves)
    world.tick(4)
    old = leader(world)
    member = world.members[old]
    member.worker.is_holding = True
    keys = (b"%d" % number for number in range(100))
    world.put(next(key for key in keys if world.partition_of(key) == 0), b"1", old)
    world.run()

    def leads() -> list[GroupId]:
        return [g for g, r in member.host.replicas.items() if r.is_leader]

    assert leads()
    world.until(lambda: not leads(), PATIENCE.step_down_ticks)
    world.until(
        lambda: all(world.leader_of(GroupId(g)) not in (None, old) for g in range(7)),
        2 * RAFT.election_ticks_max,
    )
    for _ in range(10 * RAFT.election_ticks_max):
        world.tick()
        assert not leads()
    term = world.members[leader(world)].host.replicas[GROUP].core.term
    member.worker.is_holding = False
    member.worker.release()
    world.until(lambda: old in {world.leader_of(GroupId(g)) for g in range(7)}, 1000)
    assert world.members[leader(world)].host.replicas[GROUP].core.term <= term + 1
    assert world.problems() == []


def test_a_leader_whose_disk_is_stuck_steps_down_where_nobody_takes_over(world: World) -> None:
    old = leader(world)
    member = world.members[old]
    member.worker.is_holding = True
    world.put(b"k", b"1")
    world.run()
    # The others hear it, and it hears them; but they say that they should not lead either.
    for _ in range(PATIENCE.step_down_ticks + RAFT.election_ticks_max):
        if not member.host.replicas[GROUP].is_leader:
            break
        for peer in world.members_ids:
            member.host.contacts.says_unfit(peer, takes_entries=True, for_ticks=10)
        world.tick()
    assert not member.host.replicas[GROUP].is_leader
    world.until(lambda: world.leader_of(GROUP) not in (None, old))


def test_a_leader_that_nobody_could_replace_goes_on_and_serves_reads(world: World) -> None:
    at = leader(world)
    assert put(world, b"k", b"1") is Status.OK
    down = next(me for me in world.members_ids if me != at)
    world.crash(down)
    member = world.members[at]
    member.worker.is_holding = True
    member.host.contacts.says_unfit(
        next(me for me in world.members if me != at), takes_entries=True, for_ticks=10_000
    )
    world.put(b"k", b"2")
    world.tick(2 * PATIENCE.step_down_ticks)
    assert member.host.replicas[GROUP].is_leader
    read = world.get(b"k")
    world.tick(10)
    assert value_of(read) == b"1"


def test_a_node_that_is_alone_does_not_step_down() -> None:
    world = settled(World(size=1, partitions=1))
    member = world.members[ONE]
    member.worker.is_holding = True
    world.put(b"k", b"1")
    world.tick(2 * PATIENCE.step_down_ticks)
    assert member.host.replicas[META_GROUP].is_leader
    assert member.host.replicas[GROUP].is_leader
