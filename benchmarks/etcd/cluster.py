"""Three etcd nodes on this machine, with etcd's defaults: each write is synced to disk."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kvstore.local.ports import free_ports

_HOST: Final = "127.0.0.1"
_READY_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 10.0
# etcd keeps every revision until it is told otherwise, and stops taking writes at 2 GiB: what is
# measured here must not run into that.
_QUOTA_BYTES: Final = 8 << 30


class EtcdCluster:
    """Used with `with`; data and logs are in `folder`."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self._folder = folder
        self._nodes = nodes
        self._processes: list[subprocess.Popen[bytes]] = []
        self.addresses: list[str] = []

    @property
    def endpoints(self) -> str:
        """As clients take them."""
        return ",".join(self.addresses)

    @property
    def pids(self) -> list[int]:
        """Of the nodes."""
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        ports = free_ports(_HOST, 2 * self._nodes)
        clients = [f"{_HOST}:{port}" for port in ports[: self._nodes]]
        peers = [f"http://{_HOST}:{port}" for port in ports[self._nodes :]]
        names = [f"n{number}" for number in range(1, self._nodes + 1)]
        members = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, client, peer in zip(names, clients, peers, strict=True):
            line = [
                *("etcd", "--name", name, "--data-dir", str(self._folder / name)),
                *("--listen-client-urls", f"http://{client}"),
                *("--advertise-client-urls", f"http://{client}"),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", members, "--initial-cluster-state", "new"),
                *("--log-level", "error", "--quota-backend-bytes", str(_QUOTA_BYTES)),
            ]
            with (self._folder / f"{name}.log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        line,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        self.addresses = clients
        try:
            self._wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not all(map(_is_healthy, self.addresses)):
            if time.monotonic() > deadline_s or any(p.poll() is not None for p in self._processes):
                raise SystemExit(f"etcd did not become ready; see the logs in {self._folder}")
            time.sleep(0.1)

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/health", timeout=2) as answer:
            return b'"true"' in answer.read()
    except (OSError, urllib.error.URLError):
        return False
