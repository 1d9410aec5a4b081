"""The hash ring: which nodes should hold a place of the hash space.

Each node stands on the circle of 64-bit hashes at many points, its *virtual nodes*, as many as its
weight asks for. A place is held by the first distinct nodes met when walking the circle upwards
from it, so a node that joins or leaves changes only the places that it wins or loses (Karger et
al., "Consistent Hashing and Random Trees", 1997).

Walking alone spreads load unevenly. `assign` places many points at once and passes over nodes that
are full (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018). Zones are
a preference: they yield where a node is full.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

from cluster.ids import NodeId

VIRTUAL_NODES_PER_WEIGHT: Final = 128
WEIGHT_MAX: Final = 64
SLACK_PERCENT_DEFAULT: Final = 25
"""Room above the fair share. Less is more even; more moves less when nodes come and go."""


@dataclass(frozen=True, slots=True)
class RingNode:
    """A node that may hold data."""

    node_id: NodeId
    weight: int = 1
    """How much it should hold, relative to the others: 1 to WEIGHT_MAX."""
    zone: str | None = None
    """What fails together, such as a rack. None: the node is a zone of its own."""


class Ring:
    """The circle; the same for the same nodes in any order, and never changed.

    `hash64` maps bytes to whole numbers below 2^64, evenly. Raises ValueError when there are no
    nodes, two of one name, or a weight that is out of bounds.
    """

    __slots__ = ("_nodes", "_owners", "_points", "_zones")

    def __init__(self, nodes: Iterable[RingNode], hash64: Callable[[bytes], int]) -> None:
        self._nodes = sorted(nodes, key=lambda node: node.node_id)
        _check_nodes(self._nodes)
        circle = sorted(
            (hash64(f"{node.node_id}#{number}".encode()), owner)
            for owner, node in enumerate(self._nodes)
            for number in range(node.weight * VIRTUAL_NODES_PER_WEIGHT)
        )
        self._points = [point for point, _ in circle]
        self._owners = [owner for _, owner in circle]
        # A node without a zone gets its own number as its zone, which no name is equal to.
        self._zones: list[str | int] = [
            owner if node.zone is None else node.zone for owner, node in enumerate(self._nodes)
        ]

    def replicas_for(self, point: int, count: int) -> tuple[NodeId, ...]:
        """`count` distinct nodes for the place `point`, in the order in which they are met.

        In distinct zones while there are zones, then spread over zones as evenly as can be. Raises
        ValueError when there are fewer than `count` nodes.
        """
        return self.assign((point,), count, dict.fromkeys(self._names(), 1))[0]

    def capacities(
        self, points: int, count: int, slack_percent: int = SLACK_PERCENT_DEFAULT
    ) -> dict[NodeId, int]:
        """The most that each node should hold of `points` places with `count` replicas each.

        That is its share by weight, and `slack_percent` more, rounded up. A node can hold a place
        only once; what a heavy node cannot hold for that reason is shared out among the others.
        Always enough for `assign`. Raises ValueError when there are fewer than `count` nodes or
        `slack_percent` is negative.
        """
        self._check_count(count)
        if slack_percent < 0:
            raise ValueError(f"slack_percent is {slack_percent}; it must be 0 or more")
        capacities: dict[NodeId, int] = {}
        unplaced = points * count
        free = self._nodes
        while free:
            weight = sum(node.weight for node in free)
            full = [node for node in free if unplaced * node.weight >= points * weight]
            if not full:
                break
            capacities.update((node.node_id, points) for node in full)
            unplaced -= points * len(full)
            free = [node for node in free if node.node_id not in capacities]
        for node in free:
            share_percent = unplaced * node.weight * (100 + slack_percent)
            capacities[node.node_id] = min(points, -(-share_percent // (100 * weight)))
        return capacities

    def assign(
        self, points: Sequence[int], count: int, capacities: Mapping[NodeId, int]
    ) -> list[tuple[NodeId, ...]]:
        """`count` distinct nodes for each of `points`, no node more often than it has capacity.

        Each point gets what `replicas_for` would give it, but for nodes that are full, or that must
        be kept for points that come later. Points are served in the given order. Raises ValueError
        when there are fewer than `count` nodes or the capacities cannot suffice.
        """
        self._check_count(count)
        room = _Room([capacities[name] for name in self._names()], len(points), count)
        return [self._choose(point, count, room) for point in points]

    def _choose(self, point: int, count: int, room: _Room) -> tuple[NodeId, ...]:
        room.next_point()
        chosen: list[int] = []
        used: Counter[str | int] = Counter()
        passed: list[int] = []

        def take(owner: int) -> None:
            room.take(owner)
            used[self._zones[owner]] += 1
            chosen.append(owner)

        for owner in self._walk(point):
            if len(chosen) == count:
                break
            if not room.allows(owner):
                continue
            if self._zones[owner] in used:
                passed.append(owner)
            else:
                take(owner)
        while len(chosen) < count:
            allowed = [owner for owner in passed if room.allows(owner)]
            # The first of the least: the order of the walk decides between equal zones.
            owner = min(allowed, key=lambda owner: used[self._zones[owner]])
            passed.remove(owner)
            take(owner)
        return tuple(self._nodes[owner].node_id for owner in chosen)

    def _walk(self, point: int) -> Iterator[int]:
        """Every node once, in the order in which the circle meets them from `point` upwards."""
        start = bisect_left(self._points, point)
        seen: set[int] = set()
        for position in chain(range(start, len(self._owners)), range(start)):
            owner = self._owners[position]
            if owner not in seen:
                seen.add(owner)
                yield owner
                if len(seen) == len(self._nodes):
                    return

    def _names(self) -> list[NodeId]:
        return [node.node_id for node in self._nodes]

    def _check_count(self, count: int) -> None:
        if not 1 <= count <= len(self._nodes):
            raise ValueError(f"{count} replicas: there are {len(self._nodes)} nodes to hold them")


class _Room:
    """What the nodes can still take, so that no later point is left without enough nodes.

    With m points to go and room r for each node, the rest can be placed if and only if
    Σ min(r, m) ≥ m · count: no point takes a node twice, and by Gale and Ryser's theorem nothing
    else stands in the way. A node with r ≥ m is *scarce*: one that is passed over now loses a place
    that it can never make up for. So no more scarce nodes may be passed over than the sum exceeds
    what is needed.
    """

    __slots__ = ("_count", "_left", "_others_allowed", "_room")

    def __init__(self, room: list[int], points: int, count: int) -> None:
        self._room = room
        self._left = points + 1
        self._count = count
        self._others_allowed = 0
        if sum(min(free, points) for free in room) < points * count:
            raise ValueError(f"capacities {room} are too small for {count} × {points} replicas")

    def next_point(self) -> None:
        """Goes on to the next point, whose number of nodes was promised to the constructor."""
        self._left -= 1
        left = self._left
        scarce = sum(free >= left for free in self._room)
        excess = sum(min(free, left) for free in self._room) - left * self._count
        self._others_allowed = self._count - max(0, scarce - excess)

    def allows(self, owner: int) -> bool:
        """Whether this point may take the node. Once it may not, it may not until the next."""
        free = self._room[owner]
        return free >= self._left or (free > 0 and self._others_allowed > 0)

    def take(self, owner: int) -> None:
        """Takes one of the node's places for this point."""
        if self._room[owner] < self._left:
            self._others_allowed -= 1
        self._room[owner] -= 1


def _check_nodes(nodes: Sequence[RingNode]) -> None:
    if not nodes:
        raise ValueError("a ring needs at least one node")
    for node in nodes:
        if not 1 <= node.weight <= WEIGHT_MAX:
            raise ValueError(f"node {node.node_id}: weight {node.weight} is not 1 to {WEIGHT_MAX}")
    for node, following in pairwise(nodes):
        if node.node_id == following.node_id:
            raise ValueError(f"node {node.node_id} is named twice")
