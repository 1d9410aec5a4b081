"""`kvstore simulate`: what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.replica.intake import Intake
from tests.conftest import Command


def test_a_clean_run_says_what_was_checked(command: Command) -> None:
    finished = command("simulate", "--profile", "calm", "--seeds", "2")
    text = finished.out.decode()
    assert finished.code == 0
    assert text.startswith("2 of 2 seeds of profile calm")
    assert "operations checked: " in text
    assert "faults injected: none" in text


def test_seeds_are_run_in_several_processes(command: Command) -> None:
    one, two = (
        json.loads(
            command(
                *("--output", "json", "simulate", "--profile", "pauses"),
                *("--from", "7", "--seeds", "3", "--jobs", jobs),
            ).out
        )
        for jobs in ("1", "2")
    )
    for name in ("seeds", "events", "operations", "faults"):
        assert one[name] == two[name]


def test_a_broken_promise_is_shown_with_the_command_that_shows_it_again(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intake, "propose", lambda _intake: None)
    finished = command("simulate", "--profile", "calm", "--from", "3", "--seeds", "2")
    assert finished.code == 1
    assert "seed 3 breaks: liveness" in finished.err
    assert "kvstore simulate --profile calm --seed 3 --trace events.jsonl" in finished.err
    assert "invoke" in finished.err, "the last events"
    assert b"1 of 2 seeds" in finished.out


def test_a_trace_is_written(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    finished = command("simulate", "--seed", "3", "--trace", str(path))
    assert finished.code == 0
    assert b"trace hash: " in finished.out
    with path.open() as file:
        assert json.loads(next(file)) == {"time_s": 0.0, "event": "start", "fields": ["n1"]}


def test_ctrl_c_ends_all_processes_and_says_what_was_done() -> None:
    line = (sys.executable, "-m", "kvstore", "simulate", "--seeds", "100000", "--jobs", "2")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline_s = time.monotonic() + 60
        while len(_children(process.pid)) < 3 and time.monotonic() < deadline_s:
            assert process.poll() is None
            time.sleep(0.05)
        children = _children(process.pid)
        for pid in (process.pid, *children):
            _interrupt(pid)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    assert b" of 100000 seeds of profile everything in " in out
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline_s, "a process is left behind"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _interrupt(pid: int) -> None:
    """As the terminal does to all of its foreground processes."""
    subprocess.run(("kill", f"-{signal.SIGINT.value}", str(pid)), check=False)
