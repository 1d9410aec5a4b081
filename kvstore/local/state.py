"""What is kept of a local cluster in DIR/cluster.json: its shape, and the processes of its nodes.

```
DIR/cluster.json     this file
DIR/cluster.lock     held while the file or the set of processes changes
DIR/n1/node.log      what the node said
DIR/n1/data/         the node's own data directory
```
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from kvstore.errors import ConfigurationError
from kvstore.local.processes import ProcessIdentity

_FORMAT: Final = 1
STATE_FILE: Final = "cluster.json"
LOCK_FILE: Final = "cluster.lock"
LOG_FILE: Final = "node.log"
DATA_FOLDER: Final = "data"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a local cluster is made with, and started again with."""

    partitions: int
    replicas: int
    settings: dict[str, str] = field(default_factory=dict)
    """Further settings of each node by their names, such as {"heartbeat_ms": "200"}."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node runs whose network is another than this process's."""

    host: str
    """Where it listens, and is reached from here."""
    command: tuple[str, ...]
    """What its command line is given to; becomes the node's process by exec."""


@dataclass(slots=True)
class LocalNode:
    """One node; `process` is the last that was started for it, ended or not."""

    node_id: str
    address: str
    process: ProcessIdentity | None = None
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of this node alone, by their names."""
    command: list[str] = field(default_factory=list)
    """As in Place; empty: it is started as it is."""


@dataclass(slots=True)
class ClusterState:
    """The contents of cluster.json."""

    shape: Shape
    nodes: dict[str, LocalNode]


def default_folder() -> Path:
    """Where a cluster is kept whose folder is not named: in the user's state (XDG)."""
    state_home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state_home) if state_home.startswith("/") else Path.home() / ".local" / "state"
    return base / "kvstore" / "local"


def has_cluster(folder: Path) -> bool:
    """Whether a local cluster is kept in `folder`."""
    return (folder / STATE_FILE).is_file()


def read_state(folder: Path) -> ClusterState:
    """The state in `folder`; raises ConfigurationError when there is none that can be read."""
    path = folder / STATE_FILE
    try:
        found = json.loads(path.read_text())
        if found["format"] != _FORMAT:
            raise ConfigurationError(
                f"{path} has format {found['format']}; this version of kvstore reads {_FORMAT}"
            )
        return ClusterState(Shape(**found["shape"]), dict(map(_node, found["nodes"])))
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no local cluster in {folder}: make one with `kvstore local up`"
        ) from None
    except OSError as problem:
        raise ConfigurationError(f"{path}: {problem.strerror}") from problem
    except (KeyError, TypeError, ValueError) as problem:
        raise ConfigurationError(f"{path} is damaged: {problem}") from problem


def write_state(folder: Path, state: ClusterState) -> None:
    """Replaces the state in `folder` in one step."""
    found = {
        "format": _FORMAT,
        "shape": asdict(state.shape),
        "nodes": [asdict(node) for node in state.nodes.values()],
    }
    path = folder / STATE_FILE
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    with scratch.open("w") as file:
        json.dump(found, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other commands from changing the cluster in `folder` meanwhile."""
    with (folder / LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _node(found: dict[str, Any]) -> tuple[str, LocalNode]:
    process = found["process"]
    identity = None if process is None else ProcessIdentity(**process)
    node = LocalNode(
        found["node_id"],
        found["address"],
        identity,
        found.get("settings", {}),
        found.get("command", []),
    )
    return node.node_id, node
