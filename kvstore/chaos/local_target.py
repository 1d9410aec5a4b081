"""A cluster of processes of its own on this machine, and the network between its nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kvstore.chaos.clocks import Clocks
from kvstore.chaos.mesh import CLIENTS, LocalNetwork, Mesh, Pair, both_ways
from kvstore.chaos.namespaces.mesh import NamespaceMesh
from kvstore.chaos.network_kind import NetworkKind
from kvstore.chaos.proxy import ProxyMesh
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.small_disks import SmallDisks, disks_refusal
from kvstore.chaos.target import ELECTION_TIMEOUT_MS_DEFAULT, ClockMove
from kvstore.chaos.target_base import ProcessTarget, count_refusal
from kvstore.chaos.threads import in_thread
from kvstore.client.channel import Channel, OpenChannel
from kvstore.client.direct_channel import DirectChannel
from kvstore.local import LocalCluster

_SETTINGS: Final[dict[str, object]] = {
    # Logs turn over, so that nodes that were away long need snapshots; and fit on small disks.
    "commit_log_segment_bytes": 8 << 20,
    "disk_reserve_bytes": 16 << 20,
}
_DATA_FOLDER: Final = "data"


class LocalTarget(ProcessTarget):
    """See the module."""

    name = "local"
    is_shared = False

    def __init__(
        self,
        *,
        nodes: int = 3,
        partitions: int = 16,
        network: NetworkKind = NetworkKind.PROXY,
        tell: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        """`tell` is told in a sentence what was found on the way. Raises ConfigurationError where
        there cannot be such a network."""
        super().__init__()
        self._folder = Path()
        self._nodes = tuple(f"n{number}" for number in range(1, nodes + 1))
        self._partitions = partitions
        self._network: LocalNetwork = (
            NamespaceMesh(self._nodes, tell)
            if network is NetworkKind.NAMESPACES
            else ProxyMesh(self._nodes, self._address_of)
        )
        self._disks = SmallDisks()
        self._clocks = Clocks()
        self._client_ways: dict[str, str] = {}

    @property
    def endpoints(self) -> str:
        """See Target."""
        return self.cluster.endpoints

    @property
    def mesh(self) -> Mesh:
        """See Target."""
        return self._network

    @property
    def open_channel(self) -> OpenChannel:
        """See Target: where nodes go through a proxy, clients do, too."""
        return self._channel

    @property
    def election_timeout_ms(self) -> int:
        """See Target."""
        return int(os.environ.get("KVSTORE_ELECTION_TIMEOUT_MS_MAX") or ELECTION_TIMEOUT_MS_DEFAULT)

    def refusal(self, kind: FaultKind) -> str | None:
        """See Target."""
        return (
            count_refusal(kind, len(self._nodes))
            or self._network.refusal(kind)
            or (disks_refusal() if kind is FaultKind.DISK_FULL else None)
        )

    async def open(self, kinds: Sequence[FaultKind], folder: Path) -> None:
        """See Target."""
        self._folder = folder
        await self._network.open()
        self._cluster = LocalCluster(
            len(self._nodes),
            partitions=self._partitions,
            data_dir=self._folder,
            settings=_SETTINGS,
            node_settings=self._node_settings(moves_clocks=FaultKind.CLOCK in kinds),
            places=self._network.places,
        )
        await in_thread(self._cluster.up)
        if FaultKind.DISK_FULL in kinds:
            await in_thread(self._cluster.down)
            for node in self._nodes:
                await in_thread(self._disks.mount, self._folder / node)
            await in_thread(self._cluster.up)
        addresses = self._cluster.addresses
        to = self._network.ways(CLIENTS)
        self._client_ways = {addresses[node]: way for node, way in to.items()}

    async def close(self) -> None:
        """See Target."""
        try:
            if self._cluster is not None:
                await in_thread(self._cluster.down)
                await in_thread(self._disks.unmount)
                await in_thread(lambda: self.cluster.down(delete_data=True))
            self._clocks.remove()
        finally:
            await self._network.close()

    def end_now(self) -> None:
        """See Target."""
        if self._cluster is not None:
            self._cluster.kill_all()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._disks.unmount()
        self._clocks.remove()
        self._network.end_now()

    async def rejoin(self, node: str) -> None:
        """See Target."""
        await in_thread(shutil.rmtree, self._folder / node / _DATA_FOLDER)
        await in_thread(self.cluster.start, node, rejoin=True, wait=False)
        self._ended.discard(node)

    async def cut_off(self, node: str) -> None:
        """See Target."""
        await self._network.cut(self._around(node))

    async def connect(self, node: str) -> None:
        """See Target."""
        await self._network.clear(self._around(node))

    async def fill_disk(self, node: str) -> None:
        """See Target."""
        await in_thread(self._disks.fill, self._folder / node)

    async def make_room(self, node: str) -> None:
        """See Target."""
        await in_thread(self._disks.make_room, self._folder / node)

    async def move_clocks(self, node: str, move: ClockMove) -> None:
        """See Target."""
        self._clocks.move(node, move)

    def _node_settings(self, *, moves_clocks: bool) -> dict[str, dict[str, str]]:
        """Of each node: where it connects to the others, and where it has its clocks from."""
        settings: dict[str, dict[str, str]] = {}
        for node in self._nodes:
            ways = ",".join(f"{to}={at}" for to, at in self._network.ways(node).items())
            settings[node] = {"peer_via": ways} if ways else {}
        if moves_clocks:
            # Beside the cluster's folder, which has to be empty when the cluster is made.
            folder = self._folder.with_name(f"{self._folder.name}-clocks")
            for node, path in self._clocks.make(self._nodes, folder).items():
                settings[node]["clock_file"] = str(path)
        return settings

    def _around(self, node: str) -> list[Pair]:
        """All that it says and hears."""
        others = [other for other in (*self._nodes, CLIENTS) if other != node]
        return [pair for other in others for pair in both_ways(node, other)]

    def _address_of(self, node: str) -> str:
        return self.cluster.addresses[node]

    def _channel(self, address: str) -> Channel:
        return DirectChannel(self._client_ways.get(address, address))
