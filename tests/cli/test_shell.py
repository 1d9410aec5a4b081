"""The shell: lines from a pipe, and what somebody types at a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kvstore.cli import shell_session
from kvstore.cli.app import command_tree
from kvstore.cli.completion import candidates
from kvstore.cli.shell_session import BUILT_IN, OUTSIDE_ONLY, PROMPT
from kvstore.local import LocalCluster
from tests.client.background import Background, in_background
from tests.conftest import Command, Finished

KVSTORE = (sys.executable, "-m", "kvstore")
NOBODY = "127.0.0.1:1"
Shell = Callable[..., Finished]


@pytest.fixture
def fake() -> Iterator[Background]:
    with in_background() as background:
        yield background


@pytest.fixture
def shell(command: Command, fake: Background, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Gives lines to a shell of the fake cluster by a pipe."""
    monkeypatch.setenv("KVSTORE_ENDPOINTS", ",".join(fake.cluster.endpoints))
    monkeypatch.setenv("KVSTORE_TIMEOUT", "20")

    def run(*lines: str | bytes, options: tuple[str, ...] = ()) -> Finished:
        data = b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return command("shell", *options)

    return run


def test_each_result_is_a_line(shell: Shell) -> None:
    finished = shell(
        "put a 1",
        "get a",
        "put 'b c' \"x y\"",
        "get 'b c'",
        "kvstore get a",
        "",
        "# get a",
        "count",
    )
    assert (finished.code, finished.err) == (0, "")
    lines = finished.out.decode().splitlines()
    assert lines[1] == "1"
    assert lines[3:] == ["x y", "1", "2"]


def test_a_failure_is_one_sentence_and_the_next_command_runs(shell: Shell) -> None:
    finished = shell(
        "get missing",
        "frobnicate",
        "put a",
        "get 'a",
        "put a -",
        "serve --node-id n1",
        "shell",
        "exit now",
        "timing perhaps",
        f"get a --endpoints {NOBODY} --timeout 0.2",
        "put a 1",
        "get a",
    )
    assert finished.code == 0
    assert finished.out.splitlines()[-1] == b"1"
    sentences = finished.err.splitlines()
    expected = (
        "there is no key missing",
        "no such command 'frobnicate'",
        "missing argument 'VALUE' (see kvstore put --help)",
        "the line cannot be read: no closing quotation",
        "- stands for standard input",
        "serve does not run inside of the shell",
        "shell does not run inside of the shell",
        "exit and quit take nothing",
        "timing is on or off, not 'perhaps'",
        "",
    )
    for sentence, words in zip(sentences, expected, strict=True):
        assert sentence.startswith("kvstore: ")
        assert words in sentence


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("get missing", 1),
        ("get", 2),
        (f"get a --endpoints {NOBODY} --timeout 0.2", 3),
        ("get ''", 5),
    ],
)
def test_strict_ends_at_the_first_failure_with_its_code(
    shell: Shell, fake: Background, line: str, code: int
) -> None:
    finished = shell("put before 1", line, "put after 1", options=("--strict",))
    assert finished.code == code
    assert set(fake.cluster.data) == {b"before"}


def test_all_commands_share_one_connection(shell: Shell, fake: Background) -> None:
    lines = [f"put k{number} {number}" for number in range(20)] + ["get k7"] * 20
    assert shell(*lines).out.splitlines()[20:] == [b"7"] * 20
    assert sum(node.map_calls for node in fake.cluster.nodes.values()) == 1


def test_shared_options_hold_for_all_and_may_be_given_to_one(shell: Shell) -> None:
    finished = shell("put a 1", "get a", "get a --output simple", options=("--output", "json"))
    first, second, third = finished.out.splitlines()
    assert json.loads(first)["key"] == json.loads(second)["key"] == "a"
    assert third == b"1"


def test_bytes_of_any_kind_go_in_and_come_out(shell: Shell, fake: Background) -> None:
    finished = shell(b"put k\xff 'gr\xc3\xbc\xc3\x9fe\xfe'", b"get k\xff")
    assert finished.out.splitlines()[1] == b"gr\xc3\xbc\xc3\x9fe\xfe"
    assert fake.cluster.data == {b"k\xff": b"gr\xc3\xbc\xc3\x9fe\xfe"}


def test_help_is_that_of_the_command_line(shell: Shell, command: Command) -> None:
    assert shell("help get").out == command("get", "--help").out
    assert shell("put --help").out == command("put", "--help").out
    listed = {line.split()[0] for line in shell("help").out.decode().splitlines()}
    assert listed == {*command_tree().commands, *BUILT_IN} - {*OUTSIDE_ONLY, "quit"}


def test_timing_says_how_long_each_command_took(shell: Shell) -> None:
    finished = shell("count", "timing off", "count", options=("--timing",))
    assert finished.out == b"0\n0\n"
    assert re.fullmatch(r"kvstore: took \d+\.\d ms\nkvstore: timing is off\n", finished.err)
    assert "took" in shell("timing", "count").err


def test_quit_ends_it(shell: Shell, fake: Background) -> None:
    assert shell("quit", "put a 1").code == 0
    assert fake.cluster.data == {}


