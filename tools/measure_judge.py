"""How well and how fast histories are judged: `PYTHONPATH=. python tools/measure_judge.py`.

Good histories from atomic registers and the same number with a violation planted in each, of 2,000
operations and many shapes; then a large one. Everything follows from the seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from kvstore.verify.history import History
from kvstore.verify.linearizability import Judgement, Verdict, judge
from kvstore.verify.operation import Kind
from tests.verify.histories import PLANTS, REGISTER, Shape, bad_history, good_history

_KEYS = (1, 1, 5, 20, 100)
_CLIENTS = (3, 5, 10, 20)
_UNKNOWN = (0.0, 0.01, 0.05, 0.15)


def main() -> int:
    """Prints the figures; 1 if anything was missed or accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=500)
    count = parser.parse_args().histories
    wrong = 0
    shares = list(PLANTS.items())
    for place, (name, plant) in enumerate(shares):
        seeds = range(place, count, len(shares))
        histories = (bad_history(Random(seed), _shape(Random(seed)), plant) for seed in seeds)
        wrong += _measure(name, list(histories), Verdict.VIOLATION)
    for unique in (True, False):
        seeds = range(0 if unique else 1, count, 2)
        good = [good_history(Random(seed), _shape(Random(seed), unique)) for seed in seeds]
        name = f"good, {'unique' if unique else 'few'} values"
        wrong += _measure(name, good, Verdict.LINEARIZABLE)
    large = Shape(operations=100_000, keys=1_000, clients=64)
    history = good_history(Random(1), large)
    wrong += _measure("100,000 on 1,000 keys", [history], Verdict.LINEARIZABLE)
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


def _measure(name: str, histories: list[History], expected: Verdict) -> int:
    """Judges and prints; how many verdicts were not the expected one."""
    began_s = time.perf_counter()
    slowest_s = 0.0
    judgements: list[Judgement] = []
    for history in histories:
        before_s = time.perf_counter()
        judgements.append(judge(history, counterexamples_max=0))
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
    verdicts = {
        verdict: sum(judgement.verdict is verdict for judgement in judgements)
        for verdict in Verdict
    }
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in verdicts.items() if count)
    total_s = time.perf_counter() - began_s
    print(f"{name:24} {told:20} {total_s:7.1f} s, slowest {slowest_s:6.2f} s")
    return len(judgements) - verdicts[expected]


if __name__ == "__main__":
    sys.exit(main())
