"""The cached cluster map, and whom to ask for a partition. Decides only: no I/O here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.ids import PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, NodeInfo
from kvstore.codec.limits import Limits


class Route:
    """Where the operations of one partition go.

    To the leader where one is known. Else to the replicas in turn: one of them leads or knows who
    does.
    """

    __slots__ = ("_turn", "leader", "partition", "replicas")

    def __init__(self, partition: PartitionId, replicas: tuple[ReplicaId, ...]) -> None:
        self.partition = partition
        self.replicas = replicas
        self.leader: ReplicaId | None = None
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Route of partition {self.partition}: leader {self.leader} of {self.replicas}>"

    def target(self, is_down: Callable[[ReplicaId], bool]) -> ReplicaId:
        """Whom to ask next; passes over replicas that are down while there are others."""
        if self.leader is not None:
            return self.leader
        count = len(self.replicas)
        for offset in range(count):
            candidate = self.replicas[(self._turn + offset) % count]
            if not is_down(candidate):
                return candidate
        return self.replicas[self._turn % count]

    def blame(self, replica: ReplicaId) -> None:
        """`replica` did not serve the partition: others are asked first."""
        if self.leader == replica:
            self.leader = None
        if replica in self.replicas:
            self._turn = self.replicas.index(replica) + 1


class Routes:
    """A cluster map with what was learned about leaders since."""

    __slots__ = ("_by_partition", "_nodes", "limits", "map")

    def __init__(self, cluster_map: ClusterMap) -> None:
        self._by_partition: list[Route] = []
        self.replace(cluster_map)

    def replace(self, cluster_map: ClusterMap) -> None:
        """Takes a newer map of the same cluster and the same partitions."""
        self.map = cluster_map
        self.limits = Limits(
            cluster_map.settings.value_bytes_max, cluster_map.settings.key_bytes_max
        )
        self._nodes = {node.replica: node for node in cluster_map.nodes}
        known = {route.partition: route.leader for route in self._by_partition}
        self._by_partition = [
            Route(info.partition, info.replicas) for info in cluster_map.partitions
        ]
        self.learn({partition: leader for partition, leader in known.items() if leader is not None})

    def learn(self, leaders: Mapping[PartitionId, ReplicaId]) -> list[PartitionId]:
        """Takes hints of who leads; gives the partitions for which they are news.

        A hint that names no replica of the partition is of another epoch, and is passed over.
        """
        news = []
        for partition, leader in leaders.items():
            if partition >= len(self._by_partition):
                continue
            route = self._by_partition[partition]
            if route.leader != leader and leader in route.replicas:
                route.leader = leader
                news.append(partition)
        return news

    def route(self, partition: PartitionId) -> Route:
        """The route of a partition of the map."""
        return self._by_partition[partition]

    def node(self, replica: ReplicaId) -> NodeInfo:
        """The node of a replica that is in the map."""
        return self._nodes[replica]
