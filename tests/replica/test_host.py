"""The host: rounds over all groups of a node, on a world without clock or sockets."""

from __future__ import annotations

import errno

import pytest

from cluster.ids import META_GROUP, GroupId, PartitionId, ReplicaId, group_of
from cluster.partition.meta import SetPreferredLeaders
from cluster.partition.placement import gathered_leaders, spread_leaders
from cluster.raft.messages import AppendRequest
from kvstore.codec.meta import encode_meta_command
from kvstore.commitlog.commit_log import CommitLogFailed
from kvstore.environment import GroupMessage
from kvstore.replica.admission import AdmissionLimits
from kvstore.replica.requests import Status
from kvstore.storage.applier import RoundWork
from kvstore.storage.memory_engine import MemoryEngine
from tests.replica.world import LONG_TICKS, RAFT, World, value_of

ONE, TWO, THREE = ReplicaId(1), ReplicaId(2), ReplicaId(3)
KEY = b"key"


@pytest.fixture
def world() -> World:
    world = World()
    world.until(world.serves)
    return world


def group_of_key(world: World, key: bytes = KEY) -> GroupId:
    return group_of(world.partition_of(key))


def leader(world: World, key: bytes = KEY) -> ReplicaId:
    found = world.leader_of(group_of_key(world, key))
    assert found is not None
    return found


def follower(world: World, key: bytes = KEY) -> ReplicaId:
    return next(me for me in world.members if me != leader(world, key))


def test_the_first_start_makes_one_map_for_all_nodes(world: World) -> None:
    maps = [member.host.meta.map for member in world.members.values()]
    assert maps[0] is not None
    assert maps.count(maps[0]) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_cluster_of_any_size_serves(size: int) -> None:
    world = World(size=size, partitions=1)
    world.until(world.serves)
    written = world.put(KEY, b"value")
    world.run()
    assert written.status is Status.OK


def test_leaders_come_to_rest_where_the_map_prefers_them(world: World) -> None:
    cluster_map = world.first_map()

    def balanced() -> bool:
        return all(
            world.leader_of(group_of(info.partition)) == info.preferred_leader
            for info in cluster_map.partitions
        )

    world.until(balanced)


def test_a_write_is_answered_when_a_majority_has_persisted_it(world: World) -> None:
    for me in world.members:
        if me != leader(world):
            world.members[me].worker.is_holding = True
    written = world.put(KEY, b"value")
    world.run()
    assert written.status is None
    world.members[follower(world)].worker.release()
    world.run()
    assert written.status is Status.OK


def test_the_leader_sends_before_its_own_write_is_synced(world: World) -> None:
    member = world.members[leader(world)]
    member.worker.is_holding = True
    written = world.put(KEY, b"value")
    world.run()
    group = group_of_key(world)
    index = member.host.replicas[group].core.last_index
    assert member.host.replicas[group].core.persisted == index - 1
    assert world.members[follower(world)].host.replicas[group].core.persisted == index
    assert written.status is None  # nothing is applied before it is persisted here too
    member.worker.release()
    world.run()
    assert written.status is Status.OK


def test_writes_that_come_while_the_log_writes_share_the_next_write(world: World) -> None:
    member = world.members[leader(world)]
    member.worker.is_holding = True
    first = world.put(KEY, b"first")
    world.run()
    before = member.host.pipeline.syncs
    others = [world.put(KEY, b"%d" % number) for number in range(50)]
    world.run()
    member.worker.is_holding = False
    member.worker.release()
    world.run()
    assert first.status is Status.OK
    assert all(other.status is Status.OK for other in others)
    assert member.host.pipeline.syncs == before + 1