def test_a_line_without_end_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_session, "_LINE_BYTES_MAX", 100)
    finished = shell("count", "put a " + "x" * 100, "count")
    assert (finished.code, finished.out) == (2, b"0\n")
    assert finished.err == "kvstore: a line is longer than 100 bytes\n"


def test_who_reads_the_output_may_go_away() -> None:
    lines = b"help\n" * 2000
    reader = f"{sys.executable} -c 'import sys; sys.stdin.buffer.read(1)'"
    line = f"{' '.join(KVSTORE)} shell | {reader}; exit ${{PIPESTATUS[0]}}"
    finished = subprocess.run(
        ("bash", "-c", line), input=lines, capture_output=True, check=False, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("", "de", ["delete", "delete-range"]),
        ("", "se", []),
        ("", "ex", ["exit", "explain", "export"]),
        ("help", "loc", ["local", "locate"]),
        ("help", "ti", []),
        ("local", "st", ["start", "status", "stop"]),
        ("put a b", "--if-", ["--if-absent", "--if-revision", "--if-value"]),
        ("kvstore get", "--max", ["--max-staleness"]),
        ("get a --output", "", ["json", "simple", "table"]),
        ("get a --output", "j", ["json"]),
        ("local kill", "--d", ["--data-dir"]),
        ("get", "", []),
        ("frobnicate", "--tim", ["--timeout"]),
    ],
)
def test_completion_knows_commands_options_and_choices(
    before: str, text: str, expected: list[str]
) -> None:
    assert candidates(command_tree(), BUILT_IN, OUTSIDE_ONLY, before.split(), text) == expected


class Terminal:
    """A shell that somebody sits at."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def interrupt_prompt(self) -> None:
        """Ctrl-C, until there is a new prompt: Python's readline notices one that comes while it
        has not yet begun to wait for a key only with the next."""
        for _ in range(60):
            self.type("\x03")
            with suppress(AssertionError):
                self.shows(PROMPT, within_s=1.0)
                return
        raise AssertionError(f"no prompt after Ctrl-C, but {self._shown!r}")

    def shows(self, text: str, within_s: float = 60.0) -> None:
        """Waits until `text` has come since what was last waited for."""
        deadline_s = time.monotonic() + within_s
        while text not in self._shown:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"{text!r} did not come, but {self._shown!r}"
            if select.select([self._descriptor], [], [], left_s)[0]:
                self._shown += os.read(self._descriptor, 4096).decode()
        self._shown = self._shown.partition(text)[2]


@contextmanager
def terminal(*arguments: str, state: Path) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb"}
    # Who leads a session, and opens a terminal, is sent its Ctrl-C.
    at = ("sh", "-c", 'exec <> "$0" >&0 2>&1; exec "$@"', os.ttyname(theirs))
    line = (*at, *KVSTORE, "shell", *arguments)
    with subprocess.Popen(line, env=environment, start_new_session=True) as process:
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
    os.close(theirs)
    os.close(ours)


@pytest.mark.process
def test_at_a_terminal_tab_completes_ctrl_c_ends_the_command_and_ctrl_d_the_shell(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with terminal("--endpoints", cluster.endpoints, "--timeout", "20", state=tmp_path) as screen:
        screen.shows(PROMPT)
        screen.type("incr\tshell/visits --b\t5\r")
        screen.shows("increment shell/visits --by 5")
        screen.shows("\n5")
        screen.shows(PROMPT)
        screen.type("half a line")
        screen.shows("half a line")
        screen.interrupt_prompt()
        screen.type("bench get --seconds 600 --keys 10 --callers 1\r")
        screen.shows("putting 10 keys first")
        screen.type("\x03")
        screen.shows("interrupted")
        screen.shows(PROMPT)
        screen.type("get shell/visits\r")
        screen.shows("\n5")
        screen.shows(PROMPT)
        screen.type("\x04")
        assert screen.process.wait(60) == 0
    history = tmp_path / "kvstore" / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert history.read_text().splitlines()[-1] == "get shell/visits"
    with terminal("--endpoints", NOBODY, "--no-history", state=tmp_path) as screen:
        screen.shows(PROMPT)
        screen.type("quit\r")
        assert screen.process.wait(60) == 0
    assert "quit" not in history.read_text()


@pytest.mark.process
def test_a_pipe_of_commands_against_real_nodes(cluster: LocalCluster) -> None:
    script = (
        "put shell/a 1 --ttl 1h\nappend shell/a 2\nget shell/a --consistency session\n"
        "touch shell/a --no-ttl\nscan --prefix shell/a\ndelete shell/a --previous\n"
        "get shell/a\nstatus\nexplain shell/a\nlocate shell/a\n"
    )
    line = (*KVSTORE, "--endpoints", cluster.endpoints, "--timeout", "20", "shell")
    finished = subprocess.run(line, input=script.encode(), capture_output=True, check=True)
    assert finished.stderr == b"kvstore: there is no key shell/a\n"
    lines = finished.stdout.splitlines()
    assert lines[1:5] == [b"2", b"12", b"shell/a\t12", b"12"]
    assert lines[5].startswith(b"cluster ")
    assert lines[-1].startswith(b"partition ")
