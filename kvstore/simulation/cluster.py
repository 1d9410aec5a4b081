"""A simulated cluster: nodes, clients and the network between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cluster.ids import META_GROUP, GroupId, NodeId, PartitionId, ReplicaId, group_of
from cluster.partition.map import ClusterMap
from kvstore.replica.meta_machine import MetaMachine
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.network import Network
from kvstore.simulation.node import SimulatedNode, State
from kvstore.simulation.observers import Observers
from kvstore.simulation.rpc import SimulatedServer
from kvstore.simulation.shape import Shape
from kvstore.storage.sessions import SESSIONS_MAX

_RESTART_S_MIN: Final = 0.5
_RESTART_S_MAX: Final = 5.0
"""A process that ended by itself is started again after a while, as service managers do."""
_SESSIONS_MAX: Final = (2, 3, 6, SESSIONS_MAX)
"""With few, clients are forgotten."""


class Cluster:
    """See the module. To checkers it is the `cluster`; to channels it is the Directory."""

    def __init__(self, kernel: Kernel, shape: Shape, checkers: Iterable[object]) -> None:
        self.kernel: Final = kernel
        self.shape: Final = shape
        self.network: Final = Network(kernel, shape.conditions)
        self.observers: Final = Observers(kernel, checkers)
        self._random = kernel.random("cluster")
        self.sessions_max: Final[int] = kernel.random("sessions").choice(_SESSIONS_MAX)
        """That a partition keeps."""
        self.jumps: Final[list[tuple[int, float]]] = []
        """When clocks of nodes went ahead, and by how many seconds."""
        self.rebuilding: Final[dict[str, ReplicaId]] = {}
        """The nodes whose data are lost or damaged, until they are rebuilt: who they were."""
        self.given_up: set[PartitionId] = set()
        """Partitions without a majority, in the end."""
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

    def unsound(self) -> dict[str, None]:
        """The nodes without data that count: lost, damaged or not yet rebuilt."""
        for name in list(self.rebuilding):
            if self._is_rebuilt(self.machines[name]):
                del self.rebuilding[name]
                self.kernel.note("rebuilt", name)
        lost = [name for name, node in self.machines.items() if node.state is State.LOST]
        return dict.fromkeys((*lost, *self.rebuilding))

    def may_lose_another(self, name: str) -> bool:
        """Whether one more node may lose its data, so that a majority stays."""
        unsound = self.unsound()
        return name not in unsound and 2 * (len(unsound) + 1) < len(self.machines)

    def can_do_without(self, name: str) -> bool:
        """Whether all that one more node has is on majorities of others, too."""
        cluster_map = self.newest_map()
        if cluster_map is None:
            return False
        gone = {*self.unsound(), name}
        groups = [
            [self.name_of(cluster_map, replica) for replica in info.replicas]
            for info in cluster_map.partitions
        ]
        return all(
            2 * len([each for each in names if each not in gone]) > len(names)
            for names in (list(self.machines), *(each for each in groups if name in each))
        )

    def can_be_rebuilt(self, name: str) -> bool:
        """Whether, in the end, majorities have all that the node has had, so that it must be."""
        cluster_map = self.newest_map()
        info = None if cluster_map is None else cluster_map.node(NodeId(name))
        if cluster_map is None or info is None or self.machines[name].state is State.LOST:
            return False
        return self.given_up.isdisjoint(cluster_map.partitions_of(info.replica))

    def expect_rebuilding(self, name: str) -> None:
        """From now on the node has no data that count, until it has a place and all data again."""
        self.machines[name].is_expendable = self.can_do_without(name)
        self.rebuilding[name] = self.machines[name].replica_id

    def do_all_know(self, name: str) -> bool:
        """Whether all other nodes know, whatever happens, by which data this one is known."""
        me = self.machines[name].replica_id
        others = [node for each, node in self.machines.items() if each != name]
        for node in others:
            engine = node.engine.after_crash()
            engine.is_watched = True
            cluster_map = MetaMachine(engine).map
            info = None if cluster_map is None else cluster_map.replica(me)
            if node.state is not State.LOST and (info is None or not info.life):
                return False
        return True

    def newest_map(self) -> ClusterMap | None:
        """That any node that is up knows."""
        maps = [node.host.meta.map for node in self._up]
        return max(
            (each for each in maps if each is not None), key=lambda each: each.epoch, default=None
        )

    @staticmethod
    def name_of(cluster_map: ClusterMap, replica: ReplicaId) -> str:
        """The node that has it."""
        info = cluster_map.replica(replica)
        return "" if info is None else info.node_id

    def _is_rebuilt(self, node: SimulatedNode) -> bool:
        """Whether a new life of `node` has its vote in all groups that the map gives it, by the
        word of their leaders."""
        cluster_map = self.newest_map()
        info = None if cluster_map is None else cluster_map.node(NodeId(node.name))
        if info is None or cluster_map is None or not node.is_up or node.is_rotten:
            return False
        if node.damage is not None and node.damage.is_in(node.engine):
            return False
        if info.replica != node.replica_id:
            return False
        was = self.rebuilding[node.name]
        if was == node.replica_id:
            return True  # what was damaged was never needed again, and is gone
        wanted = {META_GROUP: cluster_map.members} | {
            group_of(partition): cluster_map.replicas_of(partition)
            for partition in cluster_map.partitions_of(info.replica)
            if partition not in self.given_up
        }
        return all(self._voters(group) == set(replicas) for group, replicas in wanted.items())

    def _voters(self, group: GroupId) -> frozenset[ReplicaId]:
        """Those of a group, by its leader; none while it is not settled."""
        led = [
            node.host.replicas[group].core
            for node in self._up
            if group in node.host.replicas and node.host.replicas[group].is_leader
        ]
        core = max(led, key=lambda each: each.term, default=None)
        if core is None or core.is_changing_members:
            return frozenset()
        return core.configuration.voters

    def served_partitions(
        self, cluster_map: ClusterMap, healthy: Iterable[str]
    ) -> list[PartitionId]:
        """The partitions of which a majority of replicas is on `healthy` nodes that have data."""
        there = {name for name in healthy if name not in self.unsound()}
        served = [
            info.partition
            for info in cluster_map.partitions
            if 2 * sum(self.name_of(cluster_map, each) in there for each in info.replicas)
            > len(info.replicas)
        ]
        self.given_up = {info.partition for info in cluster_map.partitions} - set(served)
        return served

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
