"""verify: exit codes, output, and where histories come from."""

from __future__ import annotations

import io
import json
import signal
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from kvstore.cli.exits import ExitCode
from kvstore.verify.decide import Limits, decide
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.search import Found
from tests.chaos_report.runs import lose_a_write, stormy_run
from tests.conftest import Command, one_sentence
from tests.verify.histories import PLANTS, Shape, bad_history, good_history
from tests.verify.test_linearizability import BAD, GOOD, operations


def file_of(tmp_path: Path, history: History) -> str:
    path = tmp_path / "history.jsonl"
    history.write(path)
    return str(path)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return file_of(tmp_path, History(operations(*GOOD["a cas"])))


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return file_of(tmp_path, History(operations(*BAD["a stale read"], "9-10 put <z>")))


def hard_history() -> History:
    """One whose search is long: compare-and-set in circles, with one too many."""
    rows = ["0-1 put a", *["0-99 cas a b", "0-99 cas b c", "0-99 cas c a"] * 40]
    return History(operations(*rows, *["0-99 cas a c"] * 20, *["0-99 cas c b"] * 20))


def test_a_good_history_is_fine(command: Command, good: str) -> None:
    finished = command("verify", good)
    assert finished.code == ExitCode.DONE
    assert finished.out.decode().splitlines() == [
        "fine: 4 operations",
        "registers fine: 4 operations, 1 objects",
    ]
    assert finished.err == ""


def test_a_last_line_that_is_torn_is_left_out_and_said(command: Command, good: str) -> None:
    content = Path(good).read_bytes()
    Path(good).write_bytes(content[:-20])
    finished = command("verify", good)
    assert finished.code == ExitCode.DONE
    assert finished.out.decode().splitlines() == [
        "fine: 3 operations",
        "registers fine: 3 operations, 1 objects",
        "note: the end of the history is missing: its last line, 4, is torn, and was left out",
    ]


def test_a_torn_line_before_the_last_is_refused_by_its_number(command: Command, good: str) -> None:
    lines = Path(good).read_text().splitlines(keepends=True)
    Path(good).write_text("".join([lines[0], lines[1][:30] + "\n", *lines[2:]]))
    finished = command("verify", good)
    assert finished.code == ExitCode.USAGE
    assert "line 2: not JSON" in one_sentence(finished)


def test_a_bad_one_shows_the_operations_that_cannot_be_ordered(command: Command, bad: str) -> None:
    finished = command("verify", bad)
    assert finished.code == ExitCode.NO
    assert finished.out.decode().splitlines() == [
        "violation: 4 operations",
        "registers violation: 4 operations, 1 objects, 1 violations",
        "",
        'register "k": no order explains the answers to these of 4 operations',
        "client  operation     answer  invoked   returned",
        '0       put "k": "a"  ok      0.000 ms  0.000 ms',
        '1       put "k": "b"  ok      0.000 ms  0.000 ms',
        '2       get "k"       "a"     0.000 ms  0.000 ms',
    ]
    assert "--svg FILE draws" in finished.err


def test_a_table_is_drawn_when_asked_for(command: Command, bad: str) -> None:
    finished = command("verify", bad, "--output", "table")
    assert finished.code == ExitCode.NO
    assert "───" in finished.out.decode()
    assert 'put "k": "b"' in finished.out.decode()


def test_json_says_all_of_it(command: Command, bad: str) -> None:
    finished = command("verify", bad, "--output", "json")
    told = json.loads(finished.out)
    assert finished.code == ExitCode.NO
    assert told["verdict"] == "violation"
    assert told["promises"] == [
        {
            **{"promise": "registers", "verdict": "violation", "objects": 1, "operations": 4},
            **{"violations": 1, "undecided": 0},
        }
    ]
    (finding,) = told["findings"]
    assert (finding["promise"], finding["key"], finding["until_ns"]) == ("register", "k", 5)
    lines = [json.dumps(operation) for operation in finding["operations"]]
    assert [each.client for each in History.parse(lines, "h").operations] == [0, 1, 2]


def test_a_drawing_goes_into_a_file(command: Command, bad: str, tmp_path: Path) -> None:
    svg = tmp_path / "bad.svg"
    finished = command("verify", bad, "--svg", str(svg))
    assert finished.code == ExitCode.NO
    assert str(svg) in finished.err
    root = ET.parse(svg).getroot()
    bars = [each for each in root.iter() if each.get("class") == "kv-operation"]
    assert len(bars) == 3


def test_a_drawing_that_cannot_be_written_does_not_hide_the_verdict(
    command: Command, bad: str, tmp_path: Path
) -> None:
    finished = command("verify", bad, "--svg", str(tmp_path / "no" / "bad.svg"))
    assert finished.code == ExitCode.USAGE
    assert finished.out.startswith(b"violation")
    assert "the verdict is violation" in finished.err


def test_without_a_counterexample_there_is_nothing_to_draw(
    command: Command, good: str, tmp_path: Path
) -> None:
    svg = tmp_path / "good.svg"
    finished = command("verify", good, "--svg", str(svg))
    assert (finished.code, svg.exists()) == (ExitCode.DONE, False)
    assert "nothing to draw" in finished.err


