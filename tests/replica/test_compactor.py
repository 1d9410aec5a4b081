"""The commit log under load: bounded, whatever happens in between."""

from __future__ import annotations

import errno
from random import Random

import pytest

from cluster.ids import META_GROUP, GroupId, ReplicaId, group_of
from kvstore.commitlog.commit_log import CommitLogFailed
from kvstore.errors import CorruptionError, ResourceExhausted
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.requests import Status
from kvstore.replica.space import Space
from kvstore.storage.memory_engine import MemoryEngine
from tests.replica.world import LONG_TICKS, Member, World, value_of

ONE, TWO, THREE = ReplicaId(1), ReplicaId(2), ReplicaId(3)
SEGMENT_BYTES = 4096
VALUE = bytes(100)


@pytest.fixture
def world() -> World:
    world = World(partitions=2, segment_bytes=SEGMENT_BYTES)
    world.until(world.serves)
    return world


def load(world: World, rounds: int, keys: int = 10) -> None:
    """Puts in every partition, each acknowledged."""
    for number in range(rounds):
        key = b"%d" % (number % keys)
        world.until(lambda key=key: leads(world, key))  # type: ignore[misc]
        written = world.put(key, VALUE + b"%d" % number)
        world.until(lambda written=written: written.status is not None)  # type: ignore[misc]
        assert written.status is Status.OK


def strain(world: World, member: Member) -> None:
    """Puts until `member` has a problem."""
    for number in range(500):
        if member.problem is not None:
            return
        if leads(world, b"0"):
            world.put(b"0", VALUE + b"%d" % number)
        world.tick()
    raise AssertionError("nothing has happened")


def leads(world: World, key: bytes) -> bool:
    return world.leader_of(group_of(world.partition_of(key))) is not None


def segments(world: World) -> list[int]:
    return [member.commit_log.segments for member in world.members.values()]


def fingerprints(world: World, group: GroupId) -> set[tuple[int, int]]:
    return {
        (state.applied_index, state.fingerprint())
        for member in world.members.values()
        if (state := member.host.replicas[group].state) is not None
    }


def all_the_same(world: World) -> bool:
    return all(len(fingerprints(world, GroupId(group))) == 1 for group in (1, 2))


def test_a_long_load_keeps_few_segments(world: World) -> None:
    most = 0
    for _ in range(60):
        load(world, 10)
        most = max(most, *segments(world))
    assert most <= 3
    assert all(member.commit_log.active_segment > 20 for member in world.members.values())
    assert all(member.commit_log.spares == 1 for member in world.members.values())


def test_more_segments_are_kept_if_asked_for() -> None:
    world = World(partitions=2, segment_bytes=SEGMENT_BYTES, compaction=CompactionPolicy(4))
    world.until(world.serves)
    load(world, 300)
    assert max(segments(world)) == 6


def test_a_group_without_work_holds_no_segments(world: World) -> None:
    # Only one partition is written to; the other one and the meta group wrote at the start.
    key = b"0"
    group = group_of(world.partition_of(key))
    load(world, 200, keys=1)
    for member in world.members.values():
        assert member.commit_log.oldest_segment > 5
        for idle in {META_GROUP, GroupId(1), GroupId(2)} - {group}:
            status = member.host.replicas[idle].core.status()
            assert status.first_index == status.last_index + 1


def test_replicas_start_again_from_a_compacted_log(world: World) -> None:
    load(world, 200)
    world.until(lambda: all_the_same(world))
    before = {group: fingerprints(world, GroupId(group)) for group in (1, 2)}
    crashed = {me: world.crash(me) for me in list(world.members)}
    world.soon.clear()
    for me, member in crashed.items():
        world.start(me, member.files, member.engine)
    world.until(world.serves)
    read = world.get(b"7")
    world.run()
    assert value_of(read) == VALUE + b"197"
    world.until(lambda: all_the_same(world))
    for group, seen in before.items():
        assert {fingerprint for _, fingerprint in fingerprints(world, GroupId(group))} == {
            fingerprint for _, fingerprint in seen
        }
    assert world.problems() == []


def test_a_start_with_an_engine_that_lost_its_data_is_refused(world: World) -> None:
    load(world, 200)
    crashed = world.crash(ONE)
    with pytest.raises(CorruptionError, match="part of the engine's data is missing"):
        world.start(ONE, crashed.files, MemoryEngine())


def test_a_follower_that_was_down_gets_what_it_lacks_from_the_log() -> None:
    policy = CompactionPolicy(lagging_segments=100)
    world = World(partitions=2, segment_bytes=SEGMENT_BYTES, compaction=policy)
    world.until(world.serves)
    crashed = world.crash(THREE)
    world.until(lambda: leads(world, b"0") and leads(world, b"1"), ticks=LONG_TICKS)
    world.tick(LONG_TICKS)  # leadership has come to rest
    load(world, 200)
    assert max(segments(world)) > 10  # where the leader is
    world.start(THREE, crashed.files, crashed.engine)
    world.until(lambda: world.serves() and all_the_same(world))
    world.tick(LONG_TICKS)
    load(world, 100)
    assert max(segments(world)) <= 3


