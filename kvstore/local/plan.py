"""The shape of a local cluster: as it is asked for, as it is made, and whether the two agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kvstore.errors import ConfigurationError
from kvstore.local.ports import consecutive_ports, free_ports
from kvstore.local.state import ClusterState, LocalNode, Place, Shape

HOST: Final = "127.0.0.1"
NODES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for; None means as the cluster was made, or the default of a new one."""

    nodes: int | None = None
    partitions: int | None = None
    replicas: int | None = None
    base_port: int | None = None
    """The port of n1; n2 has the next one and so on. None: free ports for a new cluster."""
    settings: Mapping[str, object] = field(default_factory=dict)
    node_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Of single nodes, by their names; they win over those of all."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Of the nodes of a new cluster that do not run in this process's network."""

    def __post_init__(self) -> None:
        if self.nodes is not None and not 1 <= self.nodes <= NODES_MAX:
            raise ConfigurationError(f"nodes is {self.nodes}; the limit is 1 to {NODES_MAX}")

    def make(self) -> ClusterState:
        """A new cluster; raises ConfigurationError when there are no such ports."""
        count = self.nodes or 3
        shape = Shape(
            partitions=16 if self.partitions is None else self.partitions,
            replicas=min(3, count) if self.replicas is None else self.replicas,
            settings={name: _text(value) for name, value in self.settings.items()},
        )
        if self.base_port is None:
            ports = free_ports(HOST, count)
        else:
            ports = consecutive_ports(self.base_port, count)
        names = [f"n{number}" for number in range(1, count + 1)]
        strangers = ", ".join(name for name in self.node_settings if name not in names)
        if strangers:
            raise ConfigurationError(
                f"node-settings name {strangers}; nodes are {', '.join(names)}"
            )
        nodes = [self._node(name, port) for name, port in zip(names, ports, strict=True)]
        return ClusterState(shape, {node.node_id: node for node in nodes})

    def check(self, folder: Path, state: ClusterState) -> None:
        """Raises ConfigurationError where the cluster in `folder` is not what is asked for."""
        nodes = list(state.nodes.values())
        kept_settings = state.shape.settings
        pairs: list[tuple[str, object, object]] = [
            ("nodes", self.nodes, len(nodes)),
            ("partitions", self.partitions, state.shape.partitions),
            ("replicas", self.replicas, state.shape.replicas),
            ("base-port", self.base_port, int(nodes[0].address.rpartition(":")[2])),
        ]
        for name, value in self.settings.items():
            pairs.append((name, _text(value), kept_settings.get(name, "left at its default")))
        for node_id in self.node_settings:
            kept_node = state.nodes.get(node_id)
            kept_own = None if kept_node is None else kept_node.settings
            pairs.append((f"settings of {node_id}", self._settings_of(node_id), kept_own))
        for name, asked, kept in pairs:
            if asked is not None and asked != kept:
                raise ConfigurationError(
                    f"the cluster in {folder} has {name} {kept}, not {asked}: leave {name} out, "
                    "or take the cluster down with --delete-data first"
                )

    def _node(self, name: str, port: int) -> LocalNode:
        place = self.places.get(name, Place(HOST, ()))
        settings = self._settings_of(name)
        address = f"{place.host}:{port}"
        return LocalNode(name, address, settings=settings, command=list(place.command))

    def _settings_of(self, node_id: str) -> dict[str, str]:
        own = self.node_settings.get(node_id, {})
        return {name: _text(value) for name, value in own.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
