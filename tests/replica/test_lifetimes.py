"""Keys end when their time is over, by the clock of the partition and by its log alone."""

from __future__ import annotations

from collections import defaultdict

import pytest

from cluster.ids import PartitionId, ReplicaId, group_of
from kvstore.codec.change import Action, Change, encode_change
from kvstore.codec.command import OperationKind, encode_command
from kvstore.replica.lifetimes import CLOCK_BEHIND_MS_MAX, ENDED_PER_TICK_MAX
from kvstore.replica.requests import Status
from kvstore.storage.partition_state import PartitionState
from tests.replica.world import RAFT, TICK_MS, TICK_S, World, value_of

KEY = b"key"


@pytest.fixture
def world() -> World:
    world = World(partitions=1)
    world.until(world.serves)
    world.tick(RAFT.election_ticks_max)
    return world


def leader(world: World) -> ReplicaId:
    found = world.leader_of(group_of(world.partition_of(KEY)))
    assert found is not None
    return found


def put(world: World, keys: list[bytes], lifetime_ms: int) -> None:
    """Puts the keys into the partition of the first."""
    change = encode_change(Change(Action.PUT, b"value", lifetime_ms=lifetime_ms))
    kinds = bytes([OperationKind.CHANGE]) * len(keys)
    command = encode_command(kinds, keys, [change] * len(keys), timed=True)
    group = group_of(world.partition_of(keys[0]))
    at = world.leader_of(group)
    assert at is not None
    written = world.write(group, command, at)
    world.run()
    assert written.status is Status.OK


def read(world: World, key: bytes = KEY) -> bytes | None:
    found = world.get(key)
    world.run()
    return value_of(found)


def states(world: World) -> list[PartitionState]:
    group = group_of(world.partition_of(KEY))
    found = [member.host.replicas[group].state for member in world.members.values()]
    return [state for state in found if state is not None]


def agree(world: World) -> bool:
    return len({(s.applied_index, s.fingerprint()) for s in states(world)}) == 1


def test_a_key_ends_within_two_ticks_of_its_time(world: World) -> None:
    put(world, [KEY], 20 * TICK_MS)
    world.tick(19)
    assert read(world) == b"value"
    world.tick(2)
    assert read(world) is None
    world.until(lambda: agree(world))


def test_a_lifetime_that_is_renewed_does_not_end(world: World) -> None:
    for _ in range(5):
        put(world, [KEY], 20 * TICK_MS)
        world.tick(15)
    assert read(world) == b"value"
    world.put(KEY, b"for ever")
    world.tick(100)
    assert read(world) == b"for ever"


def test_it_ends_under_another_leader_too_and_not_early(world: World) -> None:
    behind = CLOCK_BEHIND_MS_MAX // TICK_MS
    put(world, [KEY], 3 * CLOCK_BEHIND_MS_MAX)
    world.tick(behind + 10)
    world.crash(leader(world))
    world.until(lambda: world.leader_of(group_of(world.partition_of(KEY))) is not None)
    world.tick(2 * behind - 15)
    assert read(world) == b"value", "time without a leader does not count"
    world.tick(20)
    assert read(world) is None, "what the first leader had put into the log does"


def test_the_clock_is_put_into_the_log_only_where_keys_are_to_end(world: World) -> None:
    def entries() -> int:
        return max(state.applied_index for state in states(world))

    before = entries()
    world.tick(3 * CLOCK_BEHIND_MS_MAX // TICK_MS)
    assert entries() == before
    put(world, [KEY], 4 * CLOCK_BEHIND_MS_MAX)
    before = entries()
    world.tick(2 * CLOCK_BEHIND_MS_MAX // TICK_MS + 5)
    assert entries() == before + 2


def test_a_restart_of_all_nodes_stops_the_clock_and_forgets_no_lifetime(world: World) -> None:
    put(world, [KEY], 100 * TICK_MS)
    world.tick(50)
    world.put(b"other", b"")
    for me in list(world.members):
        member = world.crash(me)
        world.ahead_s[me] = 7 - world.true_s  # another boot, another start of its clock
        world.start(me, member.files, member.engine)
    world.until(world.serves)
    assert read(world) == b"value"
    world.tick(101)
    assert read(world) is None


def test_a_clock_that_jumps_ends_keys_early_by_no_more_than_the_jump(world: World) -> None:
    put(world, [KEY], 100 * TICK_MS)
    world.ahead_s[leader(world)] += 40 * TICK_S
    world.tick(58)
    assert read(world) == b"value"
    world.tick(3)
    assert read(world) is None


def test_what_has_ended_does_not_come_back_with_a_leader_whose_clock_is_behind(
    world: World,
) -> None:
    put(world, [KEY], 20 * TICK_MS)
    world.ahead_s[leader(world)] += 1000 * TICK_S
    world.tick(1)
    assert read(world) is None
    world.crash(leader(world))
    world.until(lambda: world.leader_of(group_of(world.partition_of(KEY))) is not None)
    assert read(world) is None
    before = min(state.clock_ms for state in states(world))
    put(world, [KEY], 20 * TICK_MS)
    assert min(state.clock_ms for state in states(world)) >= before


def test_an_old_leader_ends_nothing(world: World) -> None:
    put(world, [KEY], 20 * TICK_MS)
    old = leader(world)
    world.isolate(old)
    world.ahead_s[old] += 1000 * TICK_S
    world.until(lambda: leader(world) != old)
    assert read(world) == b"value"
    world.heal()
    world.tick(5)
    assert read(world) == b"value"


def test_many_keys_that_end_at_once_leave_room_for_writes_between_them(world: World) -> None:
    count = 5 * ENDED_PER_TICK_MAX
    for start in range(0, count, 1000):
        put(world, [b"%06d" % n for n in range(start, min(start + 1000, count))], 50 * TICK_MS)
    world.tick(52)
    for number in range(4):
        written = world.put(b"w%d" % number, b"")
        world.tick()
        assert written.status is Status.OK
        group = group_of(world.partition_of(KEY))
        replica = world.members[leader(world)].host.replicas[group]
        assert replica.core.last_index == replica.core.applied
    world.tick(3)
    assert all(state.expiries.due(1 << 40, 1) == [] for state in states(world))
    assert [read(world, b"%06d" % n) for n in (0, count - 1)] == [None, None]
    assert read(world, b"w3") == b""


def test_partitions_take_turns_at_ending_many_keys() -> None:
    world = World(partitions=4)
    world.until(world.serves)
    by_partition: dict[PartitionId, list[bytes]] = defaultdict(list)
    for number in range(32 * ENDED_PER_TICK_MAX):
        by_partition[world.partition_of(b"%06d" % number)].append(b"%06d" % number)
    for keys in by_partition.values():
        put(world, keys, 50 * TICK_MS)
    left = {partition: len(keys) for partition, keys in by_partition.items()}
    world.tick(49)
    for ticks in range(1, 40):
        world.tick()
        before = sum(left.values())
        left = {partition: keys_left(world, partition) for partition in left}
        assert before - sum(left.values()) <= ENDED_PER_TICK_MAX * len(world.members)
        if ticks == 6:
            assert all(left[each] < len(keys) for each, keys in by_partition.items())
    assert not any(left.values())


def keys_left(world: World, partition: PartitionId) -> int:
    group = group_of(partition)
    at = world.leader_of(group)
    assert at is not None
    state = world.members[at].host.replicas[group].state
    assert state is not None
    return len(state.expiries.due(1 << 40, 1 << 20))
