"""Giving each of many things to one of its candidates, so that no candidate gets too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cluster.ids import ReplicaId


def spread(candidates: Sequence[Sequence[ReplicaId]]) -> list[ReplicaId]:
    """One of each sequence of candidates, such that the counts are as even as they can be.

    Each sequence is non-empty and in order of preference, which decides where evenness leaves a
    choice. The result is an *optimal semi-matching* (Harvey, Ladner, Lovász, Tamir, "Semi-matchings
    for bipartite graphs and load balancing", 2006): no other choice has a smaller greatest count,
    nor a smaller sum of squared counts. So where a choice exists that gives everyone the same
    number or one more, the result is such a choice. Takes O(candidates in all) per thing moved.
    """
    loads: dict[ReplicaId, int] = {replica: 0 for options in candidates for replica in options}
    chosen: list[ReplicaId] = []
    for options in candidates:
        choice = min(options, key=loads.__getitem__)  # the first of the least
        loads[choice] += 1
        chosen.append(choice)
    while chain := _improvement(candidates, chosen, loads):
        for thing, replica in chain:
            loads[chosen[thing]] -= 1
            loads[replica] += 1
            chosen[thing] = replica
    return chosen


def _improvement(
    candidates: Sequence[Sequence[ReplicaId]],
    chosen: Sequence[ReplicaId],
    loads: dict[ReplicaId, int],
) -> list[tuple[int, ReplicaId]]:
    """A chain of moves to a smaller sum of squares; empty when, and only when, none is smaller."""
    enough = min(loads.values(), default=0) + 1
    for source in sorted(loads, key=lambda replica: (-loads[replica], replica)):
        if loads[source] <= enough:
            break
        if chain := _relief(source, candidates, chosen, loads):
            return chain
    return []


def _relief(
    source: ReplicaId,
    candidates: Sequence[Sequence[ReplicaId]],
    chosen: Sequence[ReplicaId],
    loads: dict[ReplicaId, int],
) -> list[tuple[int, ReplicaId]]:
    """The shortest chain of (thing, its new replica) that takes one from `source`, or nothing.

    It ends at a replica with at least two fewer; those in between give one and get one.
    """
    things: dict[ReplicaId, list[int]] = {}
    for thing, replica in enumerate(chosen):
        things.setdefault(replica, []).append(thing)
    came_by: dict[ReplicaId, int] = {source: -1}
    queue = deque((source,))
    while queue:
        replica = queue.popleft()
        if loads[replica] <= loads[source] - 2:
            chain: list[tuple[int, ReplicaId]] = []
            while replica != source:
                thing = came_by[replica]
                chain.append((thing, replica))
                replica = chosen[thing]
            return chain
        for thing in things.get(replica, ()):
            for option in candidates[thing]:
                if option not in came_by:
                    came_by[option] = thing
                    queue.append(option)
    return []
