"""Where faults happen, and how to do something there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from kvstore.simulation.client import SimulatedClient
from kvstore.simulation.cluster import Cluster
from kvstore.simulation.network import Link
from kvstore.simulation.node import SimulatedNode, State

_AT_LEADERS: Final = 0.5

Undo = Callable[[], None]
Inject = Callable[["Scene"], Undo | None]
"""Begins a fault and gives what ends it; None where there is nothing to do it to."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where faults happen."""

    cluster: Cluster
    clients: list[SimulatedClient]
    random: Random

    def nodes(self, *states: State) -> list[SimulatedNode]:
        """The nodes in one of `states`."""
        return [node for node in self.cluster.machines.values() if node.state in states]

    def a_node(self, *states: State) -> SimulatedNode | None:
        """One of them."""
        found = self.nodes(*states)
        return self.random.choice(found) if found else None

    def a_leader(self) -> SimulatedNode | None:
        """A running node that leads something."""
        leaders = [self.cluster.machines[name] for name in self.cluster.leader_names()]
        found = [node for node in leaders if node.state is State.RUNNING]
        return self.random.choice(found) if found else None

    def a_target(self) -> str:
        """Any node, but more often than not one that leads: there faults have consequences."""
        leader = self.a_leader()
        if leader is not None and self.random.random() < _AT_LEADERS:
            return leader.name
        return self.random.choice(list(self.cluster.machines))

    def machine_names(self) -> list[str]:
        """Of all nodes and clients."""
        return [*self.cluster.machines, *(client.name for client in self.clients)]


def no_end() -> None:
    """Some faults have no end."""


def cut(scene: Scene, links: list[Link]) -> Undo:
    """Lets nothing through on `links`."""
    network = scene.cluster.network
    for source, target in links:
        network.cut(source, target)

    def heal() -> None:
        for source, target in links:
            network.heal(source, target)

    return heal


def both_ways(some: list[str], others: list[str]) -> list[Link]:
    """The links between two sets of machines."""
    return [link for a in some for b in others for link in ((a, b), (b, a))]
