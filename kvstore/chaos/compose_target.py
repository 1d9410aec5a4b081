"""The containers of a compose file, in a project of this run's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.system_command import output_of
from kvstore.chaos.target_base import BareTarget, count_refusal
from kvstore.chaos.threads import in_thread
from kvstore.config import parse_nodes
from kvstore.errors import ConfigurationError, Unavailable

_TIMEOUT_S: Final = 120.0
_BUILD_TIMEOUT_S: Final = 900.0
_ASK_TIMEOUT_S: Final = 10.0
_MADE: Final = frozenset(
    {
        FaultKind.KILL,
        FaultKind.PAUSE,
        FaultKind.LEADER_KILL,
        FaultKind.LEADER_PAUSE,
        FaultKind.ISOLATE,
        FaultKind.RESTART_ALL,
        FaultKind.ROLLING_RESTART,
    }
)


@dataclass(slots=True)
class _Container:
    """One node's."""

    id: str
    network: str
    ip: str
    address: str


class ComposeTarget(BareTarget):
    """See the module. Nodes are told by KVSTORE_NODE_ID in their containers."""

    name = "compose"
    is_shared = False

    def __init__(self, file: Path, seed: int) -> None:
        """Raises ConfigurationError where there is no Docker, or no such file."""
        if not file.is_file():
            raise ConfigurationError(f"compose is {file}, and there is no such file")
        self._compose = [*_compose_command(), "-f", str(file), "-p", f"kvstore-chaos-{seed}"]
        self._containers: dict[str, _Container] = {}
        self._ended: set[str] = set()

    @property
    def endpoints(self) -> str:
        """See Target."""
        return ",".join(each.address for each in self._containers.values())

    def refusal(self, kind: FaultKind) -> str | None:
        """See Target."""
        if kind not in _MADE:
            made = ", ".join(sorted(each.value for each in _MADE))
            return f"with containers there are {made}; a cluster of processes has all"
        return count_refusal(kind, len(self._containers) or 3)

    async def open(self, kinds: Sequence[FaultKind], folder: Path) -> None:
        """See Target; builds the image where it is missing."""
        await in_thread(_run, [*self._compose, "up", "-d"], _BUILD_TIMEOUT_S)
        ids = (await in_thread(_run, [*self._compose, "ps", "-q"])).split()
        found = json.loads(await in_thread(_run, ["docker", "inspect", *ids])) if ids else []
        self._containers = dict(sorted(filter(None, map(_container, found))))
        self._nodes = tuple(self._containers)
        if not self._containers:
            raise ConfigurationError("the compose file has no container with KVSTORE_NODE_ID")

    async def close(self) -> None:
        """See Target."""
        await in_thread(_run, [*self._compose, "down", "--volumes", "--timeout", "10"])

    def end_now(self) -> None:
        """See Target."""
        _run([*self._compose, "kill"])
        _run([*self._compose, "down", "--volumes", "--timeout", "0"])

    async def kill(self, node: str) -> None:
        """See Target."""
        self._ended.add(node)
        await self._docker("kill", "--signal", "KILL", node=node)

    async def stop(self, node: str) -> None:
        """See Target."""
        self._ended.add(node)
        await self._docker("stop", node=node)

    async def start(self, node: str) -> None:
        """See Target."""
        await self._docker("start", node=node)
        self._ended.discard(node)

    async def start_all(self) -> None:
        """See Target."""
        for node in sorted(self._ended):
            await self.start(node)

    async def pause(self, node: str) -> None:
        """See Target."""
        await self._docker("pause", node=node)

    async def resume(self, node: str) -> None:
        """See Target."""
        await self._docker("unpause", node=node)

    async def cut_off(self, node: str) -> None:
        """See Target."""
        await self._docker("network", "disconnect", self._containers[node].network, node=node)

    async def connect(self, node: str) -> None:
        """See Target: under the address by which the others know it."""
        container = self._containers[node]
        await self._docker("network", "connect", "--ip", container.ip, container.network, node=node)

    async def fallen(self) -> str | None:
        """See Target."""
        for node, container in self._containers.items():
            if node in self._ended:
                continue
            asked = ["docker", "inspect", "--format", "{{.State.Status}}", container.id]
            state = (await in_thread(_run, asked, _ASK_TIMEOUT_S)).strip()
            if state == "exited":
                return f"the container of {node} has ended though no fault ended it"
        return None

    async def _docker(self, *words: str, node: str) -> None:
        await in_thread(_run, ["docker", *words, self._containers[node].id])


def _container(found: dict[str, Any]) -> tuple[str, _Container] | None:
    """A node and its container, from what `docker inspect` says of it."""
    settings = dict(line.partition("=")[::2] for line in found["Config"]["Env"])
    node = settings.get("KVSTORE_NODE_ID")
    if node is None:
        return None
    addresses = parse_nodes(settings.get("KVSTORE_INITIAL_NODES", ""))
    if node not in addresses:
        raise ConfigurationError(f"KVSTORE_INITIAL_NODES of container {node} does not name {node}")
    network, place = next(iter(found["NetworkSettings"]["Networks"].items()))
    return node, _Container(found["Id"], network, place["IPAddress"], addresses[node])


def _compose_command() -> list[str]:
    """How compose is called here; raises ConfigurationError where Docker does not answer."""
    advice = "leave --compose out for a cluster of processes"
    if shutil.which("docker") is None:
        raise ConfigurationError(f"there is no docker command here: install Docker, or {advice}")
    try:
        _run(["docker", "info"], _ASK_TIMEOUT_S)
    except Unavailable as problem:
        sentence = f"no Docker engine answers ({problem}): start it, or {advice}"
        raise ConfigurationError(sentence) from problem
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is not None:
            try:
                _run([*command, "version"], _ASK_TIMEOUT_S)
            except Unavailable:
                continue
            return command
    raise ConfigurationError(f"there is no docker compose here: install it, or {advice}")


def _run(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> str:
    return output_of(command, timeout_s, shown=" ".join(command[:2]))
