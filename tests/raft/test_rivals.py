"""A group whose leaders follow one another faster than they can finish anything.

Each is elected by as few as will do, writes to fewer, and is cut off or loses its power; then one
of those who know least of it is next. So logs differ, entries of old terms come back, and messages
of the one before arrive at the next: figures 3.6 and 3.7 of the dissertation, over and over, also
while the group changes its members.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from cluster.ids import ReplicaId
from cluster.raft import RaftConfig
from tests.raft import operators
from tests.raft.harness import Cluster, Faults
from tests.raft.test_simulation import TIGHT, heal_all

HASTY = replace(TIGHT, election_ticks_min=3, election_ticks_max=5)
"""An election takes no longer than some messages do."""
ROOMY = replace(
    HASTY,
    inflight_messages_max=64,
    inflight_bytes_max=1 << 20,
    append_bytes_max=1 << 12,
    uncommitted_bytes_max=1 << 12,
)
REIGNS = 40


class Rivals:
    """Who leads next, by whose votes, and who hears of it."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        size = random.choice((3, 3, 4, 5, 5))
        self.config: RaftConfig = random.choice((HASTY, ROOMY))
        self.cluster = Cluster(size, seed=seed, config=self.config, faults=self.faults())
        self.changes = random.choice((0.0, 0.0, 0.3))
        """Chance that a leader changes the members."""
        self.compacts = random.choice((0.0, 0.5))
        """Chance that who comes back from long ago needs a snapshot."""

    def faults(self) -> Faults:
        return Faults(
            delay_max=self.random.choice((1, 1, 5, 20)),
            duplication=self.random.choice((0.0, 0.2)),
            persist_max=self.random.choice((0, 0, 5, 30)),
            apply_max=self.random.choice((0, 5)),
        )

    def reign(self) -> None:
        """One leader more: from its election to its fall."""
        cluster, random = self.cluster, self.random
        self.start_some()
        cluster.heal()
        left_out = random.sample(sorted(cluster.members), random.randint(0, self.minority))
        cluster.cut(*left_out)
        cluster.run(random.randint(0, 2) + self.config.election_ticks_min)
        for replica in self.running:
            if replica not in left_out and random.random() < 0.5:
                cluster.wake(replica, silent_ticks=20)
        cluster.run(random.randint(0, 6))
        self.write()
        if random.random() < 0.7:
            deaf = random.sample(sorted(cluster.members), random.randint(1, self.minority + 1))
            cluster.cut(*deaf)
            self.write()
        cluster.run(random.randint(0, 3))
        if random.random() < self.compacts and self.running:
            cluster.compact(random.choice(self.running))
        for leader in list(cluster.leaders):
            if random.random() < 0.4:
                cluster.crash(leader.status().replica)
        if random.random() < 0.1:
            cluster.faults = self.faults()

    @property
    def minority(self) -> int:
        """How many the group can do without."""
        return (len(self.cluster.members) - 1) // 2

    @property
    def running(self) -> list[ReplicaId]:
        return [each for each, member in self.cluster.members.items() if member.raft is not None]

    def start_some(self) -> None:
        for replica, member in self.cluster.members.items():
            if member.raft is None and self.random.random() < 0.6:
                self.cluster.start(replica)

    def write(self) -> None:
        """All that think they lead take something; some change the members."""
        cluster, random = self.cluster, self.random
        for leader in cluster.leaders:
            replica = leader.status().replica
            for _ in range(random.randint(0, 3)):
                cluster.propose(replica, random.randbytes(random.randint(0, 9)))
            cluster.read(replica)
        if cluster.leaders and random.random() < self.changes:
            operators.change_membership(cluster, random)
        cluster.run(random.randint(0, 2))


def run_rivals(seed: int) -> Rivals:
    rivals = Rivals(seed)
    for _ in range(REIGNS):
        rivals.reign()
    return rivals


def check(seed: int) -> None:
    """Leader after leader, and then a group that is as good as new."""
    cluster = run_rivals(seed).cluster
    heal_all(cluster)
    cluster.run_until(lambda: operators.repair(cluster), ticks_max=600)
    operators.retire(cluster, at_the_end=True)
    cluster.run_until(cluster.all_quiet, ticks_max=400)
    last = cluster.propose(cluster.leader_id(), b"last")
    assert last is not None
    cluster.run_until(lambda: cluster.all_applied(last), ticks_max=20)


@pytest.mark.parametrize("block", range(10))
def test_what_is_committed_stays_whoever_leads_next(block: int) -> None:
    for seed in range(4 * block, 4 * block + 4):
        try:
            check(seed)
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise


def test_leaders_are_many_and_their_logs_differ() -> None:
    """Else the silence of the others would mean nothing."""
    terms = committed = replaced = changed = 0
    for seed in range(12):
        rivals = Rivals(seed)
        held: dict[tuple[ReplicaId, int], int] = {}
        for _ in range(REIGNS):
            rivals.reign()
            for replica, member in rivals.cluster.members.items():
                log = member.disk.log
                for place, term in enumerate(member.disk.terms, log.first_index()):
                    before = held.get((replica, place), term)
                    replaced += before != term
                    held[replica, place] = term
        checker = rivals.cluster.checker
        committed += len(checker.committed)
        changed += len(checker.configurations) - 1
        terms += len({term for term, _data, _commit_term in checker.committed})
    assert terms > 100
    assert committed > 400
    assert replaced > 50
    assert changed > 10
