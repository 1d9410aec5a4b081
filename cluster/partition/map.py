"""The cluster map: which nodes there are and which of them hold which partition.

A value that the cluster agrees on, in the meta group. Each map has an *epoch*; a map of a higher
epoch replaces one of a lower. A map that exists is valid: the constructors check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.ranges import PARTITIONS_MAX

REPLICATION_FACTOR_MAX: Final = 7
NODES_MAX: Final = 1024
NAME_LENGTH_MAX: Final = 255
"""Characters in a cluster id, a node id or an address."""
_U32_MAX: Final = (1 << 32) - 1
_U64_MAX: Final = (1 << 64) - 1


class InvalidMap(ValueError):
    """The parts do not make a cluster map; the message names the part, its value and the rule."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node that belongs to the cluster."""

    replica: ReplicaId
    node_id: NodeId
    address: str
    """Where it listens, "host:port"."""
    life: int = 0
    """The token that its data directory was given when it was made; 0: not recorded yet. Data of
    another life are not those of this replica, whatever they say."""

    def __post_init__(self) -> None:
        _check_number("replica", self.replica, 1, _U64_MAX)
        _check_number("life", self.life, 0, _U64_MAX)
        _check_name("node_id", self.node_id)
        _check_name("address", self.address)


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """A partition and those that hold it."""

    partition: PartitionId
    replicas: tuple[ReplicaId, ...]
    """Distinct; the first is preferred as leader. Their number is the map's replication factor or,
    where there are fewer nodes, that of the nodes; it may differ while replicas move."""
    founders: tuple[ReplicaId, ...] = ()
    """The voters with which its group began, whatever became of them: their logs do not say it.
    Those that hold it now, where nothing is said."""

    def __post_init__(self) -> None:
        _check_number("partition", self.partition, 0, PARTITIONS_MAX - 1)
        if not self.founders:
            object.__setattr__(self, "founders", self.replicas)
        for name, replicas in (("replicas", self.replicas), ("founders", self.founders)):
            if not replicas or len(set(replicas)) != len(replicas):
                raise InvalidMap(
                    f"partition {self.partition}: {name} {list(replicas)} must be distinct, "
                    "and at least one"
                )

    @property
    def preferred_leader(self) -> ReplicaId:
        """Who should lead the partition while it can."""
        return self.replicas[0]


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What holds for every node of the cluster."""

    partitions: int
    """Fixed at the first start."""
    replication_factor: int
    """How many replicas each partition should have."""
    key_bytes_max: int
    value_bytes_max: int

    def __post_init__(self) -> None:
        _check_number("partitions", self.partitions, 1, PARTITIONS_MAX)
        _check_number("replication_factor", self.replication_factor, 1, REPLICATION_FACTOR_MAX)
        _check_number("key_bytes_max", self.key_bytes_max, 1, _U32_MAX)
        _check_number("value_bytes_max", self.value_bytes_max, 1, _U32_MAX)


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """One epoch of the cluster. Raises InvalidMap unless the parts fit together.

    Look-ups take constant time, whatever the size of the map.
    """

    cluster_id: str
    """Made at the first start; a node of another cluster is told by it."""
    epoch: int
    """1 for the first map, and one more for each change."""
    nodes: tuple[NodeInfo, ...]
    """In order of their replica ids."""
    partitions: tuple[PartitionInfo, ...]
    """All of them, in order."""
    settings: ClusterSettings
    next_replica: ReplicaId = ReplicaId(0)
    """The lowest replica id that was never given; 0, for the constructor: the one above those of
    `nodes`. It only rises, so that no id is ever given twice."""

    _by_replica: dict[ReplicaId, NodeInfo] = field(init=False, repr=False, compare=False)
    _by_node_id: dict[NodeId, NodeInfo] = field(init=False, repr=False, compare=False)
    _held: dict[ReplicaId, tuple[PartitionId, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name("cluster_id", self.cluster_id)
        _check_number("epoch", self.epoch, 1, _U64_MAX)
        _check_nodes(self.nodes)
        by_replica = {node.replica: node for node in self.nodes}
        if not self.next_replica:
            object.__setattr__(self, "next_replica", self.nodes[-1].replica + 1)
        _check_number("next_replica", self.next_replica, self.nodes[-1].replica + 1, _U64_MAX)
        _check_partitions(self.partitions, self.settings.partitions, by_replica, self.next_replica)
        held: dict[ReplicaId, list[PartitionId]] = {replica: [] for replica in by_replica}
        for info in self.partitions:
            for replica in info.replicas:
                held[replica].append(info.partition)
        # The way to set a field of a frozen dataclass; these repeat what the others say.
        object.__setattr__(self, "_by_replica", by_replica)
        object.__setattr__(self, "_by_node_id", {node.node_id: node for node in self.nodes})
        object.__setattr__(self, "_held", {replica: tuple(ids) for replica, ids in held.items()})

    def replica(self, replica: ReplicaId) -> NodeInfo | None:
        """The node whose data is `replica`; None when it does not belong to the cluster."""
        return self._by_replica.get(replica)

    def node(self, node_id: NodeId) -> NodeInfo | None:
        """The node named `node_id`; None when it does not belong to the cluster."""
        return self._by_node_id.get(node_id)

    @property
    def members(self) -> tuple[ReplicaId, ...]:
        """The replicas of the meta group: every node has one."""
        return tuple(self._by_replica)

    def has_replaced(self, replica: ReplicaId) -> bool:
        """Whether `replica` belonged to the cluster, and does no more. It never will again."""
        return replica < self.next_replica and replica not in self._by_replica

    def partitions_of(self, replica: ReplicaId) -> tuple[PartitionId, ...]:
        """The partitions that `replica` holds, in order; empty when it is not in the cluster."""
        return self._held.get(replica, ())

    def replicas_of(self, partition: PartitionId) -> tuple[ReplicaId, ...]:
        """The replicas of `partition`, the preferred leader first; IndexError when none such."""
        if partition < 0:
            raise IndexError(f"partition {partition}")
        return self.partitions[partition].replicas


def _check_number(name: str, number: int, lowest: int, highest: int) -> None:
    if not lowest <= number <= highest:
        raise InvalidMap(f"{name} is {number}; it must be {lowest} to {highest}")


def _check_name(name: str, text: str) -> None:
    if not 1 <= len(text) <= NAME_LENGTH_MAX or not text.isprintable():
        raise InvalidMap(
            f"{name} is {text[:NAME_LENGTH_MAX]!r}; it must have 1 to {NAME_LENGTH_MAX} printable "
            "characters"
        )


def _check_nodes(nodes: Sequence[NodeInfo]) -> None:
    if not 1 <= len(nodes) <= NODES_MAX:
        raise InvalidMap(f"nodes: {len(nodes)} of them; there must be 1 to {NODES_MAX}")
    for node, following in pairwise(nodes):
        if node.replica >= following.replica:
            raise InvalidMap(
                f"nodes: replica {following.replica} follows {node.replica}; they must rise"
            )
    node_ids: set[NodeId] = set()
    addresses: set[str] = set()
    for node in nodes:
        if node.node_id in node_ids:
            raise InvalidMap(f"nodes: {node.node_id!r} is the name of two nodes")
        if node.address in addresses:
            raise InvalidMap(f"nodes: {node.address!r} is the address of two nodes")
        node_ids.add(node.node_id)
        addresses.add(node.address)


def _check_partitions(
    partitions: Sequence[PartitionInfo],
    expected: int,
    nodes: dict[ReplicaId, NodeInfo],
    next_replica: ReplicaId,
) -> None:
    if len(partitions) != expected:
        raise InvalidMap(f"partitions: {len(partitions)} of them; the settings say {expected}")
    for number, info in enumerate(partitions):
        if info.partition != number:
            raise InvalidMap(
                f"partitions: {info.partition} stands at place {number}; they must be in order"
            )
        for founder in info.founders:
            _check_number(f"partition {number}: founder", founder, 1, next_replica - 1)
        for replica in info.replicas:
            if replica not in nodes:
                raise InvalidMap(f"partition {number}: replica {replica} is not one of the nodes")
