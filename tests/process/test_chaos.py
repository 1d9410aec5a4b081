"""kvstore chaos on real nodes: faults are made and undone, and the verdict is good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kvstore.local import LocalCluster
from kvstore.local.processes import ProcessIdentity, ProcessState, state_of
from kvstore.local.state import read_state
from tests.conftest import Command

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

WAIT_S = 90.0


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_cluster_that_is_killed_frozen_and_split_keeps_its_promises(
    command: Command, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    done = command(
        *("--output", "json", "chaos", "--seed", "5", "--duration", "12"),
        *("--faults", "kill,pause,partition", "--report", str(report)),
    )
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["verdict"] == "fine"
    assert figures["trouble"] is None
    assert sum(figures["faults"].values()) >= 2
    assert figures["done"] > 200
    assert figures["recovered_since_end"] == sum(figures["faults"].values())
    run = json.loads((report / "run.json").read_text())
    assert (run["target"], run["nodes"], run["interrupted"]) == ("local", ["n1", "n2", "n3"], False)
    history = (report / "history.jsonl").read_text().splitlines()
    assert len(history) == figures["operations"]
    kinds = {json.loads(line)["key"].split("/")[0] for line in history}
    assert kinds == {"register", "counter", "bank", "set", "append", "scan"}
    found = events(report)
    begun = [each for each in found if each["event"] == "fault-begins"]
    ended = [each["id"] for each in found if each["event"] == "fault-ends"]
    assert [each["id"] for each in begun] == ended
    assert any(each["event"] == "leaders" for each in found)
    assert json.loads((report / "verdict.json").read_text())["verdict"] == "fine"
    assert "</html>" in (report / "report.html").read_text()
    # Nothing is left but what is to be read.
    assert not (report / "cluster").exists()
    assert {path.name for path in (report / "logs").iterdir()} == {"n1.log", "n2.log", "n3.log"}


@contextmanager
def broken(report: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[ProcessIdentity]]]:
    """A long run in a process of its own that has just paused a node; and the nodes' processes."""
    words = ["chaos", "--seed", "1", "--duration", "600", "--faults", "pause", "--rate", "100"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KVSTORE_")}
    run = subprocess.Popen(
        [sys.executable, "-m", "kvstore", *words, "--report", str(report)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # events.jsonl is written to the disk once a second: the fault may be over by then.
        until(lambda: any(each["event"] == "fault-begins" for each in events(report)))
        nodes = read_state(report / "cluster").nodes.values()
        yield run, [node.process for node in nodes if node.process is not None]
    finally:
        run.kill()
        run.wait()
        if (report / "cluster" / "cluster.json").exists():
            LocalCluster.attach(report / "cluster").down()


def test_ctrl_c_heals_what_is_broken_ends_the_nodes_and_still_reports(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with broken(report) as (run, nodes):
        run.send_signal(signal.SIGINT)
        assert run.wait(WAIT_S) == 130
        assert [state_of(node) for node in nodes] == [ProcessState.DOWN] * 3
    assert json.loads((report / "run.json").read_text())["interrupted"] is True
    assert json.loads((report / "verdict.json").read_text())["verdict"] == "fine"
    assert (report / "report.html").exists()
    assert not (report / "cluster").exists()
    found = [each["event"] for each in events(report)]
    assert found.count("fault-begins") == found.count("fault-ends") > 0


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_node_behind(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with broken(report) as (run, nodes):
        run.send_signal(signal.SIGINT)
        # The first one is heard before the second is sent: signals that wait are counted once.
        until(lambda: _is_taken(run, signal.SIGINT))
        run.send_signal(signal.SIGINT)
        assert run.wait(WAIT_S) == 130
        until(lambda: all(state_of(node) is ProcessState.DOWN for node in nodes))
    assert not (report / "report.html").exists()


def _is_taken(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether the process has no such signal waiting."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    waiting = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return not int(waiting.split()[1], 16) & 1 << (number - 1)


def test_a_running_cluster_is_loaded_read_back_and_left_as_it_was(
    command: Command, cluster: LocalCluster, tmp_path: Path
) -> None:
    assert command("--endpoints", cluster.endpoints, "put", "chaos/mine", "kept").code == 0
    done = command(
        *("--output", "json", "chaos", "--endpoints", cluster.endpoints, "--duration", "3"),
        *("--seed", "9", "--report", str(tmp_path / "report")),
    )
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert (figures["verdict"], figures["faults"]) == ("fine", {})
    assert figures["done"] > 20
    left = command("--endpoints", cluster.endpoints, "scan", "--prefix", "chaos/", "--keys-only")
    assert left.out.split() == [b"chaos/mine"]


def test_nodes_of_a_running_cluster_are_harmed_by_leave_and_healed(
    command: Command, cluster: LocalCluster, tmp_path: Path
) -> None:
    done = command(
        *("--output", "json", "chaos", "--endpoints", cluster.endpoints, "--duration", "8"),
        *("--i-own-this-cluster", "--data-dir", str(cluster.data_dir)),
        *("--faults", "kill,leader-pause", "--seed", "2", "--report", str(tmp_path / "report")),
    )
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["verdict"] == "fine"
    assert figures["faults"]
    assert all(node.state is ProcessState.RUNNING for node in cluster.status())
