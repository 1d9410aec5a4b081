"""What tests of several folders share: one cluster of real nodes, and the command line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kvstore.cli.main import main
from kvstore.local import LocalCluster, ports


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has run."""

    code: int
    out: bytes
    err: str


class Command:
    """Runs the command line in this process: what `kvstore …` prints, and its exit code."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str) -> Finished:
        self._capture.readouterr()
        code = main(arguments)
        out, err = self._capture.readouterr()
        return Finished(code, out, err.decode())


@pytest.fixture
def command(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, untouched by the variables of whoever runs the tests."""
    for name in ("ENDPOINTS", "TIMEOUT", "OUTPUT"):
        monkeypatch.delenv(f"KVSTORE_{name}", raising=False)
    return Command(capsysbinary)


@pytest.fixture(scope="session", autouse=True)
def ports_of_this_worker() -> Iterator[None]:
    """Workers draw ports from shares of their own: else one could find a port free that the other
    has just given to a node that does not listen yet."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = ports._outside_ephemeral()[number::workers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "_outside_ephemeral", lambda: share)
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three real nodes that tests share. Keys begin with the test's own prefix; nodes that a test
    ends it starts again."""
    with LocalCluster(data_dir=tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def at_cluster(command: Command, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, pointed to the shared cluster."""
    monkeypatch.setenv("KVSTORE_ENDPOINTS", cluster.endpoints)
    monkeypatch.setenv("KVSTORE_TIMEOUT", "20")
    return command


def status_when(command: Command, holds: Callable[[Any], bool]) -> Any:
    """What `kvstore status` says as soon as it does what is asked of it.

    No single answer is to be relied on: nodes are asked one beside the other, so that a partition
    whose leadership moves just then (a node that comes back takes over what the map gives it) seems
    to have no leader, and under load a node may not answer in time.
    """
    deadline_s = time.monotonic() + 30
    while True:
        finished = command("--output", "json", "status")
        assert finished.code == 0, finished.err
        status = json.loads(finished.out)
        if holds(status):
            return status
        assert time.monotonic() < deadline_s, status


def is_healthy(status: Any) -> bool:
    """All nodes answered, and all partitions have a leader."""
    return bool(status["healthy"])


def one_sentence(finished: Finished) -> str:
    """What an error said: exactly one line, without a traceback, and nothing as a result."""
    lines = finished.err.splitlines()
    assert len(lines) == 1, finished.err
    assert lines[0].startswith("kvstore: ")
    assert finished.out == b""
    return lines[0].removeprefix("kvstore: ")


__all__ = ["Command", "Finished", "is_healthy", "one_sentence", "status_when"]
