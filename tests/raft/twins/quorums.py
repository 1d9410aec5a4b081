"""Quorums by definition, for the twins: all sets of replicas that can decide."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

from cluster.ids import ReplicaId
from cluster.raft import Configuration


@lru_cache(maxsize=1024)
def quorums(group: Configuration) -> list[frozenset[ReplicaId]]:
    """Every set of voters with a majority of the voters and one of the outgoing, if any."""
    electors = sorted(group.voters | group.outgoing)
    sets = [
        frozenset(some)
        for size in range(len(electors) + 1)
        for some in combinations(electors, size)
    ]
    needed = [group.voters, group.outgoing] if group.outgoing else [group.voters]
    return [some for some in sets if all(2 * len(some & each) > len(each) for each in needed)]


def have_common_voters(one: Configuration, other: Configuration) -> bool:
    """Whether each quorum of `one` has a voter in common with each of `other`."""
    return all(some & others for some in _least(one) for others in _least(other))


@lru_cache(maxsize=1024)
def _least(group: Configuration) -> list[frozenset[ReplicaId]]:
    """The quorums without a smaller one in them: what holds for them holds for all."""
    every = quorums(group)
    return [some for some in every if not any(other < some for other in every)]