def test_writes_to_several_groups_travel_in_one_message_per_peer() -> None:
    world = World(partitions=8)
    world.until(world.serves)
    keys = [b"%d" % number for number in range(64)]
    me = leader(world, keys[0])
    led = [key for key in keys if leader(world, key) == me]
    assert len({world.partition_of(key) for key in led}) > 1
    rounds: list[tuple[GroupMessage, ...]] = []
    deliver = world.deliver

    def watch(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        if sender == me and any(isinstance(message, AppendRequest) for _, message in messages):
            rounds.append(messages)
        deliver(sender, to, messages)

    world.deliver = watch  # type: ignore[method-assign]
    answers = [world.put(key, b"value") for key in led]
    world.run()
    assert all(answer.status is Status.OK for answer in answers)
    assert len(rounds) == 2  # one for each of the two peers


def test_a_host_says_how_long_its_longest_round_took_since_it_was_last_asked(world: World) -> None:
    host = world.members[ONE].host
    times = iter((1.0, 1.25, 5.0, 5.75, 9.0, 9.5))
    host._rounds._monotonic_s = lambda: next(times)
    host.take_longest_round_s()
    for _ in range(3):
        host._run_round()
    assert [host.take_longest_round_s(), host.take_longest_round_s()] == [0.75, 0.0]


def test_a_read_sees_every_write_answered_before_it(world: World) -> None:
    for number in range(20):
        written = world.put(KEY, b"%d" % number)
        world.run()
        assert written.status is Status.OK
        read = world.get(KEY)
        world.run()
        assert value_of(read) == b"%d" % number


def test_a_read_needs_a_majority(world: World) -> None:
    me = leader(world)
    world.isolate(me)
    read = world.get(KEY, at=me)
    world.until(lambda: read.status is not None)
    assert read.status in (Status.NOT_LEADER, Status.UNAVAILABLE)


def test_a_follower_refuses_and_names_the_leader(world: World) -> None:
    refused = world.put(KEY, b"value", at=follower(world))
    assert refused.answer is not None
    assert refused.status is Status.NOT_LEADER
    assert refused.answer.leader == leader(world)


def test_a_replica_without_a_leader_says_unavailable(world: World) -> None:
    me = follower(world)
    world.isolate(me)
    world.tick(2 * RAFT.election_ticks_max)
    refused = world.put(KEY, b"value", at=me)
    assert refused.answer is not None
    assert refused.status is Status.UNAVAILABLE
    assert "1 of 3 replicas answer" in refused.answer.detail


def test_a_write_without_a_majority_in_reach_is_never_proposed(world: World) -> None:
    me = leader(world)
    world.isolate(me)
    world.tick(2 * RAFT.heartbeat_ticks + 2)  # long enough to notice, too short to step down
    before = world.members[me].host.replicas[group_of_key(world)].core.last_index
    written = world.put(KEY, b"value", at=me)
    world.until(lambda: written.status is not None)
    assert written.status in (Status.NOT_LEADER, Status.UNAVAILABLE)
    assert world.members[me].host.replicas[group_of_key(world)].core.last_index == before


def test_a_partition_without_a_majority_takes_no_more_room_than_it_leaves(world: World) -> None:
    me = leader(world)
    host = world.members[me].host
    host.admission.limits = AdmissionLimits(requests_max=200)  # type: ignore[misc]
    world.isolate(me)
    world.tick(2 * RAFT.heartbeat_ticks + 2)
    waiting = []
    for number in range(100):
        assert host.admission.enter(f"caller {number}", 1, 0) is None
        waiting.append(world.put(KEY, b"value", at=me))
    assert host.admission.enter("one more", 1, 0) is None
    refused, read = world.put(KEY, b"value", at=me), world.get(KEY, at=me)
    assert refused.status is read.status is Status.OVERLOADED
    assert {each.status for each in waiting} == {None}


def test_a_write_lost_with_its_leader_is_definite_once_another_entry_stands_there(
    world: World,
) -> None:
    me = leader(world)
    world.isolate(me)
    written = world.put(KEY, b"lost", at=me)
    world.run()
    world.until(lambda: world.leader_of(group_of_key(world)) not in (None, me))
    world.heal()
    world.until(lambda: written.status is not None)
    assert written.status is Status.NOT_LEADER
    read = world.get(KEY)
    world.run()
    assert value_of(read) is None


def test_a_write_nobody_settles_ends_as_unknown(world: World) -> None:
    me = leader(world)
    world.isolate(me)
    written = world.put(KEY, b"open", at=me)
    world.until(lambda: written.status is not None, ticks=2 * LONG_TICKS)
    assert written.status is Status.UNKNOWN


def test_what_was_answered_survives_the_crash_of_all_nodes(world: World) -> None:
    written = {
        b"%d" % number: world.put(b"%d" % number, b"value %d" % number) for number in range(40)
    }
    world.run()
    assert all(answers.status is Status.OK for answers in written.values())
    crashed = {me: world.crash(me) for me in list(world.members)}
    world.soon.clear()
    for me, member in crashed.items():
        world.start(me, member.files, MemoryEngine())  # all must come from the log
    world.until(world.serves)
    for key in written:
        read = world.get(key)
        world.until(lambda read=read: read.status is not None)  # type: ignore[misc]
        assert value_of(read) == b"value " + key
    assert world.problems() == []


def test_a_restart_replays_a_long_log_in_small_pieces(world: World) -> None:
    value = bytes(1000)
    for _ in range(40):
        for number in range(50):
            world.put(b"%d" % number, value)
        world.run()
    me = follower(world, b"0")
    logs = world.members[me].host.replicas
    last = {group: replica.core.last_index for group, replica in logs.items()}
    crashed = world.crash(me)
    pieces: list[int] = []
    world.start(me, crashed.files, MemoryEngine())
    host = world.members[me].host
    apply_round = host.applies._apply_round

    def watch(work: RoundWork) -> list[list[bytes]]:
        pieces.append(sum(len(entry.data) for _state, entries in work for entry in entries))
        return apply_round(work)

    host.applies._apply_round = watch
    world.until(lambda: set(host.replicas) == set(last))
    world.until(lambda: all(host.replicas[group].core.applied >= last[group] for group in last))
    assert sum(pieces) > 40 * 50 * len(value)
    largest_command = 50 * (len(value) + 100)
    assert max(pieces) <= world.partitions * (RAFT.committed_bytes_max + largest_command)


def test_replicas_hold_the_same_state_at_the_same_index(world: World) -> None:
    for number in range(100):
        world.put(b"%d" % (number % 30), b"%d" % number)
        if number % 7 == 0:
            world.run()
    world.run()
    world.tick(4 * RAFT.heartbeat_ticks)
    for group in range(1, world.partitions + 1):
        replicas = [member.host.replicas[GroupId(group)] for member in world.members.values()]
        states = [replica.state for replica in replicas if replica.state is not None]
        assert len({state.applied_index for state in states}) == 1
        assert len({state.fingerprint() for state in states}) == 1


def test_groups_without_work_fall_quiet_and_say_nothing(world: World) -> None:
    def all_quiet() -> bool:
        return all(
            replica.core.is_quiet
            for member in world.members.values()
            for replica in member.host.replicas.values()
        )

    world.tick(LONG_TICKS)  # leaders have come to rest
    world.until(all_quiet)
    before = [member.host.messages_sent for member in world.members.values()]
    world.tick(LONG_TICKS)
    assert [member.host.messages_sent for member in world.members.values()] == before


def test_a_quiet_group_gets_a_new_leader_when_its_leader_dies(world: World) -> None:
    world.tick(LONG_TICKS)
    me = leader(world)
    world.crash(me)
    world.until(
        lambda: world.leader_of(group_of_key(world)) is not None,
        ticks=2 * RAFT.election_ticks_max,
    )
    written = world.put(KEY, b"value")
    world.run()
    assert written.status is Status.OK


def test_a_node_that_comes_back_hears_of_its_quiet_groups_leader_at_once(world: World) -> None:
    world.tick(LONG_TICKS)
    me = follower(world)
    world.members[me].engine.flush()
    crashed = world.crash(me)
    world.start(me, crashed.files, crashed.engine)
    group = group_of_key(world)
    replica = world.members[me].host.replicas[group]
    term = replica.core.term
    for member in world.members.values():
        member.host.meet(me)
    world.until(lambda: replica.core.leader is not None, ticks=RAFT.heartbeat_ticks)
    assert (replica.core.leader, replica.core.term) == (leader(world), term)


def test_leaders_go_where_the_map_says_and_stay_there(world: World) -> None:
    groups = [group_of(info.partition) for info in world.first_map().partitions]

    def prefer(wanted: dict[PartitionId, ReplicaId]) -> None:
        meta_leader = world.leader_of(META_GROUP)
        assert meta_leader is not None
        command = encode_meta_command(SetPreferredLeaders(wanted))
        world.members[meta_leader].host.propose_meta(command)

    def leads(me: ReplicaId) -> int:
        return sum(world.leader_of(group) == me for group in groups)

    prefer(gathered_leaders(world.first_map(), TWO))
    world.until(lambda: leads(TWO) == len(groups), ticks=4 * RAFT.election_ticks_max)
    crashed = world.crash(TWO)
    world.until(lambda: None not in map(world.leader_of, groups))
    world.start(TWO, crashed.files, crashed.engine)
    world.until(lambda: leads(TWO) == len(groups))
    for _ in range(LONG_TICKS):
        world.tick()
        assert leads(TWO) == len(groups)
    cluster_map = world.members[TWO].host.meta.map
    assert cluster_map is not None
    prefer(spread_leaders(cluster_map))
    world.until(
        lambda: sorted(map(leads, world.members_ids)) == [1, 1, 2],
        ticks=4 * RAFT.election_ticks_max,
    )


def test_draining_hands_all_leadership_over(world: World) -> None:
    member = world.members[ONE]
    member.stewardship.drain()
    world.until(lambda: not member.stewardship.is_handing_over, ticks=RAFT.election_ticks_min)
    assert not any(replica.is_leader for replica in member.host.replicas.values())


def test_a_cluster_that_drains_as_a_whole_comes_to_an_end(world: World) -> None:
    for member in world.members.values():
        member.stewardship.drain()
    world.until(
        lambda: not any(m.stewardship.is_handing_over for m in world.members.values()),
        ticks=RAFT.election_ticks_min,
    )


def test_a_node_alone_has_nobody_to_hand_over_to() -> None:
    world = World(size=1)
    world.until(world.serves)
    world.members[ONE].stewardship.drain()
    assert not world.members[ONE].stewardship.is_handing_over


@pytest.mark.parametrize("operation", ["sync", "write"])
def test_a_failing_disk_stops_the_node_and_not_the_cluster(world: World, operation: str) -> None:
    me = leader(world)
    world.members[me].files.fail(operation, errno.EIO)
    written = world.put(KEY, b"value")
    world.run()
    assert isinstance(world.members[me].problem, CommitLogFailed)
    assert written.status is not Status.UNAVAILABLE
    world.crash(me)
    world.until(lambda: world.leader_of(group_of_key(world)) is not None)
    again = world.put(KEY, b"again")
    world.run()
    assert again.status is Status.OK


def test_the_meta_group_is_led_by_one_of_the_nodes(world: World) -> None:
    assert world.leader_of(META_GROUP) in world.members_ids
