"""How a local node is started: its command line, its environment and its log."""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path
from typing import Final

from kvstore.errors import ConfigurationError
from kvstore.local.plan import HOST
from kvstore.local.ports import is_free
from kvstore.local.processes import spawn
from kvstore.local.state import DATA_FOLDER, LOG_FILE, ClusterState, LocalNode, write_state

_LOG_BYTES_MAX: Final = 16 << 20
# Who a node is comes from its flags alone; the rest of the environment may set what it likes.
_NOT_INHERITED: Final = frozenset(
    {
        "KVSTORE_CONFIG",
        "KVSTORE_NODE_ID",
        "KVSTORE_LISTEN",
        "KVSTORE_DATA_DIR",
        "KVSTORE_INITIAL_NODES",
        "KVSTORE_PEER_VIA",
        "KVSTORE_REJOIN",
        "KVSTORE_CLOCK_FILE",
    }
)


def check_port(node: LocalNode) -> None:
    """Raises ConfigurationError when somebody listens where `node` would."""
    if node.command:
        return  # Its ports are not those of this process's network.
    port = int(node.address.rpartition(":")[2])
    if not is_free(HOST, port):
        raise ConfigurationError(
            f"port {port}, where {node.node_id} would listen, is in use: end what listens there, "
            "or choose another --base-port"
        )


def launch(folder: Path, state: ClusterState, node: LocalNode, *, rejoin: bool = False) -> None:
    """Starts the process of `node` and notes it in the state; raises OSError.

    The caller holds the cluster's lock and has seen that the node is down.
    """
    log = log_file(folder, node.node_id)
    log.parent.mkdir(exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
    for name, value in {**state.shape.settings, **node.settings}.items():
        environment[f"KVSTORE_{name.upper()}"] = value
    command = _command(folder, state, node) + (["--rejoin"] if rejoin else [])
    node.process = spawn(command, environment, log)
    # At once, not after the last node: whatever happens next, this one will be found again.
    write_state(folder, state)


def log_file(folder: Path, node_id: str) -> Path:
    """Where the node's output goes."""
    return folder / node_id / LOG_FILE


def read_log(folder: Path, node_id: str, lines: int | None = None) -> str:
    """The node's output, or the last `lines` of it; empty when it never ran."""
    try:
        with log_file(folder, node_id).open(errors="replace") as file:
            return "".join(file if lines is None else deque(file, maxlen=lines))
    except FileNotFoundError:
        return ""


def check_settings(folder: Path, state: ClusterState) -> None:
    """Raises ConfigurationError, as each node would, when the cluster's settings are not valid."""
    from kvstore.config import load_settings  # noqa: PLC0415 - loads much, for a new cluster only

    for node in state.nodes.values():
        load_settings({**_identity(folder, state, node), **state.shape.settings, **node.settings})


def _identity(folder: Path, state: ClusterState, node: LocalNode) -> dict[str, str]:
    """The settings by which the node is this node of this cluster."""
    return {
        "node_id": node.node_id,
        "listen": node.address,
        "data_dir": str(folder / node.node_id / DATA_FOLDER),
        "initial_nodes": ",".join(f"{n.node_id}={n.address}" for n in state.nodes.values()),
        "partitions": str(state.shape.partitions),
        "replicas": str(state.shape.replicas),
    }


def _command(folder: Path, state: ClusterState, node: LocalNode) -> list[str]:
    identity = _identity(folder, state, node)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in identity.items()]
    # -P: the folder that the user happens to stand in is no place to import from.
    return [*node.command, sys.executable, "-P", "-m", "kvstore", "serve", *flags]
