"""Groups come to have the members of the map, and the map the lives that were met: real hosts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import pairwise

import pytest

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, GroupId, ReplicaId
from cluster.partition.meta import RecordLives
from cluster.raft import MembershipChange
from cluster.raft.configuration import Configuration
from kvstore.codec.meta import decode_meta_command
from kvstore.replica.regrouping import Regrouping
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.storage.memory_engine import MemoryEngine
from tests.replica.world import LONG_TICKS, RAFT, Member, World

GROUP = GroupId(1)
PERIOD_TICKS = 2 * RAFT.heartbeat_ticks
Asked = tuple[int, GroupId, frozenset[ReplicaId], frozenset[ReplicaId]]
"""When, of which group, and for which voters and learners."""


def ids(*numbers: int) -> frozenset[ReplicaId]:
    return frozenset(map(ReplicaId, numbers))


class Regrouped(World):
    """A world in which each node regroups what it leads, once it `is_regrouping`; keeps what was
    asked for."""

    def __post_init__(self) -> None:
        self.is_regrouping = False
        self.lives: dict[ReplicaId, int] = {}
        self.regroupings: dict[ReplicaId, Regrouping] = {}
        self.asked: list[Asked] = []
        self.recorded: list[tuple[int, RecordLives]] = []
        super().__post_init__()

    def start(self, me: ReplicaId, files: MemoryFileSystem, engine: MemoryEngine) -> None:
        super().start(me, files, engine)
        host = self.members[me].host
        change_members, propose_meta = host.change_members, host.propose_meta

        def noted_change(group: GroupId, change: MembershipChange) -> None:
            self.asked.append((host.ticks, group, change.voters, change.learners))
            change_members(group, change)

        def noted_proposal(command: bytes) -> None:
            decoded = decode_meta_command(command)
            if isinstance(decoded, RecordLives):
                self.recorded.append((host.ticks, decoded))
            propose_meta(command)

        host.change_members = noted_change  # type: ignore[method-assign]
        host.propose_meta = noted_proposal  # type: ignore[method-assign]
        self.regroupings[me] = Regrouping(host, self.lives)

    def tick_without_running(self) -> None:
        super().tick_without_running()
        if self.is_regrouping:
            for me in self.members:
                self.regroupings[me].tick()

    def leader(self, group: GroupId = GROUP) -> Member:
        found = self.leader_of(group)
        assert found is not None
        return self.members[found]

    def configuration(self, group: GroupId = GROUP) -> Configuration:
        return self.leader(group).host.replicas[group].core.configuration

    def has(
        self,
        voters: Iterable[ReplicaId],
        learners: Iterable[ReplicaId] = (),
        group: GroupId = GROUP,
    ) -> bool:
        """Whether the group has exactly these members, committed."""
        core = self.leader(group).host.replicas[group].core
        wanted = Configuration(frozenset(voters), learners=frozenset(learners))
        return core.configuration == wanted and core.commit == core.last_index

    def set_members(
        self,
        voters: Iterable[ReplicaId],
        learners: Iterable[ReplicaId] = (),
        group: GroupId = GROUP,
    ) -> None:
        """Gives the group other members than the map says."""
        change = MembershipChange(frozenset(voters), frozenset(learners))

        def is_begun() -> bool:
            # Refused until the others of a quiet group were heard of.
            with contextlib.suppress(ProposalRefused):
                self.leader(group).host.change_members(group, change)
                return True
            return False

        self.until(is_begun)
        self.until(lambda: self.has(voters, learners, group))
        self.asked.clear()

    def regroup_for(self, ticks: int) -> None:
        self.is_regrouping = True
        self.tick(ticks)
        self.is_regrouping = False

    def regroup_until_asked(self, count: int = 1) -> None:
        """Until so many changes were asked for; what was asked last has not been taken in."""
        self.is_regrouping = True
        for _ in range(LONG_TICKS):
            self.tick_without_running()
            if len(self.asked) >= count:
                break
            self.run()
        self.is_regrouping = False
        assert len(self.asked) == count


def settled(world: Regrouped) -> Regrouped:
    world.until(world.serves)
    world.tick(4 * RAFT.election_ticks_max)
    world.run()
    return world


@pytest.fixture
def world() -> Regrouped:
    return settled(Regrouped(partitions=1))


def a_follower(world: Regrouped, group: GroupId = GROUP) -> ReplicaId:
    leader = world.leader_of(group)
    return next(me for me in world.members if me != leader)


def wanted(world: Regrouped) -> frozenset[ReplicaId]:
    cluster_map = world.leader().host.meta.map
    assert cluster_map is not None
    return frozenset(cluster_map.partitions[0].replicas)


# Members


def test_a_group_as_the_map_wants_it_is_left_alone(world: Regrouped) -> None:
    before = [member.host.rounds for member in world.nodes]
    world.regroup_for(10 * PERIOD_TICKS)
    assert world.asked == []
    assert [member.host.rounds for member in world.nodes] == before, "nothing was woken"


def test_who_is_missing_becomes_a_learner_and_then_a_voter(world: Regrouped) -> None:
    lost = a_follower(world)
    everybody = wanted(world)
    world.set_members(everybody - {lost})
    world.is_regrouping = True
    world.until(lambda: world.has(everybody))
    world.tick(4 * PERIOD_TICKS)
    assert [asked[2:] for asked in world.asked] == [
        (everybody - {lost}, ids(lost)),
        (everybody, ids()),
    ]


def test_a_learner_that_has_not_caught_up_does_not_vote(world: Regrouped) -> None:
    lost = a_follower(world)
    everybody = wanted(world)
    world.set_members(everybody - {lost})
    for other in world.members:
        world.cut |= {(lost, other), (other, lost)}
    for number in range(RAFT.promotion_lag_max + 2):
        world.put(b"%d" % number, b"value")
        if number % 64 == 0:
            world.run()
    world.run()
    world.is_regrouping = True
    world.until(lambda: world.has(everybody - {lost}, {lost}))
    world.tick(4 * PERIOD_TICKS)
    assert world.has(everybody - {lost}, {lost})
    assert len(world.asked) == 1, "it was not even asked whether it may vote"
    world.heal()
    world.until(lambda: world.has(everybody))


def test_who_is_not_in_the_map_goes() -> None:
    world = settled(Regrouped(size=4, partitions=1))
    inside = wanted(world)
    outsiders = frozenset(world.members) - inside
    world.set_members(inside, outsiders)
    world.is_regrouping = True
    world.until(lambda: world.has(inside))
    assert [asked[2:] for asked in world.asked] == [(inside, ids())]


def test_a_learner_of_an_older_map_makes_room_for_the_one_that_is_wanted() -> None:
    world = settled(Regrouped(size=4, partitions=1))
    inside, lost = wanted(world), a_follower(world)
    world.set_members(inside - {lost}, frozenset(world.members) - inside)
    world.is_regrouping = True
    world.until(lambda: world.has(inside))
    assert [asked[2:] for asked in world.asked][:1] == [(inside - {lost}, ids(lost))]


def test_the_meta_group_follows_all_nodes_of_the_map() -> None:
    world = settled(Regrouped(size=4, partitions=1))
    everybody = frozenset(world.members)
    world.set_members(everybody - {a_follower(world, META_GROUP)}, group=META_GROUP)
    world.regroup_for(LONG_TICKS)
    assert world.has(everybody, group=META_GROUP)
    assert {asked[1] for asked in world.asked} == {META_GROUP}


def test_only_the_leader_of_a_group_asks(world: Regrouped) -> None:
    lost = a_follower(world)
    world.set_members(wanted(world) - {lost})
    led_by = world.leader_of(GROUP)
    assert led_by is not None
    del world.regroupings[led_by]
    for _ in range(4 * PERIOD_TICKS):
        world.tick()
        for regrouping in world.regroupings.values():
            regrouping.tick()
    assert world.asked == []


def test_nothing_is_asked_for_while_a_change_is_under_way(world: Regrouped) -> None:
    lost = a_follower(world)
    member = world.leader()
    world.put(b"key", b"value")  # nobody is quiet, so the change begins at once
    world.tick()
    world.isolate(member.replica_id)
    others = wanted(world) - {lost}
    member.host.change_members(GROUP, MembershipChange(others))
    world.asked.clear()
    core = member.host.replicas[GROUP].core
    for _ in range(2 * PERIOD_TICKS):
        world.tick()
        world.regroupings[member.replica_id].tick()
        assert core.configuration.is_joint
    assert member.host.replicas[GROUP].is_leader
    assert world.asked == []


def test_it_looks_once_in_two_heartbeats(world: Regrouped) -> None:
    """What was asked for last time has been taken in by then."""
    lost, everybody = a_follower(world), wanted(world)
    world.set_members(everybody - {lost})
    world.is_regrouping = True
    world.until(lambda: world.has(everybody))
    times = [asked[0] for asked in world.asked]
    assert [time % PERIOD_TICKS for time in times] == [0, 0]
    assert times[1] > times[0]


def test_what_the_core_refuses_is_asked_for_again(world: Regrouped) -> None:
    lost, everybody = a_follower(world), wanted(world)
    world.set_members(everybody - {lost})
    host = world.leader().host
    change_members = host.change_members

    def refuse(group: GroupId, change: MembershipChange) -> None:
        world.asked.append((host.ticks, group, change.voters, change.learners))
        raise ProposalRefused("another is under way")

    host.change_members = refuse  # type: ignore[method-assign]
    world.regroup_for(3 * PERIOD_TICKS)
    assert [asked[2:] for asked in world.asked] == 3 * [(everybody - {lost}, ids(lost))]
    assert world.has(everybody - {lost})
    assert not host.is_stopped
    host.change_members = change_members  # type: ignore[method-assign]
    world.is_regrouping = True
    world.until(lambda: world.has(everybody))


def test_the_next_leader_goes_on_where_the_last_one_stopped(world: Regrouped) -> None:
    lost, everybody = a_follower(world), wanted(world)
    world.set_members(everybody - {lost})
    world.regroup_until_asked()
    world.until(lambda: world.has(everybody - {lost}, {lost}))
    (other,) = everybody - {lost, world.leader().replica_id}
    world.leader().host.transfer(GROUP, other)
    world.until(lambda: world.leader_of(GROUP) == other)
    world.is_regrouping = True
    world.until(lambda: world.has(everybody))


# Lives


def recorded_lives(world: Regrouped) -> dict[ReplicaId, int]:
    """As every node's map has them."""
    maps = [member.host.meta.map for member in world.nodes]
    (lives,) = {
        tuple((node.replica, node.life) for node in cluster_map.nodes if node.life)
        for cluster_map in maps
        if cluster_map is not None
    }
    return dict(lives)


