"""Local clusters: made, found again, refused where they cannot be, and gone without a trace."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvstore.client import Client
from kvstore.errors import ConfigurationError, Unavailable
from kvstore.local import LocalCluster, ProcessState
from kvstore.local.ports import free_ports
from kvstore.local.processes import state_of
from kvstore.local.state import read_state, write_state
from tests.conftest import Command, is_healthy, one_sentence, status_when

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a cluster of which nothing is left running."""
    path = tmp_path / "cluster"
    yield path
    if (path / "cluster.json").exists():
        LocalCluster.attach(path).down()


def test_a_cluster_of_one_lives_through_up_kill_start_down_and_up_again(
    command: Command, folder: Path
) -> None:
    at = ("--data-dir", str(folder))
    up = command("local", "up", "--nodes", "1", "--partitions", "2", "--base-port", "0", *at)
    assert up.code == 0
    endpoints = up.out.decode().strip()
    assert re.fullmatch(r"127\.0\.0\.1:\d+", endpoints)
    assert f"export KVSTORE_ENDPOINTS={endpoints}" in up.err

    there = ("--endpoints", endpoints, "--timeout", "20")
    assert command(*there, "put", "key", "value").code == 0

    again = command("local", "up", *at)
    assert (again.code, again.out) == (0, up.out)
    assert "n1 run already" in again.err

    assert command("local", "kill", "n1", *at).code == 0
    status = json.loads(command("--output", "json", "local", "status", *at).out)
    assert status == {
        "node": "n1",
        "state": "down",
        "serving": False,
        "address": endpoints,
        "pid": None,
    }
    assert "n1 is down" in one_sentence(command("local", "kill", "n1", *at))

    assert command("local", "start", "n1", *at).code == 0
    assert command(*there, "get", "key").out == b"value"
    assert "n1 runs already" in one_sentence(command("local", "start", "n1", *at))
    assert b"serving" in command("local", "logs", "n1", *at).out

    assert command("local", "down", *at).code == 0
    assert LocalCluster.attach(folder).status()[0].state is ProcessState.DOWN
    assert command("local", "up", *at).out == up.out
    assert command(*there, "get", "key").out == b"value"
    assert command("local", "down", "--delete-data", *at).code == 0
    assert not folder.exists()


@pytest.mark.parametrize("name", ["kill", "stop", "pause", "resume", "start", "logs"])
def test_an_unknown_node_is_refused_by_naming_the_known_ones(
    command: Command, cluster: LocalCluster, name: str
) -> None:
    finished = command("local", name, "n9", "--data-dir", str(cluster.data_dir))
    assert one_sentence(finished) == "there is no node n9 in this cluster; it has n1, n2, n3"
    assert finished.code == 2


@pytest.mark.parametrize("name", ["status", "down", "kill", "logs"])
def test_where_no_cluster_is_kept_is_said(command: Command, folder: Path, name: str) -> None:
    node = ("n1",) if name in ("kill", "logs") else ()
    finished = command("local", name, *node, "--data-dir", str(folder))
    assert f"there is no local cluster in {folder}" in one_sentence(finished)
    assert finished.code == 2


