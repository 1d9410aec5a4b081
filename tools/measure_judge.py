"""How well and how fast histories are judged: `PYTHONPATH=. python tools/measure_judge.py`.

Good histories from atomic registers and the same number with a violation planted in each, of 2,000
operations and many shapes; then a large one. Everything follows from the seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from kvstore.cli.exits import ExitCode
from kvstore.cli.main import main
from kvstore.cli.verdict import exit_code_of_verdict
from kvstore.verify.history import History
from kvstore.verify.judge import judge
from kvstore.verify.operation import Kind
from tests.verify.histories import PLANTS, REGISTER, Shape, bad_history, good_history

_KEYS = (1, 1, 5, 20, 100)
_CLIENTS = (3, 5, 10, 20)
_UNKNOWN = (0.0, 0.01, 0.05, 0.15)
_WORDS: Final = {
    ExitCode.DONE: "fine",
    ExitCode.NO: "violation",
    ExitCode.UNDECIDED: "undecided",
}

Judge = Callable[[History], ExitCode]


def measure() -> int:
    """Prints the figures; 1 if anything was missed or accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--command", action="store_true", help="judge by `kvstore verify FILE`")
    arguments = parser.parse_args()
    count = arguments.histories
    judge_one = _judge_by_command if arguments.command else _judge_in_memory
    wrong = 0
    shares = list(PLANTS.items())
    for place, (name, plant) in enumerate(shares):
        seeds = range(place, count, len(shares))
        histories = (bad_history(Random(seed), _shape(Random(seed)), plant) for seed in seeds)
        wrong += _measure(name, list(histories), ExitCode.NO, judge_one)
    for unique in (True, False):
        seeds = range(0 if unique else 1, count, 2)
        good = [good_history(Random(seed), _shape(Random(seed), unique)) for seed in seeds]
        name = f"good, {'unique' if unique else 'few'} values"
        wrong += _measure(name, good, ExitCode.DONE, judge_one)
    large = Shape(operations=100_000, keys=1_000, clients=64)
    history = good_history(Random(1), large)
    wrong += _measure("100,000 on 1,000 keys", [history], ExitCode.DONE, judge_one)
    return 1 if wrong else 0


def _shape(random: Random, unique_values: bool = True) -> Shape:
    return Shape(
        keys=random.choice(_KEYS),
        clients=random.choice(_CLIENTS),
        kinds=random.choice(
            [
                REGISTER,
                (*REGISTER, Kind.CAS, Kind.CAS),
                (Kind.GET, Kind.PUT, Kind.DELETE),
            ]
        ),
        unique_values=unique_values,
        unknown=random.choice(_UNKNOWN),
    )


def _measure(name: str, histories: list[History], expected: ExitCode, judge_one: Judge) -> int:
    """Judges and prints; how many verdicts were not the expected one."""
    began_s = time.perf_counter()
    slowest_s = 0.0
    codes: list[ExitCode] = []
    for history in histories:
        before_s = time.perf_counter()
        codes.append(judge_one(history))
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
    counts = {code: sum(each is code for each in codes) for code in ExitCode}
    told = ", ".join(f"{count} {_WORDS[code]}" for code, count in counts.items() if count)
    total_s = time.perf_counter() - began_s
    print(f"{name:24} {told:20} {total_s:7.1f} s, slowest {slowest_s:6.2f} s", flush=True)
    return len(codes) - counts[expected]


def _judge_in_memory(history: History) -> ExitCode:
    return exit_code_of_verdict(judge(history))


def _judge_by_command(history: History) -> ExitCode:
    """Through a file and all of `kvstore verify`, but for the start of a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        history.write(path)
        with redirect_stderr(StringIO()), TextIOWrapper(BytesIO()) as out, redirect_stdout(out):
            return ExitCode(main(["verify", str(path), "--timeout", "3600"]))


if __name__ == "__main__":
    sys.exit(measure())
