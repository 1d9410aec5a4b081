"""The command line without a cluster: usage, help, and how errors look."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.cli.exits import ExitCode, exit_code_of
from kvstore.cli.loading import uncollected
from kvstore.errors import (
    BatchFailed,
    ClientClosed,
    ConditionFailed,
    ConfigurationError,
    CorruptionError,
    CounterOverflow,
    DeadlineExceeded,
    Fenced,
    InvalidArgument,
    KVStoreError,
    NotANumber,
    OutcomeUnknown,
    ResourceExhausted,
    ScanExpired,
    SessionExpired,
    Unavailable,
)
from tests.conftest import Command, one_sentence

KVSTORE = (sys.executable, "-m", "kvstore")
NOBODY = "127.0.0.1:1"
COMMANDS = [
    *("put", "get", "delete", "scan", "import", "export", "status", "locate", "health", "inspect"),
    *("simulate", "backup", "restore", "scrub", "increment", "append", "touch", "explain", "shell"),
    *("simulate", "backup", "restore", "scrub", "count", "delete-range", "txn", "verify"),
    *(f"local {name}" for name in ("up", "status", "kill", "stop", "pause", "resume")),
    *("local start", "local logs", "local down", "serve"),
    *(f"bench {name}" for name in ("put", "get", "mixed", "batch", "connections")),
    *(f"bench ycsb-{letter}" for letter in "abcdef"),
    *("leaders gather", "leaders spread"),
]


def test_ctrl_c_while_an_import_makes_a_dataclass_ends_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from kvstore.cli.guard import guarded\n"
        "sys.exit(guarded(lambda: exec('raise KeyboardInterrupt')))\n"
    )
    finished = subprocess.run(
        (sys.executable, "-m", "interrupted"),
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
    )
    assert finished.returncode == ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("frobnicate",), "no such command 'frobnicate'"),
        (("get",), "missing argument 'KEY…'"),
        (("delete", "a", "b"), "got unexpected extra argument"),
        (("put", "a", "b", "--ttl", "soon"), "ttl is 'soon'; it must be a time above 0"),
        (("put", "a", "b", "--ttl", "-1"), "ttl is '-1'"),
        (("put", "a", "b", "--ttl", "0s"), "ttl is '0s'"),
        (("put", "a", "b", "--ttl", "nan"), "ttl is 'nan'"),
        (("put", "a", "b", "--ttl", "36601d"), "ttl is '36601d'"),
        (("put", "a", "b", "--if-revision", "-1"), "invalid value for '--if-revision'"),
        (("put", "a", "b", "--if-revision", "x"), "invalid value for '--if-revision'"),
        (("put", "a", "b", "--if-absent", "--if-value", "x"), "--if-absent goes with neither"),
        (("put", "a", "b", "--if-absent", "--if-revision", "1"), "--if-absent goes with neither"),
        (("increment", "a", "--by", "1.5"), "invalid value for '--by'"),
        (("increment", "a", "--initial", "x"), "invalid value for '--initial'"),
        (("increment", "a", "--ttl", "1w"), "ttl is '1w'"),
        (("append", "a"), "missing argument 'SUFFIX'"),
        (("touch", "a"), "a touch needs one of --ttl TIME and --no-ttl"),
        (("touch", "a", "--ttl", "5", "--no-ttl"), "a touch needs one of"),
        (("get", "a", "--colour"), "no such option: --colour"),
        (("scan", "--limit", "-1"), "invalid value for '--limit'"),
        (("delete-range",), "needs --prefix, --start or --end"),
        (("delete-range", "--start", "a"), "needs --yes where nobody is asked"),
        (("delete-range", "--prefix", ""), "needs --yes where nobody is asked"),
        (("--output", "yaml", "get", "a"), "invalid value for '--output'"),
        (("--timeout", "0", "get", "a"), "timeout is 0; it must be above 0"),
        (("--endpoints", "nowhere", "get", "a"), "endpoint 'nowhere' is not host:port"),
        (("import", "absent.jsonl"), "absent.jsonl: No such file or directory"),
        (("import", "rows.csv"), "rows.csv ends in none of .jsonl"),
        (("export", "rows.csv"), "rows.csv ends in none of .jsonl"),
        (("export", "absent/rows.jsonl"), "No such file or directory"),
        (("bench", "put", "--seconds", "0"), "seconds is 0; it must be above 0"),
        (("bench", "get", "--warm-up", "-1"), "warm-up is -1; it must be at least 0"),
        (("bench", "ycsb-a", "--rate", "0"), "rate is 0; it must be above 0"),
        (("bench", "put", "--plot", "a.png"), "plot is a.png; it must end in .svg"),
        (("bench", "mixed", "--reads", "1.5"), "reads is 1.5; it must be at least 0 and at most 1"),
        (("bench", "batch", "--batch", "9", "--keys", "8"), "at most the number of keys, 8"),
        (("bench", "connections", "--callers", "2"), "no such option: --callers"),
        (("simulate", "--profile", "worse"), "profile is 'worse'; it must be one of calm"),
        (("simulate", "--trace", "events.jsonl"), "--trace is for one seed"),
        (("local",), "missing command"),
        (("local", "kill"), "missing argument 'NODE'"),
        (("serve", "--node-id", "n1"), "listen is missing"),
        (("--timeout", "9", "serve", "--frobnicate"), "unrecognized arguments: --frobnicate"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    command: Command, arguments: tuple[str, ...], sentence: str
) -> None:
    finished = command(*arguments)
    assert sentence in one_sentence(finished)
    assert finished.code == 2


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (InvalidArgument("value has 2 MiB"), 5),
        (ResourceExhausted("queue"), 5),
        (Unavailable("no majority"), 3),
        (DeadlineExceeded("time"), 3),
        (ClientClosed("closed"), 3),
        (ScanExpired("gone"), 3),
        (CorruptionError("damaged"), 2),
        (OutcomeUnknown("sent"), 4),
        (SessionExpired("forgotten"), 4),
        (ConditionFailed("revision 5", 5), 6),
        (Fenced("token 5", 5), 6),
        (NotANumber("text"), 5),
        (CounterOverflow("5", 5), 5),
        (BatchFailed("some", {}, {b"k": Unavailable("no majority")}), 3),
        (BatchFailed("some", {}, {b"k": OutcomeUnknown("sent")}), 4),
        (ConfigurationError("port"), 2),
        (KVStoreError("other"), 3),
    ],
)
def test_every_error_has_its_exit_code(problem: KVStoreError, code: int) -> None:
    assert exit_code_of(problem) == code


def test_exit_codes_stay_what_scripts_know() -> None:
    assert [(code.name, code.value) for code in ExitCode] == [
        ("DONE", 0),
        ("NO", 1),
        ("USAGE", 2),
        ("UNAVAILABLE", 3),
        ("UNKNOWN", 4),
        ("REFUSED", 5),
        ("CONDITION", 6),
        ("UNDECIDED", 7),
        ("BUG", 70),
        ("INTERRUPTED", 130),
        ("BROKEN_PIPE", 141),
    ]


@pytest.mark.parametrize(
    "verb",
    [
        *(("get", "a"), ("put", "a", "b"), ("status",), ("scan",), ("count",)),
        *(("leaders", "spread"), ("bench", "put"), ("bench", "connections")),
    ],
)
def test_nobody_there_is_exit_code_3(command: Command, verb: tuple[str, ...]) -> None:
    finished = command("--endpoints", NOBODY, "--timeout", "0.2", *verb)
    one_sentence(finished)
    assert finished.code == 3


def test_health_of_nobody_is_exit_code_3(command: Command) -> None:
    finished = command("health", NOBODY, "--timeout", "0.2")
    assert one_sentence(finished) == f"{NOBODY} does not serve"
    assert finished.code == 3


def test_options_after_the_command_win_over_those_before_it_and_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVSTORE_ENDPOINTS", "wrong-1")
    assert "'wrong-1'" in command("get", "a").err
    assert "'wrong-2'" in command("--endpoints", "wrong-2", "get", "a").err
    after = command("--endpoints", "wrong-2", "get", "--endpoints", "wrong-3", "a")
    assert "'wrong-3'" in after.err


def test_a_wrong_variable_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVSTORE_OUTPUT", "yaml")
    assert "KVSTORE_OUTPUT" in one_sentence(command("get", "a"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_those_with_arguments_have_examples(
    command: Command, name: str
) -> None:
    finished = command(*name.split(), "--help")
    text = finished.out.decode()
    assert finished.code == 0
    assert re.search(rf"usage: kvstore {name}", text, re.IGNORECASE)
    if name not in NO_EXAMPLES:
        assert f"examples:\n{' ' * 4}kvstore {name}" in text or "  kvstore serve" in text


NO_EXAMPLES = {
    *("local status", "local stop", "local pause", "local resume", "local start", "local logs"),
    "local down",
}


def test_every_option_of_every_command_stands_in_its_document(command: Command) -> None:
    document = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for name in COMMANDS:
        assert f"kvstore {name}" in document
        text = command(*name.split(), "--help").out.decode()
        for option in set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}:
            assert option in document, f"{option} of kvstore {name}"


def test_the_version_is_printed(command: Command) -> None:
    assert re.fullmatch(rb"kvstore \d+\.\d+\.\d+\n", command("--version").out)


def test_the_end_of_a_pipe_is_no_error() -> None:
    reader = "import sys; sys.stdin.buffer.read(1)"
    line = f"{sys.executable} -m kvstore --help | {sys.executable} -c '{reader}'; exit 0"
    finished = subprocess.run(line, shell=True, capture_output=True, check=True)
    assert finished.stderr == b""


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        mute = f"127.0.0.1:{listener.getsockname()[1]}"
        line = (*KVSTORE, "--endpoints", mute, "--timeout", "60", "get", "a")
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            # Who has connected is at work, and waits for an answer.
            connection, _address = listener.accept()
            with connection:
                assert connection.recv(1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize(
    "arguments", [("--version",), ("get", "--help"), ("local", "--help"), ("shell", "--help")]
)
def test_simple_commands_load_neither_grpc_nor_rich_nor_the_node(
    arguments: tuple[str, ...],
) -> None:
    loaded = _modules_after(*arguments)
    assert not loaded & {"grpc", "rich", "rocksdict", "asyncio", "structlog"}


def test_a_node_loads_neither_typer_nor_rich() -> None:
    loaded = _modules_after("serve", "--help")
    assert "kvstore.config" in loaded
    assert not loaded & {"typer", "rich", "kvstore.cli.app"}


def test_a_node_that_starts_loads_no_rich_either(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ("--node-id", "n1", "--listen", address, "--initial-nodes", f"n1={address}")
        loaded = _modules_after("serve", *arguments, "--data-dir", str(tmp_path / "data"))
    assert {"kvstore.process", "structlog"} <= loaded
    assert not {name for name in loaded if name.split(".")[0] in ("typer", "rich")}


def test_the_collector_works_again_once_all_is_loaded(command: Command) -> None:
    for arguments in (("--version",), ("serve", "--help")):
        command(*arguments)
        assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        command("--version")
        assert not gc.isenabled(), "by somebody else"


def _modules_after(*arguments: str) -> set[str]:
    code = (
        "import json, sys; from kvstore.cli.main import main; main(sys.argv[1:]);"
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    finished = subprocess.run(
        (sys.executable, "-c", code, *arguments), capture_output=True, check=True
    )
    names: list[str] = json.loads(finished.stdout.splitlines()[-1])
    return set(names)
