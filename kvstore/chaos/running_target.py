"""A cluster that runs already, and is others': loaded and read back, and harmed only by leave."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.target_base import ProcessTarget
from kvstore.client import AsyncClient
from kvstore.errors import ConfigurationError
from kvstore.local import LocalCluster, ProcessState

_OPEN_TIMEOUT_S: Final = 10.0
_OF_PROCESSES: Final = frozenset(
    {
        FaultKind.KILL,
        FaultKind.PAUSE,
        FaultKind.LEADER_KILL,
        FaultKind.LEADER_PAUSE,
        FaultKind.RESTART_ALL,
        FaultKind.ROLLING_RESTART,
    }
)


class RunningTarget(ProcessTarget):
    """See the module. Its processes are known where it is a `kvstore local` cluster."""

    name = "running"
    is_shared = True

    def __init__(self, endpoints: str, *, owned: bool, data_dir: Path | None) -> None:
        """`owned`: who runs this says that it may be harmed. `data_dir`: the folder of the
        `kvstore local` cluster that it is. Raises ConfigurationError where it is another one."""
        super().__init__()
        self._endpoints = endpoints
        self._owned = owned
        self._data_dir = data_dir
        if data_dir is not None:
            self._cluster = LocalCluster.attach(data_dir)
            known = self._cluster.addresses.values()
            for endpoint in endpoints.split(","):
                if endpoint.strip() not in known:
                    raise ConfigurationError(
                        f"endpoints names {endpoint}; the cluster in {data_dir} is at "
                        f"{', '.join(known)}"
                    )

    @property
    def endpoints(self) -> str:
        """See Target."""
        return self._endpoints

    def refusal(self, kind: FaultKind) -> str | None:
        """See Target."""
        if not self._owned:
            return (
                f"the cluster at {self._endpoints} is not this run's own, and is harmed only with "
                "--i-own-this-cluster"
            )
        if kind not in _OF_PROCESSES:
            return (
                "of a running cluster only the processes are within reach, not its network, its "
                "clocks and its data; leave --endpoints out for a cluster that this command starts "
                "itself"
            )
        if self._data_dir is None:
            return (
                "its processes are not known here; give --data-dir with the folder of the cluster "
                "that `kvstore local` runs"
            )
        return None

    async def open(self, kinds: Sequence[FaultKind], folder: Path) -> None:
        """See Target; raises Unavailable when nobody answers."""
        async with AsyncClient(self._endpoints, timeout_s=_OPEN_TIMEOUT_S) as client:
            self._nodes = tuple([str(n.node_id) for n in (await client.cluster_map()).nodes])

    async def close(self) -> None:
        """See Target: nothing of it is this run's own."""

    def end_now(self) -> None:
        """See Target: what is paused goes on. What was killed is left down, and can be seen so."""
        if self._cluster is not None:
            for node in self._nodes:
                with suppress(ConfigurationError):
                    if self._cluster.process_state(node) is ProcessState.PAUSED:
                        self._cluster.resume(node)