def test_a_folder_with_other_things_in_it_is_refused(command: Command, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").touch()
    finished = command("local", "up", "--data-dir", str(folder))
    assert "is not empty and holds no local cluster" in one_sentence(finished)
    assert finished.code == 2
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_busy_port_is_named_and_nothing_is_started(command: Command, folder: Path) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    with socket.create_server(("127.0.0.1", port)):
        finished = command("local", "up", "--data-dir", str(folder), "--base-port", str(port))
    assert f"port {port}, where n1 would listen, is in use" in one_sentence(finished)
    assert finished.code == 2
    assert not (folder / "cluster.json").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--nodes", "17"), "nodes is 17; the limit is 1 to 16"),
        (("--nodes", "0"), "nodes is 0; the limit is 1 to 16"),
        (("--partitions", "0"), "partitions is 0; it must be at least 1"),
        (("--base-port", "65535"), "base-port is 65535; for 3 nodes the limit is"),
    ],
)
def test_an_impossible_shape_is_refused_and_leaves_nothing(
    command: Command, folder: Path, options: tuple[str, ...], sentence: str
) -> None:
    finished = command("local", "up", "--data-dir", str(folder), *options)
    assert sentence in one_sentence(finished)
    assert finished.code == 2
    assert not (folder / "cluster.json").exists()


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--nodes", "5"), "nodes 3, not 5"),
        (("--partitions", "8"), "partitions 16, not 8"),
        (("--replicas", "1"), "replicas 3, not 1"),
        (("--base-port", "7001"), "base-port"),
    ],
)
def test_a_cluster_keeps_its_shape(
    command: Command, cluster: LocalCluster, options: tuple[str, ...], kept: str
) -> None:
    finished = command("local", "up", "--data-dir", str(cluster.data_dir), *options)
    assert kept in one_sentence(finished)
    assert finished.code == 2
    assert all(report.serving for report in cluster.status())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is damaged"), ('{"format": 2}', "has format 2"), ("[]", "is damaged")],
)
def test_a_state_that_cannot_be_read_is_named(
    command: Command, folder: Path, text: str, sentence: str
) -> None:
    folder.mkdir()
    (folder / "cluster.json").write_text(text)
    finished = command("local", "status", "--data-dir", str(folder))
    assert sentence in one_sentence(finished)
    (folder / "cluster.json").unlink()


def test_a_node_that_dies_at_start_shows_the_end_of_its_log(folder: Path) -> None:
    folder.mkdir()
    cluster = LocalCluster(1, data_dir=folder)
    # The node's data directory cannot be made: something of this name is there.
    (folder / "cluster.lock").touch()
    state = cluster._plan.make()
    (folder / "n1").mkdir()
    write_state(folder, state)
    (folder / "n1" / "data").write_text("not a folder")
    with pytest.raises(
        Unavailable, match=r"n1 is down \(exit code \d+\); its log ends with:\n.*data"
    ):
        cluster.up()


def test_a_temporary_cluster_leaves_nothing_and_its_nodes_take_settings() -> None:
    with LocalCluster(1, partitions=1, settings={"log_json": True}) as cluster:
        folder = cluster.data_dir
        process = read_state(folder).nodes["n1"].process
        assert process is not None
        assert cluster.status()[0].serving
        for line in cluster.logs("n1").splitlines():
            assert "event" in json.loads(line)
    assert not folder.exists()
    assert state_of(process) is ProcessState.DOWN


def test_wrong_settings_are_refused_before_anything_is_started(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="heartbeat-ms is 1; it must be at least 5"):
        LocalCluster(1, data_dir=folder, settings={"heartbeat_ms": 1}).up()
    assert not (folder / "cluster.json").exists()


def test_a_paused_node_is_seen_and_goes_on(cluster: LocalCluster) -> None:
    cluster.pause("n3")
    try:
        report = cluster.status()[2]
        assert (report.state, report.serving) == (ProcessState.PAUSED, False)
        with pytest.raises(Unavailable, match="n3 is paused: resume it first"):
            cluster.wait_ready(timeout_s=20)
    finally:
        cluster.resume("n3")
    cluster.wait_ready(timeout_s=60)
    assert cluster.status()[2].state is ProcessState.RUNNING


def test_a_stopped_node_ends_by_itself_and_catches_up_when_it_is_started(
    cluster: LocalCluster, at_cluster: Command
) -> None:
    cluster.stop("n2")
    assert at_cluster("put", "process/while-away", "value").code == 0
    cluster.start("n2")

    def has_all(status: Any) -> bool:
        groups = status["partitions"]
        return is_healthy(status) and all(group["lag"].get("n2", 0) == 0 for group in groups)

    status_when(at_cluster, has_all)


def test_an_idle_node_fits_in_its_memory(cluster: LocalCluster) -> None:
    for report in cluster.status():
        status = Path(f"/proc/{report.pid}/status").read_text()
        (resident,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        assert int(resident) < 120 * 1024


def test_a_partition_has_as_many_replicas_as_there_are_nodes(folder: Path) -> None:
    with (
        LocalCluster(nodes=2, replicas=3, partitions=2, data_dir=folder) as cluster,
        Client(cluster.endpoints, timeout_s=20.0) as client,
    ):
        client.put("key", "value")
        assert sorted(client.locate("key").replicas) == ["n1", "n2"]
