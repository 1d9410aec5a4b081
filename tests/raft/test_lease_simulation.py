"""Leases under the faults that could break them: who leads is read from all the time, and replaced
as soon as the others can."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from cluster.raft import LeaseConfig, TimeoutNow
from tests.raft import operators
from tests.raft.harness import Cluster, Faults
from tests.raft.test_simulation import WITH_LEASES

EAGER = replace(
    WITH_LEASES,
    election_ticks_min=12,
    election_ticks_max=13,
    lease=LeaseConfig(tick_us=10_000, drift_ppm=200_000),
)
"""Elections begin as soon as they may, and a tick more or less is little."""

STEPS = 40


def disturb(cluster: Cluster, random: Random) -> None:
    """Something after which the leader may be replaced while it still thinks that it leads."""
    ids = list(cluster.members)
    running = [i for i in ids if cluster.members[i].is_running(cluster.now)]
    leader = cluster.leader_id() if cluster.leaders else random.choice(ids)
    match random.randrange(14):
        case 0 | 1 | 2:
            cluster.cut(leader)
        case 3 | 12 | 13:
            cluster.pause(leader, random.randint(8, 20))
        case 4 | 5 | 6:
            cluster.heal()
        case 7 if cluster.leaders and cluster.leader.status().transfer_to is None:
            cluster.transfer(leader, random.choice(sorted(cluster.leader.configuration.voters)))
        case 8:
            for replica in running:
                if replica != leader and random.random() < 0.7:
                    cluster.crash(replica)
                    cluster.start(replica)
        case 9 | 10 if cluster.leaders:
            operators.change_membership(cluster, random)
        case _:
            pass


def hasten(cluster: Cluster, random: Random, chance: float) -> None:
    """Followers that cannot hear the leader are told that it has been silent for long."""
    leaders = cluster.leaders
    for replica, member in cluster.members.items():
        raft = member.raft
        if member.is_running(cluster.now) and raft not in leaders and random.random() < chance:
            cluster.wake(replica, silent_ticks=20)


def run_leases(seed: int) -> Cluster:
    random = Random(seed)
    faults = Faults(delay_max=random.choice((1, 2, 4)), duplication=0.1, persist_max=1)
    cluster = Cluster(random.choice((2, 3, 3, 5)), seed=seed, config=EAGER, faults=faults)
    slow = random.random()

    def drop(message: object) -> bool:
        """Some orders to campaign take their time; so do what follows from them."""
        if isinstance(message, TimeoutNow) and random.random() < slow:
            after = random.randint(20, 250)
            cluster.deliver_later(message, after, cut_off=random.random() < 0.7)
            return True
        return False

    cluster.drop = drop
    for _ in range(STEPS):
        disturb(cluster, random)
        hasty = random.random()
        for _ in range(random.randint(1, 10)):
            hasten(cluster, random, hasty)
            for replica, member in list(cluster.members.items()):
                if member.is_running(cluster.now) and random.random() < 0.8:
                    cluster.propose(replica, b"")
            cluster.read_everywhere(at=range(0, 10, 2))
            cluster.run(1)
    return cluster


@pytest.mark.parametrize("block", range(10))
def test_no_lease_gives_a_stale_read(block: int) -> None:
    for seed in range(6 * block, 6 * block + 6):
        try:
            run_leases(seed)
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise


def test_most_reads_are_by_lease() -> None:
    """Else the silence of the others would mean nothing."""
    runs = [run_leases(seed) for seed in range(5)]
    assert sum(run.checker.reads_by_lease for run in runs) > 300
    assert sum(run.checker.committed[-1][0] for run in runs) > 25
