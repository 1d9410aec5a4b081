"""Whole clusters under faults: nothing is ever broken, and all comes back when the faults end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from cluster.raft import LeaseConfig, RaftConfig
from tests.raft import operators
from tests.raft.harness import Cluster, Faults

TIGHT = RaftConfig(
    heartbeat_ticks=1,
    election_ticks_min=4,
    election_ticks_max=9,
    inflight_messages_max=3,
    inflight_bytes_max=40,
    append_bytes_max=12,
    uncommitted_bytes_max=100,
    committed_bytes_max=20,
    reads_waiting_max=1000,
    snapshot_ticks_max=20,
    promotion_lag_max=10,
)
"""Every bound is met all the time."""
WITH_LEASES = replace(TIGHT, lease=LeaseConfig(tick_us=10_000, drift_ppm=50_000))
"""Clocks that differ by as much as they may."""

STEPS = 150


def some_faults(random: Random) -> Faults:
    return Faults(
        loss=random.choice((0.0, 0.0, 0.02, 0.1, 0.3)),
        duplication=random.choice((0.0, 0.1, 0.3)),
        delay_max=random.choice((1, 3, 8, 15, 40)),
        persist_max=random.choice((0, 3, 10, 40)),
        apply_max=random.choice((0, 5, 30)),
        snapshot_loss=random.choice((0.0, 0.1, 0.5)),
        snapshot_delay_max=random.choice((1, 10, 100, 400)),
    )


def disturb(cluster: Cluster, random: Random) -> None:
    """One thing that clients, operators or bad luck do."""
    ids = list(cluster.members)
    alive = [i for i in ids if cluster.members[i].is_running(cluster.now)]
    one = random.choice(ids)
    match random.randrange(36):
        case 0 if one in alive:
            cluster.crash(one)
        case 1 | 2 | 3 if cluster.members[one].raft is None:
            cluster.start(one)
        case 5:
            cluster.cut(*random.sample(ids, random.randint(1, max(1, len(ids) // 2))))
        case 6:
            cluster.cuts.add((one, random.choice(ids)))
        case 7 | 8 | 9:
            cluster.heal()
        case 10:
            cluster.faults = some_faults(random)
        case 11 if one in alive:
            cluster.wake(one, silent_ticks=random.randint(0, 10))
        case 12 if cluster.leaders:
            leader = cluster.leader_id()
            if cluster.leader.status().transfer_to is None:
                with suppress(ValueError):  # who is no voter is refused
                    cluster.transfer(leader, random.choice(ids))
        case 13 | 14 | 15 | 16 if cluster.leaders:
            operators.change_membership(cluster, random)
        case 17 if random.random() < 0.5:
            operators.wipe(cluster, one)
        case 18:
            operators.retire(cluster)
        case 19 | 20 | 21 if one in alive:
            cluster.compact(one)
        case 22 | 23 if one in alive:
            if cluster.leaders and random.random() < 0.5:
                one = cluster.leader_id()
            cluster.pause(one, random.randint(1, 20))
        case _:
            for replica in alive:
                if random.random() < 0.5:
                    for _ in range(random.randint(1, 4)):
                        cluster.propose(replica, random.randbytes(random.randint(0, 15)))
                if random.random() < 0.5:
                    cluster.read(replica)


def run_under_faults(seed: int, steps: int) -> Cluster:
    random = Random(seed)
    cluster = Cluster(
        random.choice((1, 2, 3, 3, 3, 4, 5)),
        seed=seed,
        config=WITH_LEASES if seed % 2 else TIGHT,
        faults=some_faults(random),
    )
    for _ in range(steps):
        disturb(cluster, random)
        cluster.run(random.randint(0, 3))
    return cluster


def heal_all(cluster: Cluster) -> None:
    cluster.heal()
    cluster.faults = Faults()
    for replica, member in cluster.members.items():
        if member.raft is None:
            cluster.start(replica)
        elif member.is_running(cluster.now):
            # As hosts do when a node is silent: the leader of a quiet group may be gone for good.
            cluster.wake(replica, silent_ticks=20)


def check(seed: int) -> None:
    """A run under faults, and then a group that is as good as new."""
    cluster = run_under_faults(seed, steps=STEPS)
    heal_all(cluster)
    cluster.run_until(lambda: operators.repair(cluster), ticks_max=600)
    operators.retire(cluster, at_the_end=True)
    cluster.run_until(cluster.all_quiet, ticks_max=400)
    last = cluster.propose(cluster.leader_id(), b"last")
    assert last is not None
    served = cluster.checker.reads_served
    cluster.read(cluster.leader_id())
    cluster.run_until(lambda: cluster.all_applied(last), ticks_max=20)
    assert cluster.checker.reads_served > served
    cluster.run_until(cluster.all_quiet, ticks_max=20)


@pytest.mark.parametrize("block", range(20))
def test_safety_holds_under_faults_and_the_group_works_once_they_end(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        try:
            check(seed)
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise


def test_the_same_seed_gives_the_same_run() -> None:
    one, other = run_under_faults(4, steps=STEPS), run_under_faults(4, steps=STEPS)
    assert one.checker.committed == other.checker.committed
    assert (one.now, one.sent) == (other.now, other.sent)


def test_the_simulation_reaches_what_it_is_for() -> None:
    """Else its silence would mean nothing: commits, reads and several terms are common."""
    runs = [run_under_faults(seed, steps=STEPS) for seed in range(20)]
    assert sum(len(run.checker.committed) for run in runs) > 500
    assert sum(run.checker.reads_served for run in runs) > 200
    assert sum(run.checker.committed[-1][0] for run in runs if run.checker.committed) > 60
    assert sum(len(run.checker.configurations) for run in runs) > 60
    assert sum(run.checker.snapshots_installed for run in runs) > 20
    assert sum(run.checker.reads_by_lease for run in runs) > 10
