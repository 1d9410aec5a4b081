"""What is the same for several kinds of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from kvstore.chaos.mesh import Mesh
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.target import ELECTION_TIMEOUT_MS_DEFAULT, ClockMove, Target
from kvstore.chaos.threads import in_thread
from kvstore.client.channel import OpenChannel
from kvstore.client.direct_channel import DirectChannel
from kvstore.errors import InvariantViolation
from kvstore.local import LocalCluster, ProcessState

_LOG_LINES_SHOWN: Final = 8


class BareTarget(Target):
    """A cluster of which nothing is known: can do nothing to it, and refuses nothing by itself."""

    _nodes: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """See Target."""
        return self._nodes

    @property
    def mesh(self) -> Mesh | None:
        """See Target."""
        return None

    @property
    def open_channel(self) -> OpenChannel:
        """See Target: directly."""
        return DirectChannel

    @property
    def election_timeout_ms(self) -> int:
        """See Target."""
        return ELECTION_TIMEOUT_MS_DEFAULT

    async def kill(self, node: str) -> None:
        """See Target."""
        self._cannot("kill", node)

    async def stop(self, node: str) -> None:
        """See Target."""
        self._cannot("stop", node)

    async def start(self, node: str) -> None:
        """See Target."""
        self._cannot("start", node)

    async def start_all(self) -> None:
        """See Target."""
        self._cannot("start", "all nodes")

    async def rejoin(self, node: str) -> None:
        """See Target."""
        self._cannot("wipe", node)

    async def pause(self, node: str) -> None:
        """See Target."""
        self._cannot("pause", node)

    async def resume(self, node: str) -> None:
        """See Target."""
        self._cannot("resume", node)

    async def cut_off(self, node: str) -> None:
        """See Target."""
        self._cannot("cut off", node)

    async def connect(self, node: str) -> None:
        """See Target."""
        self._cannot("connect", node)

    async def fill_disk(self, node: str) -> None:
        """See Target."""
        self._cannot("fill the disk of", node)

    async def make_room(self, node: str) -> None:
        """See Target."""
        self._cannot("empty the disk of", node)

    async def move_clocks(self, node: str, move: ClockMove) -> None:
        """See Target."""
        self._cannot("move the clocks of", node)

    async def fallen(self) -> str | None:
        """See Target."""
        return None

    def logs(self) -> Sequence[Path]:
        """See Target."""
        return ()

    def _cannot(self, what: str, whom: str) -> NoReturn:
        raise InvariantViolation(f"asked to {what} {whom}, which `refusal` should have refused")


class ProcessTarget(BareTarget):
    """A cluster of processes on this machine."""

    def __init__(self) -> None:
        self._cluster: LocalCluster | None = None
        self._ended: set[str] = set()
        """Nodes that a fault has ended."""

    @property
    def cluster(self) -> LocalCluster:
        """The processes."""
        if self._cluster is None:
            raise InvariantViolation("the cluster is used before it is open")
        return self._cluster

    async def kill(self, node: str) -> None:
        """See Target."""
        self._ended.add(node)
        await in_thread(self.cluster.kill, node)

    async def stop(self, node: str) -> None:
        """See Target."""
        self._ended.add(node)
        await in_thread(self.cluster.stop, node)

    async def start(self, node: str) -> None:
        """See Target."""
        await in_thread(self.cluster.start, node, wait=False)
        self._ended.discard(node)

    async def start_all(self) -> None:
        """See Target."""
        for node in sorted(self._ended):
            if self.cluster.process_state(node) is ProcessState.DOWN:
                await self.start(node)
        self._ended.clear()

    async def pause(self, node: str) -> None:
        """See Target."""
        await in_thread(self.cluster.pause, node)

    async def resume(self, node: str) -> None:
        """See Target."""
        await in_thread(self.cluster.resume, node)

    async def fallen(self) -> str | None:
        """See Target."""
        if self._cluster is None:
            return None
        for node in self._nodes:
            if node not in self._ended and self.cluster.process_state(node) is ProcessState.DOWN:
                last = self.cluster.logs(node, _LOG_LINES_SHOWN).rstrip()
                return f"{node} has ended though no fault ended it; its log ends with:\n{last}"
        return None

    def logs(self) -> Sequence[Path]:
        """See Target."""
        if self._cluster is None:
            return ()
        return [self._cluster.log_file(node) for node in self._nodes]


_NODES_MIN: Final = {
    FaultKind.PARTITION: 2,
    FaultKind.ONE_WAY: 2,
    FaultKind.SLOW: 2,
    FaultKind.DROP: 2,
    FaultKind.ISOLATE: 2,
    FaultKind.BRIDGE: 3,
    FaultKind.WIPE: 3,
}


def count_refusal(kind: FaultKind, nodes: int) -> str | None:
    """Why so few nodes do not allow this fault; None: they do."""
    least = _NODES_MIN.get(kind, 1)
    return f"it needs {least} nodes, and there are {nodes}" if nodes < least else None
