"""Processes are told from each other, whatever their pids."""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kvstore.errors import ConfigurationError
from kvstore.local.ports import consecutive_ports, free_ports, is_free
from kvstore.local.processes import (
    ProcessIdentity,
    ProcessState,
    send_signal,
    spawn,
    state_of,
    wait_until_down,
    wait_until_paused,
)
from kvstore.local.state import default_folder

pytestmark = pytest.mark.process

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")


@pytest.fixture
def sleeper(tmp_path: Path) -> ProcessIdentity:
    return spawn(SLEEPER, {"PATH": os.defpath}, tmp_path / "log")


def test_a_process_can_be_paused_resumed_and_killed(sleeper: ProcessIdentity) -> None:
    assert state_of(sleeper) is ProcessState.RUNNING
    assert send_signal(sleeper, signal.SIGSTOP)
    assert wait_until_paused(sleeper, timeout_s=10)
    assert send_signal(sleeper, signal.SIGCONT)
    assert state_of(sleeper) is not ProcessState.DOWN
    assert send_signal(sleeper, signal.SIGKILL)
    assert wait_until_down(sleeper, timeout_s=10)
    assert state_of(sleeper) is ProcessState.DOWN


def test_a_process_is_in_a_session_of_its_own(sleeper: ProcessIdentity) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
    send_signal(sleeper, signal.SIGKILL)
    assert wait_until_down(sleeper, timeout_s=10)


def test_waiting_for_a_process_that_stays_ends_in_time(sleeper: ProcessIdentity) -> None:
    assert not wait_until_down(sleeper, timeout_s=0.05)
    send_signal(sleeper, signal.SIGKILL)
    assert wait_until_down(sleeper, timeout_s=10)


def test_another_process_with_the_same_pid_is_never_signalled(sleeper: ProcessIdentity) -> None:
    earlier = replace(sleeper, started=sleeper.started + "0")
    assert state_of(earlier) is ProcessState.DOWN
    assert not send_signal(earlier, signal.SIGKILL)
    assert state_of(sleeper) is ProcessState.RUNNING
    assert send_signal(sleeper, signal.SIGKILL)
    assert wait_until_down(sleeper, timeout_s=10)


def test_a_process_that_has_ended_cannot_be_signalled(tmp_path: Path) -> None:
    process = spawn((sys.executable, "-c", "print('gone')"), {}, tmp_path / "log")
    assert wait_until_down(process, timeout_s=10)
    assert not send_signal(process, signal.SIGKILL)
    assert (tmp_path / "log").read_text() == "gone\n"


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        process = spawn((sys.executable, "-c", f"print('{word}')"), {}, tmp_path / "log")
        assert wait_until_down(process, timeout_s=10)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_free_ports_are_free_different_and_no_ports_of_outgoing_connections() -> None:
    ports = free_ports("127.0.0.1", 20)
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(ports)) == 20
    assert all(is_free("127.0.0.1", port) for port in ports)
    assert not any(low <= port <= high for port in ports) or low <= 10_000


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free("127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize("base_port", [0, -1, 65_534, 70_000])
def test_ports_end_at_65535(base_port: int) -> None:
    with pytest.raises(ConfigurationError, match="for 3 nodes the limit is 1 to 65533"):
        consecutive_ports(base_port, 3)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("/state", "/state/kvstore/local"),
        ("", "/home/ada/.local/state/kvstore/local"),
        ("relative", "/home/ada/.local/state/kvstore/local"),
    ],
)
def test_a_cluster_without_a_folder_is_kept_in_the_users_state(
    monkeypatch: pytest.MonkeyPatch, variable: str, folder: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_STATE_HOME", variable)
    assert default_folder() == Path(folder)