def test_the_map_comes_to_have_the_lives_that_were_met(world: Regrouped) -> None:
    world.lives |= {ReplicaId(1): 11, ReplicaId(3): 33}
    world.regroup_for(PERIOD_TICKS)
    assert recorded_lives(world) == {1: 11, 3: 33}
    assert [record.lives for _, record in world.recorded] == [{1: 11, 3: 33}], "in one command"


def test_a_life_that_is_in_the_map_is_not_recorded_again(world: Regrouped) -> None:
    world.lives[ReplicaId(1)] = 11
    world.regroup_for(PERIOD_TICKS)
    world.lives |= {ReplicaId(1): 99, ReplicaId(2): 22}
    world.regroup_for(2 * RAFT.election_ticks_max)
    assert recorded_lives(world) == {1: 11, 2: 22}
    assert [record.lives for _, record in world.recorded] == [{1: 11}, {2: 22}]


def test_whoever_is_not_in_the_map_is_not_recorded(world: Regrouped) -> None:
    world.lives[ReplicaId(9)] = 99
    world.regroup_for(2 * RAFT.election_ticks_max)
    assert world.recorded == []


def test_a_record_that_is_not_committed_is_asked_for_once_in_an_election_timeout(
    world: Regrouped,
) -> None:
    leader = world.leader(META_GROUP)
    world.lives[ReplicaId(1)] = 11
    for worker in (member.worker for member in world.nodes):
        worker.is_holding = True  # nothing is persisted, so nothing is committed
    for _ in range(3 * RAFT.election_ticks_max):
        world.tick()
        world.regroupings[leader.replica_id].tick()
    times = [time for time, _ in world.recorded]
    assert len(times) == 3
    assert all(
        RAFT.election_ticks_max <= later - earlier < RAFT.election_ticks_max + PERIOD_TICKS
        for earlier, later in pairwise(times)
    )


def test_only_the_leader_of_the_meta_group_records(world: Regrouped) -> None:
    world.lives[ReplicaId(1)] = 11
    follower = a_follower(world, META_GROUP)
    for _ in range(2 * RAFT.election_ticks_max):
        world.tick()
        world.regroupings[follower].tick()
    assert world.recorded == []


def test_a_record_that_is_refused_is_asked_for_again(world: Regrouped) -> None:
    host = world.leader(META_GROUP).host
    propose_meta = host.propose_meta

    def refuse(command: bytes) -> None:
        raise ProposalRefused("leadership is being handed over")

    host.propose_meta = refuse  # type: ignore[method-assign]
    world.lives[ReplicaId(1)] = 11
    world.regroup_for(PERIOD_TICKS)
    assert recorded_lives(world) == {}
    assert not host.is_stopped
    host.propose_meta = propose_meta  # type: ignore[method-assign]
    world.regroup_for(RAFT.election_ticks_max + PERIOD_TICKS)
    assert recorded_lives(world) == {1: 11}
