"""A node that cannot start says why in one sentence, exits with 2 and touches nothing."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import pytest

from kvstore import LocalCluster
from kvstore.damage_mark import DAMAGED_NAME
from kvstore.data_directory import ENGINE_FOLDER, LOG_FOLDER
from kvstore.identity import FORMAT, IDENTITY_NAME
from kvstore.local.ports import free_ports

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of one, n1, that runs."""
    folder = tmp_path_factory.mktemp("running") / "cluster"
    with LocalCluster(nodes=1, partitions=1, data_dir=folder) as cluster:
        yield cluster


def free_address() -> str:
    return f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"


def serve(data_dir: Path, *, node: str = "n1", address: str | None = None) -> tuple[int, str]:
    """Exit code and standard error of a node that is meant to be refused."""
    if address is None:
        address = free_address()
    command = [sys.executable, "-m", "kvstore", "serve", "--node-id", node, "--listen", address]
    command += ["--data-dir", str(data_dir), "--initial-nodes", f"n1={address}"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    return finished.returncode, finished.stderr


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below `folder`: files with their bytes, folders with None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def refused(data_dir: Path, said: str, **start: str) -> None:
    before = contents(data_dir.parent)
    code, err = serve(data_dir, **start)
    assert code == 2, err
    assert len(err.splitlines()) == 1, err
    assert said in err
    assert contents(data_dir.parent) == before


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a node n1 that has ended; to be copied, not to be changed."""
    folder = tmp_path_factory.mktemp("ended") / "cluster"
    with LocalCluster(nodes=1, partitions=1, data_dir=folder) as cluster:
        return cluster.data_dir / "n1" / "data"


@pytest.fixture
def stopped_node(ended: Path, tmp_path: Path) -> Path:
    """A data directory of a node n1 that has ended, for this test alone."""
    return shutil.copytree(ended, tmp_path / "n1" / "data")


def test_a_busy_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused(tmp_path / "data", f"cannot listen on {address}", address=address)


def test_a_data_directory_that_another_process_uses(running: LocalCluster, tmp_path: Path) -> None:
    data_dir = running.data_dir / "n1" / "data"
    assert data_dir.is_dir()
    code, err = serve(data_dir)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "in use by process" in err
    assert running.status()[0].serving


def test_a_data_directory_of_another_node(stopped_node: Path) -> None:
    address = free_address()
    before = contents(stopped_node)
    command = [sys.executable, "-m", "kvstore", "serve", "--node-id", "n2", "--listen", address]
    command += ["--data-dir", str(stopped_node), "--initial-nodes", f"n2={address}"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert finished.returncode == 2
    assert "n1" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert contents(stopped_node) == before


def newer(folder: Path) -> None:
    """Makes it look as if a later version had written it (docs/format-data-directory.md)."""
    path = folder / IDENTITY_NAME
    identity = json.loads(path.read_text())
    del identity["crc32c"]
    identity["format"] = FORMAT + 1
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps({**identity, "crc32c": f"{google_crc32c.value(canonical):08x}"}))


def damaged(folder: Path) -> None:
    path = folder / IDENTITY_NAME
    path.write_bytes(path.read_bytes()[:-20])


def test_a_data_directory_of_a_newer_format(stopped_node: Path) -> None:
    newer(stopped_node)
    refused(stopped_node, "newer")


def data_of(folder: Path) -> list[dict[str, bytes | None]]:
    return [contents(folder / LOG_FOLDER), contents(folder / ENGINE_FOLDER)]


def gone(folder: Path) -> None:
    (folder / IDENTITY_NAME).unlink()


@pytest.mark.parametrize(("change", "said"), [(damaged, "is damaged"), (gone, "is gone")])
def test_a_data_directory_that_lost_its_identity_where_nobody_else_has_its_data(
    stopped_node: Path, change: Callable[[Path], None], said: str
) -> None:
    """In a cluster of several it would be rebuilt."""
    change(stopped_node)
    before = data_of(stopped_node)
    code, err = serve(stopped_node)
    assert code == 2, err
    last = err.splitlines()[-1]
    assert f"IDENTITY {said}" in last
    assert "may be the last copy" in last
    assert data_of(stopped_node) == before
    assert (stopped_node / DAMAGED_NAME).exists()


def test_a_folder_that_is_no_data_directory(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"not ours")
    refused(folder, str(folder))


def test_a_file_in_place_of_the_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a file")
    refused(path, str(path))


def test_a_node_that_the_initial_nodes_do_not_name(tmp_path: Path) -> None:
    refused(tmp_path / "data", "node-id n9 is not in initial-nodes (n1)", node="n9")
