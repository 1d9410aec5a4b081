"""A cluster of real node processes on this machine, for development, demonstrations and tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kvstore.errors import ConfigurationError, Unavailable
from kvstore.local.catch_up import wait_caught_up
from kvstore.local.health import HealthProbe
from kvstore.local.launch import check_port, check_settings, launch, log_file, read_log
from kvstore.local.plan import Plan
from kvstore.local.processes import (
    ProcessIdentity,
    ProcessState,
    how_it_ended,
    send_signal,
    state_of,
    wait_until_down,
    wait_until_paused,
)
from kvstore.local.state import (
    LOCK_FILE,
    STATE_FILE,
    ClusterState,
    LocalNode,
    Place,
    has_cluster,
    locked,
    read_state,
    write_state,
)

_STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_LOG_LINES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node of a local cluster, as it is now."""

    node_id: str
    address: str
    state: ProcessState
    pid: int | None
    """None when it is down."""
    serving: bool
    """It runs, and as far as it knows every partition has a leader."""


class LocalCluster:
    """Nodes n1, n2, … on this machine, in processes and folders of their own.

    ```
    with LocalCluster(nodes=3) as cluster, Client(cluster.endpoints) as client:
        client.put(b"key", b"value")
        cluster.kill("n2")
    ```

    Without `data_dir` the data lies in a temporary folder and goes with the cluster. With one, the
    data stays, and `up` starts the cluster again with the shape it was made with. After `up` alone,
    the cluster outlives this object and this process, and `attach` finds it. Arguments left at None
    mean the stored shape, or 3 nodes, 16 partitions, 3 replicas (or as many as there are nodes)
    and free ports. `settings` are further settings of the nodes by their names in
    `kvstore.config.NodeSettings`, such as {"value_bytes_max": 4 << 20}; `node_settings` are those
    of single nodes, by the nodes' names; `places` (`kvstore.local.Place`) are of nodes of a new
    cluster that run in another network than this process. `progress` is called with what is being
    waited for.

    Not thread-safe; several objects and processes may work on one cluster.
    """

    def __init__(
        self,
        nodes: int | None = None,
        *,
        partitions: int | None = None,
        replicas: int | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        base_port: int | None = None,
        settings: Mapping[str, object] | None = None,
        node_settings: Mapping[str, Mapping[str, object]] | None = None,
        places: Mapping[str, Place] | None = None,
        ready_timeout_s: float = 60.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._plan = Plan(
            nodes,
            partitions,
            replicas,
            base_port,
            settings or {},
            node_settings or {},
            places or {},
        )
        self._ready_timeout_s = ready_timeout_s
        self._progress = progress
        self._temporary = data_dir is None
        self._folder = None if data_dir is None else Path(data_dir).absolute()

    @classmethod
    def attach(
        cls, data_dir: str | os.PathLike[str], *, progress: Callable[[str], None] | None = None
    ) -> LocalCluster:
        """The cluster that is kept in `data_dir`; raises ConfigurationError if there is none."""
        cluster = cls(data_dir=data_dir, progress=progress)
        cluster._state()
        return cluster

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            if self._temporary:
                self.down(delete_data=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down(delete_data=self._temporary)

    @property
    def data_dir(self) -> Path:
        """The cluster's folder; a temporary one is made by `up`."""
        if self._folder is None:
            raise ConfigurationError("the cluster is not up: it has no folder yet")
        return self._folder

    @property
    def node_ids(self) -> tuple[str, ...]:
        """The nodes' names, in order."""
        return tuple(self._state().nodes)

    @property
    def addresses(self) -> dict[str, str]:
        """The nodes' addresses by their names."""
        return {node.node_id: node.address for node in self._state().nodes.values()}

    @property
    def endpoints(self) -> str:
        """All addresses, as clients take them: "127.0.0.1:7001,127.0.0.1:7002"."""
        return ",".join(self.addresses.values())

    def up(self) -> bool:
        """Starts the nodes that are down and waits until all serve; False if all ran before.

        Raises ConfigurationError where the folder, the ports or the shape do not allow it, and
        Unavailable when a node ends at once or the cluster does not serve in time.
        """
        folder = self._make_folder()
        with locked(folder):
            if has_cluster(folder):
                state = read_state(folder)
                self._plan.check(folder, state)
            else:
                state = self._plan.make()
                check_settings(folder, state)
            down = [n for n in state.nodes.values() if _process_state(n) is ProcessState.DOWN]
            for node in down:
                check_port(node)
            write_state(folder, state)
            try:
                for node in down:
                    launch(folder, state, node)
            except BaseException:
                _end_all(down)
                raise
        try:
            self.wait_ready(self._ready_timeout_s)
        except BaseException:
            _end_all(down)
            raise
        return bool(down)

    def start(self, node_id: str, *, rejoin: bool = False, wait: bool = True) -> None:
        """Starts a node that is down; returns when it serves and has what it had missed.

        That is, the entries that were committed when it began to serve; without `wait`, returns at
        once. `rejoin`: its data are gone, and it takes its place in the cluster anew. Raises as
        `up` does.
        """
        with locked(self.data_dir):
            state, node = self._find(node_id)
            if _process_state(node) is not ProcessState.DOWN:
                raise ConfigurationError(f"{node_id} runs already")
            check_port(node)
            launch(self.data_dir, state, node, rejoin=rejoin)
        if not wait:
            return
        self._wait_serving([node_id], self._ready_timeout_s)
        wait_caught_up(self.endpoints, node_id, self._ready_timeout_s, self._progress)

    def stop(self, node_id: str) -> None:
        """Asks a node to end (SIGTERM) and waits until it has."""
        self._end(node_id, signal.SIGTERM)

    def kill(self, node_id: str) -> None:
        """Ends a node as a crash would (SIGKILL), and waits until it is gone."""
        self._end(node_id, signal.SIGKILL)

    def pause(self, node_id: str) -> None:
        """Freezes a node (SIGSTOP): it keeps its connections and answers nothing."""
        process = self._running(node_id)
        send_signal(process, signal.SIGSTOP)
        if not wait_until_paused(process, _STOP_TIMEOUT_S):
            raise Unavailable(f"{node_id} did not pause within {_STOP_TIMEOUT_S:.0f} s")

    def resume(self, node_id: str) -> None:
        """Lets a paused node go on (SIGCONT)."""
        send_signal(self._running(node_id), signal.SIGCONT)

    def status(self) -> list[NodeReport]:
        """Every node as it is now, in order."""
        with HealthProbe() as probe:
            return [_report(node, probe) for node in self._state().nodes.values()]

    def process_state(self, node_id: str) -> ProcessState:
        """What became of a node's process; says nothing of whether it serves."""
        return _process_state(self._find(node_id)[1])

    def logs(self, node_id: str, lines: int | None = None) -> str:
        """What a node wrote, or the last `lines` of it."""
        self._find(node_id)
        return read_log(self.data_dir, node_id, lines)

    def log_file(self, node_id: str) -> Path:
        """Where a node's log is."""
        self._find(node_id)
        return log_file(self.data_dir, node_id)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until every node serves; raises Unavailable when one is down or time runs out."""
        self._wait_serving(self.node_ids, timeout_s)

    def down(self, *, delete_data: bool = False) -> None:
        """Ends all nodes; with `delete_data` removes what the cluster kept, and nothing else."""
        folder = self._folder
        if folder is None:
            return
        if not has_cluster(folder):
            if self._temporary:
                shutil.rmtree(folder, ignore_errors=True)
            return
        with locked(folder):
            state = read_state(folder)
            _end_all(
                [n for n in state.nodes.values() if _process_state(n) is not ProcessState.DOWN]
            )
            for node in state.nodes.values():
                node.process = None
            write_state(folder, state)
            if delete_data:
                _delete(folder, state)
        if self._temporary and delete_data:
            self._folder = None

    def kill_all(self) -> None:
        """Sends SIGKILL to all nodes and waits for nobody: for a program that ends at once."""
        if self._folder is not None and has_cluster(self._folder):
            for node in read_state(self._folder).nodes.values():
                if node.process is not None:
                    send_signal(node.process, signal.SIGKILL)

    def _state(self) -> ClusterState:
        return read_state(self.data_dir)

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kvstore-"))
            return self._folder
        self._folder.mkdir(parents=True, exist_ok=True)
        foreign = {path.name for path in self._folder.iterdir()} - {LOCK_FILE}
        if foreign and not has_cluster(self._folder):
            raise ConfigurationError(
                f"{self._folder} is not empty and holds no local cluster: name another --data-dir"
            )
        return self._folder

    def _find(self, node_id: str) -> tuple[ClusterState, LocalNode]:
        state = self._state()
        node = state.nodes.get(node_id)
        if node is None:
            raise ConfigurationError(
                f"there is no node {node_id} in this cluster; it has {', '.join(state.nodes)}"
            )
        return state, node

    def _running(self, node_id: str) -> ProcessIdentity:
        _state, node = self._find(node_id)
        if node.process is None or state_of(node.process) is ProcessState.DOWN:
            raise ConfigurationError(f"{node_id} is down")
        return node.process

    def _end(self, node_id: str, how: signal.Signals) -> None:
        with locked(self.data_dir):
            process = self._running(node_id)
            send_signal(process, how)
            # A paused process notices a SIGTERM only once it goes on.
            send_signal(process, signal.SIGCONT)
            if not wait_until_down(process, _STOP_TIMEOUT_S):
                raise Unavailable(f"{node_id} did not end within {_STOP_TIMEOUT_S:.0f} s")

    def _wait_serving(self, node_ids: Sequence[str], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        nodes = [self._find(node_id)[1] for node_id in node_ids]
        with HealthProbe() as probe:
            while waiting := [node for node in nodes if not probe.serves(node.address)]:
                for node in nodes:
                    self._check_going(node)
                names = ", ".join(node.node_id for node in waiting)
                if time.monotonic() > deadline_s:
                    raise Unavailable(
                        f"{names} did not serve within {timeout_s:.0f} s; see the logs in "
                        f"{self.data_dir}"
                    )
                if self._progress is not None:
                    self._progress(f"waiting until {names} serve{'' if ',' in names else 's'}")
                time.sleep(_POLL_S)

    def _check_going(self, node: LocalNode) -> None:
        match _process_state(node):
            case ProcessState.DOWN:
                last = read_log(self.data_dir, node.node_id, _LOG_LINES_SHOWN).rstrip()
                how = "it never ran" if node.process is None else how_it_ended(node.process)
                raise Unavailable(
                    f"{node.node_id} is down ({how}); its log ends with:\n{last or '(empty)'}"
                )
            case ProcessState.PAUSED:
                raise Unavailable(f"{node.node_id} is paused: resume it first")


def _process_state(node: LocalNode) -> ProcessState:
    return ProcessState.DOWN if node.process is None else state_of(node.process)


def _report(node: LocalNode, probe: HealthProbe) -> NodeReport:
    state = _process_state(node)
    pid = node.process.pid if node.process and state is not ProcessState.DOWN else None
    serving = state is ProcessState.RUNNING and probe.serves(node.address)
    return NodeReport(node.node_id, node.address, state, pid, serving)


def _end_all(nodes: Sequence[LocalNode]) -> None:
    """SIGTERM for all at once; who has not ended by the deadline is killed."""
    processes = [node.process for node in nodes if node.process is not None]
    for process in processes:
        send_signal(process, signal.SIGTERM)
        send_signal(process, signal.SIGCONT)
    deadline_s = time.monotonic() + _STOP_TIMEOUT_S
    for process in processes:
        if not wait_until_down(process, deadline_s - time.monotonic()):
            send_signal(process, signal.SIGKILL)
            wait_until_down(process, _STOP_TIMEOUT_S)


def _delete(folder: Path, state: ClusterState) -> None:
    for node_id in state.nodes:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / node_id)
    (folder / STATE_FILE).unlink()
    (folder / LOCK_FILE).unlink()
    with suppress(OSError):  # not empty: somebody keeps more in there
        folder.rmdir()
