"""A simulated cluster: nodes, clients and the network between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cluster.ids import META_GROUP, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.network import Network
from kvstore.simulation.node import SimulatedNode, State
from kvstore.simulation.observers import Observers
from kvstore.simulation.rpc import SimulatedServer
from kvstore.simulation.shape import Shape

_RESTART_S_MIN: Final = 0.5
_RESTART_S_MAX: Final = 5.0
"""A process that ended by itself is started again after a while, as service managers do."""


class Cluster:
    """See the module. To checkers it is the `cluster`; to channels it is the Directory."""

    def __init__(self, kernel: Kernel, shape: Shape, checkers: Iterable[object]) -> None:
        self.kernel: Final = kernel
        self.shape: Final = shape
        self.network: Final = Network(kernel, shape.conditions)
        self.observers: Final = Observers(kernel, checkers)
        self._random = kernel.random("cluster")
        self.machines: Final[dict[str, SimulatedNode]] = {}
        """All nodes there ever were, by name."""
        for number, (name, settings) in enumerate(shape.settings.items(), 1):
            node = SimulatedNode(self, name, ReplicaId(number), settings)
            node.rate = shape.clock_rates.get(name, 1.0)
            node.speed.latency_s_mean = shape.disk_latency_s_mean
            self.machines[name] = node

    @property
    def nodes(self) -> list[SimulatedNode]:
        """Those that are up and run; one that is paused is not at rest."""
        return [node for node in self._up if node.state is State.RUNNING]

    @property
    def _up(self) -> list[SimulatedNode]:
        return [node for node in self.machines.values() if node.is_up]

    @property
    def endpoints(self) -> list[str]:
        """The addresses of all nodes."""
        return list(self.shape.any_settings.initial_nodes.values())

    @property
    def now_s(self) -> float:
        """Since the beginning."""
        return self.kernel.now_ns / NS_PER_S

    # What is known of it from outside

    def leader_names(self) -> list[str]:
        """The nodes that lead something but the meta group, as they believe."""
        return [
            node.name
            for node in self._up
            if any(
                replica.is_leader
                for group, replica in node.host.replicas.items()
                if group != META_GROUP
            )
        ]

    def may_lose_another(self) -> bool:
        """Whether one more node may be lost for good, so that a majority stays."""
        lost = sum(node.may_be_lost for node in self.machines.values())
        return 2 * (lost + 1) < len(self.machines)

    def served_partitions(
        self, cluster_map: ClusterMap, healthy: Iterable[str]
    ) -> list[PartitionId]:
        """The partitions of which a majority of replicas is on `healthy` nodes."""
        there = {self.machines[name].replica_id for name in healthy}
        return [
            info.partition
            for info in cluster_map.partitions
            if 2 * len(there & set(info.replicas)) > len(info.replicas)
        ]

    def on_exit(self, node: SimulatedNode) -> None:
        """A node's process has ended by itself: its service manager starts it again."""
        delay_s = self._random.uniform(_RESTART_S_MIN, _RESTART_S_MAX)
        self.kernel.after(delay_s, node.start)

    # Directory

    def machine_at(self, address: str) -> str:
        """See Directory."""
        return address.rpartition(":")[0]

    def is_on(self, machine: str) -> bool:
        """See Directory."""
        return self.machines[machine].is_on

    def server_on(self, machine: str) -> SimulatedServer | None:
        """See Directory."""
        node = self.machines[machine]
        return node.server if node.loop is not None else None
