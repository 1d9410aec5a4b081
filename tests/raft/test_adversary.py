"""A group with an adversary, who knows who leads and strikes where a mistake would show.

Chance alone seldom leaves an old leader with a few followers and readers, stops it for as long as
others take to elect a new one, or brings a message back after its sender has led, lost and led
again. The adversary does little else. When it stops, the
group has to be as steady as Raft promises: who comes back disturbs nobody, and a leader that
reaches no majority gives way.
"""

from __future__ import annotations

from random import Random

import pytest

from cluster.ids import ReplicaId
from cluster.raft import Message, RaftConfig, Role
from tests.raft.harness import Cluster, Faults

CONFIG = RaftConfig(
    heartbeat_ticks=2,
    election_ticks_min=6,
    election_ticks_max=12,
    inflight_messages_max=3,
    inflight_bytes_max=40,
    append_bytes_max=12,
    uncommitted_bytes_max=100,
    committed_bytes_max=20,
    reads_waiting_max=400,
)
STEPS = 120
AN_ELECTION = 60
"""Ticks in which whoever can be elected is."""


class Adversary:
    """Has the network, the power switches and one client of every leader."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = Cluster(
            self.random.choice((2, 3, 3, 4, 5, 5)), seed=seed, config=CONFIG, faults=self.faults()
        )
        self.ids = list(self.cluster.members)
        self.cluster.drop = self.keep
        self.kept: list[Message] = []

    def faults(self) -> Faults:
        return Faults(
            delay_max=self.random.choice((1, 8, 25)),
            persist_max=self.random.choice((0, 0, 15, 60)),
            apply_max=self.random.choice((0, 5)),
        )

    def keep(self, message: Message) -> bool:
        """Puts some aside for later; of these some arrive in time as well."""
        if self.random.random() >= 0.06:
            return False
        self.kept.append(message)
        return self.random.random() < 0.5

    def step(self) -> None:
        cluster, random = self.cluster, self.random
        match random.randrange(20):
            case 0 | 1 if cluster.leaders:
                self.corner(cluster.leader_id())
            case 13 | 14 | 15 if cluster.leaders:
                self.pause(cluster.leader_id())
            case 2 if cluster.leaders:
                cluster.crash(cluster.leader_id())
            case 3:
                self.start_some()
            case 4 | 5:
                cluster.heal()
                self.start_some()
            case 6:
                cluster.faults = self.faults()
            case 7 if cluster.leaders:
                self.deafen(cluster.leader_id())
            case 8 | 9 | 10:
                self.bring_back()
            case 11 if cluster.leaders and cluster.leader.status().transfer_to is None:
                cluster.transfer(cluster.leader_id(), random.choice(self.ids))
            case _:
                self.load()

    def corner(self, leader: ReplicaId) -> None:
        """Leaves `leader` with less than a majority, after it has got something to lose."""
        self.load()
        others = [each for each in self.ids if each != leader]
        left = self.random.randint(0, (len(self.ids) - 1) // 2)
        self.cluster.cut(leader, *self.random.sample(others, left))

    def deafen(self, leader: ReplicaId) -> None:
        """`leader` is heard by all, and hears few of them."""
        for each in self.ids:
            if self.random.random() < 0.7:
                self.cluster.cuts.add((each, leader))

    def pause(self, leader: ReplicaId) -> None:
        """Stops `leader`, with much under way, for as long as others may take to elect another.
        When it goes on, a client's read comes first."""
        self.load()
        self.cluster.run(self.random.randint(0, 2))
        self.cluster.pause(leader, self.random.randint(1, AN_ELECTION // 2))

    def start_some(self) -> None:
        for replica, member in self.cluster.members.items():
            if member.raft is None and self.random.random() < 0.7:
                self.cluster.start(replica)

    def bring_back(self) -> None:
        """Messages of any age arrive now."""
        for _ in range(min(3, len(self.kept))):
            self.cluster._deliver(self.kept.pop(self.random.randrange(len(self.kept))))

    def load(self) -> None:
        """Writes and reads at all that think they lead, the old ones too."""
        for leader in self.cluster.leaders:
            replica = leader.status().replica
            for _ in range(self.random.randint(1, 3)):
                self.cluster.propose(replica, self.random.randbytes(self.random.randint(0, 9)))
            if leader.status().reads_waiting < CONFIG.reads_waiting_max:
                self.cluster.read(replica)

    def stop(self) -> None:
        """From now on everything works."""
        self.cluster.drop = lambda message: False
        self.cluster.heal()
        self.cluster.faults = Faults()
        for replica, member in self.cluster.members.items():
            if member.raft is None:
                self.cluster.start(replica)


def check(seed: int) -> None:
    """A run, and then a group that is as steady as promised."""
    adversary = Adversary(seed)
    for _ in range(STEPS):
        adversary.step()
        adversary.cluster.run(adversary.random.randint(0, 4))
    adversary.stop()
    works(adversary.cluster)
    if len(adversary.ids) > 2:
        who_comes_back_disturbs_nobody(adversary.cluster)
        for _ in range(3):
            leadership_is_handed_over_at_last(adversary.cluster)
    if len(adversary.ids) > 3:
        a_leader_without_a_majority_gives_way(adversary.cluster)
    works(adversary.cluster)
    what_was_committed_makes_room(adversary.cluster)


def works(cluster: Cluster) -> None:
    """A write and a read succeed, and then all is at rest."""
    cluster.run_until(cluster.all_quiet, ticks_max=400)
    last = cluster.propose(cluster.leader_id(), b"last")
    assert last is not None, "what was under way still counts"
    served = cluster.checker.reads_served
    cluster.read(cluster.leader_id())
    cluster.run_until(lambda: cluster.all_applied(last), ticks_max=20)
    assert cluster.checker.reads_served > served
    cluster.run_until(cluster.all_quiet, ticks_max=20)


def who_comes_back_disturbs_nobody(cluster: Cluster) -> None:
    """Pre-votes of a follower that was cut off are refused by all who hear their leader (9.6).

    Its log is as good as theirs: only reads keep the group awake.
    """
    leader, term = cluster.leader_id(), cluster.leader.term
    follower = next(each for each in cluster.members if each != leader)
    for tick in range(6 * CONFIG.election_ticks_max):
        if tick % (2 * CONFIG.election_ticks_max) == 0:
            cluster.cut(follower)
        elif tick % CONFIG.election_ticks_max == 0:
            cluster.heal()
            cluster.wake(follower, silent_ticks=CONFIG.election_ticks_max)
        if tick % 3 == 1:
            cluster.read(leader)
        cluster.run(1)
        assert cluster.led_by(leader), "the leader was disturbed"
        assert cluster.leader.term == term, "the leader was disturbed"
    cluster.run_until(cluster.all_quiet, ticks_max=60)


def leadership_is_handed_over_at_last(cluster: Cluster) -> None:
    """An heir that does not hear of it is given up. Once it is back it takes over, although it has
    something to catch up with, and whatever clients go on to ask for (3.10)."""
    leader = cluster.leader_id()
    heir = next(each for each in cluster.members if each != leader)
    cluster.cut(heir)
    cluster.transfer(leader, heir)
    cluster.run_until(lambda: cluster.raft(leader).status().transfer_to is None, AN_ELECTION)
    behind = cluster.propose(leader, b"behind")
    assert behind is not None
    cluster.run_until(lambda: cluster.raft(leader).commit >= behind, ticks_max=AN_ELECTION)
    cluster.heal()
    cluster.faults = Faults(delay_max=15)
    cluster.propose(leader, b"at last")
    for _ in range(AN_ELECTION // CONFIG.election_ticks_min):
        cluster.transfer(leader, heir)
        lasted = hand_over(cluster, leader)
        if not cluster.led_by(leader):
            break
        assert lasted + 1 >= CONFIG.election_ticks_min, "given up before its time"
    cluster.run_until(lambda: cluster.led_by(heir), ticks_max=5)
    cluster.faults = Faults()
    cluster.run_until(cluster.all_quiet, ticks_max=60)


def hand_over(cluster: Cluster, leader: ReplicaId) -> int:
    """How many ticks a transfer takes, whatever comes of it."""
    for tick in range(AN_ELECTION):
        if not cluster.led_by(leader) or cluster.raft(leader).status().transfer_to is None:
            return tick
        cluster.propose(leader, b"meanwhile")
        cluster.run(1)
    return AN_ELECTION


def what_was_committed_makes_room(cluster: Cluster) -> None:
    """What is not committed is bounded, all that is written in time is not."""
    leader = cluster.leader_id()
    for _ in range(15):
        for _ in range(8):
            assert cluster.propose(leader, b"more") is not None, "what was committed still counts"
        cluster.run_until(lambda: cluster.all_applied(cluster.leader.status().last_index), 20)


def a_leader_without_a_majority_gives_way(cluster: Cluster) -> None:
    """It reaches one follower, which the others reach too; they are a majority (6.2)."""
    leader = cluster.leader_id()
    bridge, *others = (each for each in cluster.members if each != leader)
    for each in others:
        cluster.cuts |= {(leader, each), (each, leader)}
    cluster.propose(leader, b"lost")
    for each in others:
        cluster.wake(each, silent_ticks=CONFIG.election_ticks_max)
    cluster.run_until(lambda: cluster.led_by(bridge, *others), ticks_max=2 * AN_ELECTION)
    cluster.run_until(lambda: len(cluster.leaders) == 1, ticks_max=AN_ELECTION)
    cluster.heal()


@pytest.mark.parametrize("block", range(10))
def test_nothing_is_broken_and_the_group_is_steady_in_the_end(block: int) -> None:
    for seed in range(6 * block, 6 * block + 6):
        try:
            check(seed)
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise


def test_the_adversary_reaches_what_it_is_for() -> None:
    """Old leaders beside new ones, many terms, and commits and reads in spite of it."""
    pairs = terms = committed = served = 0
    for seed in range(12):
        adversary = Adversary(seed)
        for _ in range(STEPS):
            adversary.step()
            adversary.cluster.run(adversary.random.randint(0, 4))
            members = adversary.cluster.members.values()
            rafts = [member.raft for member in members if member.raft is not None]
            pairs += sum(raft.role is Role.LEADER for raft in rafts) > 1
        checker = adversary.cluster.checker
        committed += len(checker.committed)
        served += checker.reads_served
        terms += max((raft.term for raft in rafts), default=0)
    assert pairs > 20
    assert terms > 60
    assert committed > 200
    assert served > 50