def test_a_history_is_read_from_standard_input(
    command: Command, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Path(bad).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert command("verify", "-").code == ExitCode.NO


def test_what_cannot_be_read_is_said_in_one_sentence(
    command: Command, good: str, tmp_path: Path
) -> None:
    missing = command("verify", str(tmp_path / "none"))
    assert (missing.code, "No such file" in one_sentence(missing)) == (ExitCode.USAGE, True)
    path = Path(good)
    path.write_bytes(path.read_bytes() + b"{]\n")
    broken = command("verify", good)
    assert broken.code == ExitCode.USAGE
    assert "history.jsonl, line 5: not JSON" in one_sentence(broken)
    folder = command("verify", str(tmp_path))
    assert folder.code == ExitCode.USAGE
    assert "holds no run.json" in one_sentence(folder)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9"])
def test_a_time_limit_is_a_time(command: Command, good: str, seconds: str) -> None:
    finished = command("verify", good, "--timeout", seconds)
    assert finished.code == ExitCode.USAGE
    assert "timeout is" in one_sentence(finished)


def test_a_search_that_is_out_of_time_is_undecided(command: Command, tmp_path: Path) -> None:
    finished = command("verify", file_of(tmp_path, hard_history()), "--timeout", "0.001")
    assert finished.code == ExitCode.UNDECIDED
    assert finished.out.startswith(b"undecided")
    assert b"fine" not in finished.out


def test_the_timeout_of_other_commands_is_not_the_judge_s(
    command: Command, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVSTORE_TIMEOUT", "0.000000001")
    assert command("verify", good).code == ExitCode.DONE
    monkeypatch.setenv("KVSTORE_OUTPUT", "json")
    assert json.loads(command("verify", good).out)["verdict"] == "fine"


def test_an_empty_history_is_undecided(command: Command, tmp_path: Path) -> None:
    assert command("verify", file_of(tmp_path, History())).code == ExitCode.UNDECIDED


def test_the_total_of_a_bank_may_be_told(command: Command, tmp_path: Path) -> None:
    read = Operation(1, Kind.BALANCES, b"b", 0, Ending.OK, 1, outputs=(b"4", b"5"))
    path = file_of(tmp_path, History([read]))
    derived = command("verify", path)
    assert (derived.code, b"taken to be 9, as 1 of 1" in derived.out) == (ExitCode.DONE, True)
    assert command("verify", path, "--bank-total", "9").code == ExitCode.DONE
    assert command("verify", path, "--bank-total", "10").code == ExitCode.NO


def test_many_findings_are_counted_and_some_are_shown(command: Command, tmp_path: Path) -> None:
    reads = [
        Operation(1, Kind.BALANCES, b"b", at, Ending.OK, at + 1, outputs=(b"%d" % at,))
        for at in range(30)
    ]
    finished = command("verify", file_of(tmp_path, History(reads)), "--bank-total", "0")
    assert finished.out.count(b"the accounts add up") == 5
    assert b"24 more violations are not shown" in finished.out


def test_the_directory_of_a_chaos_run_gets_its_report(command: Command, tmp_path: Path) -> None:
    run = stormy_run(seconds=12, clients=3)
    good = run.write(tmp_path / "good")
    finished = command("verify", str(good))
    assert (finished.code, finished.out.startswith(b"fine")) == (ExitCode.DONE, True)
    assert str(good / "report.html") in finished.err
    lose_a_write(run)
    bad = run.write(tmp_path / "bad")
    assert command("verify", str(bad)).code == ExitCode.NO
    assert "A promise was broken" in (bad / "report.html").read_text()
    assert json.loads((bad / "verdict.json").read_text())["verdict"] == "violation"


@pytest.mark.parametrize("plant", PLANTS)
def test_planted_violations_are_found_by_the_command(
    command: Command, tmp_path: Path, plant: str
) -> None:
    for seed in range(3):
        random = Random(seed)
        shape = Shape(operations=1000, keys=random.choice([1, 5, 20]), clients=10)
        path = file_of(tmp_path, bad_history(random, shape, PLANTS[plant]))
        assert command("verify", path).code == ExitCode.NO


def test_what_an_atomic_register_did_is_fine_for_the_command(
    command: Command, tmp_path: Path
) -> None:
    for seed in range(5):
        shape = Shape(keys=5, unknown=0.1)
        path = file_of(tmp_path, good_history(Random(seed), shape))
        assert command("verify", path).code == ExitCode.DONE


def interrupted(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Ctrl-C is pressed, so often, while the first key is judged."""

    def press_and_decide(asked: Sequence[Operation], limits: Limits) -> Found:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        return decide(asked, limits)

    monkeypatch.setattr("kvstore.verify.linearizability.decide", press_and_decide)


def test_ctrl_c_ends_it_with_what_was_found(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupted(monkeypatch, times=1)
    finished = command("verify", file_of(tmp_path, hard_history()))
    assert finished.code == ExitCode.INTERRUPTED
    assert finished.out.startswith(b"undecided")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_does_not_hide_a_violation(
    command: Command, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, times=1)
    assert command("verify", bad).code == ExitCode.NO


def test_a_second_ctrl_c_ends_it_at_once(
    command: Command, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, times=2)
    finished = command("verify", bad)
    assert (finished.code, finished.out, finished.err) == (ExitCode.INTERRUPTED, b"", "")
