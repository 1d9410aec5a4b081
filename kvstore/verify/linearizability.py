"""Linearizability of registers, key by key.

Herlihy and Wing (1990): a history is linearizable exactly if the part of each object is. So every
key is judged alone (`decide`); for the first bad ones the operations that show it are found.

Judged are keys with nothing but gets, puts, deletes and cas on them, and of these all operations
but reads that asked for less than linearizability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvstore.codec.text import to_cell
from kvstore.verify.counterexample import Counterexample, find_counterexample
from kvstore.verify.decide import Limits, decide
from kvstore.verify.history import History
from kvstore.verify.operation import REGISTER_KINDS, Operation
from kvstore.verify.search import Found, Verdict

__all__ = [
    "Counterexample",
    "KeyJudgement",
    "Limits",
    "RegistersJudgement",
    "Verdict",
    "judge_registers",
]

_NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class KeyJudgement:
    """What is said of one key."""

    key: bytes
    verdict: Verdict
    operations: int
    positions: int
    """Visited by the search."""
    counterexample: Counterexample | None = None
    """Of a violation, unless there were many."""

    def text(self) -> str:
        """For people, in a few lines."""
        head = f'key "{to_cell(self.key)}": {self.verdict.value}, {self.operations} operations'
        if self.verdict is Verdict.UNDECIDED:
            return f"{head}; no answer after {self.positions} positions"
        if self.counterexample is None:
            return head
        return f"{head}; these cannot be ordered:\n{self.counterexample.table()}"


@dataclass(frozen=True, slots=True)
class RegistersJudgement:
    """What is said of a history's registers."""

    verdict: Verdict
    """VIOLATION if any key is bad, else UNDECIDED if any is undecided."""
    keys: int
    operations: int
    positions: int
    findings: tuple[KeyJudgement, ...]
    """The keys that are not linearizable, or not decided."""

    def text(self) -> str:
        """For people."""
        head = f"{self.verdict.value}: {self.operations} operations on {self.keys} keys"
        return "\n\n".join([head, *(finding.text() for finding in self.findings)])


def judge_registers(
    history: History, limits: Limits = _NO_LIMITS, *, counterexamples_max: int = 3
) -> RegistersJudgement:
    """Judges every register of `history`, all of which begin absent."""
    findings: list[KeyJudgement] = []
    keys = operations = positions = explained = 0
    for key, of_key in history.by_key().items():
        if not all(each.op in REGISTER_KINDS for each in of_key):
            continue
        judged = [each for each in of_key if each.is_linearizable]
        found = decide_in_time(judged, limits)
        keys += 1
        operations += len(judged)
        positions += found.positions
        if found.verdict is Verdict.LINEARIZABLE:
            continue
        counterexample = None
        if found.verdict is Verdict.VIOLATION and explained < counterexamples_max:
            explained += 1
            counterexample = find_counterexample(judged)
        findings.append(
            KeyJudgement(key, found.verdict, len(judged), found.positions, counterexample)
        )
    verdicts = {finding.verdict for finding in findings}
    verdict = Verdict.LINEARIZABLE
    for worse in (Verdict.UNDECIDED, Verdict.VIOLATION):
        if worse in verdicts:
            verdict = worse
    return RegistersJudgement(verdict, keys, operations, positions, tuple(findings))


def decide_in_time(operations: Sequence[Operation], limits: Limits) -> Found:
    """As `decide`; UNDECIDED without a look where the caller's time is over."""
    if limits.should_stop():
        return Found(Verdict.UNDECIDED, (), 0)
    return decide(operations, limits)
