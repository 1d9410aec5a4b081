"""What operators and bad luck do to the membership of a cluster, chosen at random."""

from __future__ import annotations

from random import Random

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.quorum import is_majority
from tests.raft.harness import Cluster

MEMBERS_MAX = 8


def change_membership(cluster: Cluster, random: Random) -> None:
    """Asks whoever leads for one change; it may refuse."""
    group = cluster.leader.configuration
    voters, learners = set(group.voters), set(group.learners)
    one = random.choice(sorted(voters))
    match random.randrange(7):
        case 0 | 1:
            if len(cluster.members) < MEMBERS_MAX:
                joined = cluster.join()
                if not _ask(cluster, voters, learners | {joined}):
                    cluster.destroy(joined)
        case 2 | 3 if learners:
            new = random.choice(sorted(learners))
            _ask(cluster, voters | {new}, learners - {new})
        case 4 if len(voters) > 1:
            gone = {one} if random.random() < 0.5 else set()
            _ask(cluster, voters - {one}, learners | {one} - gone)
        case 5 if learners:  # a replacement
            new = random.choice(sorted(learners))
            _ask(cluster, voters - {one} | {new}, learners - {new})
        case _:
            everyone = sorted(voters | learners)
            chosen = set(random.sample(everyone, random.randint(1, len(everyone))))
            rest = {each for each in everyone if each not in chosen and random.random() < 0.7}
            _ask(cluster, chosen, rest)


def _ask(cluster: Cluster, voters: set[ReplicaId], learners: set[ReplicaId]) -> bool:
    """Proposes it, unless it would put the group into the hands of those that are gone."""
    if not is_majority(Configuration(frozenset(voters)), cluster.members.__contains__):
        return False
    return cluster.change(cluster.leader_id(), voters, learners)


def wipe(cluster: Cluster, replica: ReplicaId) -> None:
    """A disk is lost, if the group can live without it; its node joins under another id."""
    left = [each for each in cluster.members if each != replica]
    if all(is_majority(group, left.__contains__) for group in cluster.checker.in_use):
        cluster.destroy(replica)


def retire(cluster: Cluster, *, at_the_end: bool = False) -> None:
    """Replicas that were removed, for certain, are switched off. At the end nobody can be left whom
    only an entry names that was cut from all logs."""
    in_use = cluster.checker.in_use[:1] if at_the_end else cluster.checker.in_use
    for replica in list(cluster.members):
        if not any(replica in group.members for group in in_use):
            cluster.destroy(replica)


def repair(cluster: Cluster) -> bool:
    """Asks for the removal of members that were lost; whether there are none left."""
    if not cluster.has_leader():
        return False
    group = cluster.leader.configuration
    missing = {replica for replica in group.members if replica not in cluster.members}
    if missing:
        cluster.change(cluster.leader_id(), group.voters - missing, group.learners - missing)
    return not missing and not group.is_joint and group == cluster.checker.in_use[0]