def test_a_disk_short_of_space_does_not_wait_for_a_follower_that_is_down() -> None:
    """It gets a snapshot, then. The space is there at once: no new entries are taken that would
    begin another segment."""
    policy = CompactionPolicy(lagging_segments=100)
    world = World(partitions=2, segment_bytes=SEGMENT_BYTES, compaction=policy)
    world.until(world.serves)
    crashed = world.crash(THREE)
    world.until(lambda: leads(world, b"0") and leads(world, b"1"), ticks=LONG_TICKS)
    world.tick(LONG_TICKS)
    load(world, 200)
    assert max(segments(world)) > 10
    for member in world.members.values():
        member.files.capacity_bytes = member.files.used_bytes + world.disk_reserve_bytes // 4 * 3
    world.tick(LONG_TICKS)
    assert max(segments(world)) <= 3
    for member in world.members.values():
        assert member.host.space.space is Space.ENOUGH, "it has made room by itself"
        member.files.capacity_bytes = None
    world.start(THREE, crashed.files, crashed.engine)
    world.until(lambda: world.serves() and all_the_same(world))
    assert world.problems() == []


def test_nothing_is_compacted_before_the_flush_has_ended(world: World) -> None:
    for member in world.members.values():
        member.flush_worker.is_holding = True
    load(world, 100)
    member = world.members[ONE]
    assert len(member.flush_worker.held) == 1
    assert {replica.log.first_index() for replica in member.host.replicas.values()} == {1}
    # What is applied while the flush runs is not covered by it.
    flushed = {group: r.core.applied for group, r in member.host.replicas.items()}
    engine = member.engine.after_crash()
    assert engine.scan(b"", None, limit=1, bytes_max=1).keys == []
    member.flush_worker.release()
    world.run()
    for group, replica in member.host.replicas.items():
        assert replica.log.first_index() <= flushed[group] + 1
    assert member.host.replicas[GroupId(1)].log.first_index() > 1


def test_segments_go_only_after_the_bounds_are_persisted(world: World) -> None:
    member = world.members[ONE]
    member.flush_worker.is_holding = True
    load(world, 100)
    member.worker.is_holding = True
    member.flush_worker.release()
    world.run()
    assert member.host.replicas[GroupId(1)].log.first_index() > 1  # in memory
    assert member.commit_log.latest(1, 3) is None  # not on disk
    crashed = world.crash(ONE)
    world.start(ONE, crashed.files, crashed.engine)
    assert world.members[ONE].host.replicas[GroupId(1)].log.first_index() == 1


def test_a_full_disk_under_the_engine_puts_it_off(world: World) -> None:
    member = world.members[ONE]
    full = True

    def flush() -> None:
        if full:
            raise ResourceExhausted("the disk is full")
        MemoryEngine.flush(member.engine)

    member.compactor._flush = flush
    load(world, 100)
    assert member.problem is None
    assert member.commit_log.segments > 3
    full = False
    load(world, 100)
    assert member.commit_log.segments <= 3


@pytest.mark.parametrize("operation", ["create", "rename", "sync_folder"])
def test_a_disk_that_fails_under_a_segment_stops_the_node(world: World, operation: str) -> None:
    world.members[ONE].files.fail(operation, errno.EIO)
    strain(world, world.members[ONE])
    assert isinstance(world.members[ONE].problem, CommitLogFailed)
    assert not world.members[TWO].problem


def test_an_engine_that_fails_to_flush_stops_the_node(world: World) -> None:
    member = world.members[ONE]
    problem = OSError(errno.EIO, "the engine failed")

    def flush() -> None:
        raise problem

    member.compactor._flush = flush
    strain(world, member)
    assert member.problem is problem


class Crashes:
    """A load on which one node after another loses power, at any step of a compaction."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(
            partitions=2,
            seed=seed,
            segment_bytes=self.random.choice([1024, 2048]),
            compaction=CompactionPolicy(4, retry_ticks=20),
        )

    def run(self) -> None:
        world, random = self.world, self.random
        world.until(world.serves)
        for _ in range(6):
            me = random.choice(world.members_ids)
            power = random.randrange(60)
            world.members[me].files.fail_all_after(power)
            for number in range(60):
                world.until(lambda: leads(world, b"k"))
                if number % 2 and leads(world, b"j"):
                    world.put(b"j", VALUE)
                world.put(b"k", VALUE + b"%d" % number)
                for _ in range(random.randrange(20)):
                    if world.soon:
                        world.soon.popleft()()
                world.tick()
                if world.members[me].problem is not None:
                    break
            crashed = world.crash(me, random)
            world.start(me, crashed.files, crashed.engine)
            world.until(lambda: world.serves() and all_the_same(world))
            assert world.problems() == []


@pytest.mark.parametrize("seed", range(15))
def test_power_lost_at_any_step_loses_nothing(seed: int) -> None:
    Crashes(seed).run()
