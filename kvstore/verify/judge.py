"""The whole judge: of each object what is promised of its kind, and of sessions.

The operations on a key say what kind of object it is. Registers are decided by proof or search,
which may take longer than there is time; of the bad ones, the smallest are explained. All other
judges are quick. Scans are spread over the keys that they read first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from kvstore.verify.counterexample import find_counterexample
from kvstore.verify.decide import Limits
from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.judgement import Judgement, Promise, PromiseJudgement, Undecided
from kvstore.verify.linearizability import decide_in_time
from kvstore.verify.lists import judge_list
from kvstore.verify.missing_end import before, horizon_ns
from kvstore.verify.operation import REGISTER_KINDS, Kind, Operation
from kvstore.verify.scans import gets_of_scans, judge_scans
from kvstore.verify.search import Verdict
from kvstore.verify.sessions import judge_sessions
from kvstore.verify.sets import judge_set
from kvstore.verify.sums import judge_bank, judge_counter, usual_total

__all__ = ["Limits", "judge"]

_NO_LIMITS: Final = Limits()
_FINDINGS_MAX: Final = 100
_FINDINGS_OF_ONE_MAX: Final = 20
"""Of one object."""
_FINDINGS_KEPT_MAX: Final = 10_000
"""From which the most telling are chosen."""
_UNDECIDED_MAX: Final = 100
_EXPLAINED_MAX: Final = 3
_PERHAPS_MISSING: Final = (
    "its answers cannot all be right, unless by operations whose lines are missing at the end"
)
_NO_TIME: Final = "there was no time left to look at it"

Progress = Callable[[int, int], None]
"""Told how many operations, and how many keys, are judged."""

_BY_KINDS: Final = (
    (Promise.REGISTERS, REGISTER_KINDS),
    (Promise.COUNTERS, frozenset({Kind.INCREMENT, Kind.GET})),
    (Promise.LISTS, frozenset({Kind.APPEND, Kind.GET})),
    (Promise.SETS, frozenset({Kind.ADD, Kind.REMOVE, Kind.MEMBERS})),
    (Promise.BANKS, frozenset({Kind.TRANSFER, Kind.BALANCES})),
)
_SCANNED: Final = frozenset({Promise.REGISTERS, Promise.COUNTERS, Promise.LISTS, None})


def judge(
    history: History,
    limits: Limits = _NO_LIMITS,
    *,
    bank_total: int | None = None,
    clients: int = 0,
    progress: Progress | None = None,
) -> Judgement:
    """Judges all of `history`, with `limits` for each key.

    `bank_total` is what the accounts of each bank held at the start; None: what most reads of that
    bank say. Where the end of the history is missing, what could be explained by what is missing
    is undecided; `clients` is how many there were then, if that is known. Raises
    ConfigurationError for histories that cannot be judged by anybody: elements of a list that are
    not unique, increments by what is no number.
    """
    horizon = None if history.missing_end is None else horizon_ns(history.operations, clients)
    judge_all = _Judge(limits, bank_total, horizon, progress)
    judge_all.judge(history)
    return judge_all.judgement(len(history.operations))


class _Judge:
    """One judgement in the making."""

    def __init__(
        self,
        limits: Limits,
        bank_total: int | None,
        horizon_ns: int | None,
        progress: Progress | None,
    ) -> None:
        """`horizon_ns`: before which nothing is missing; None: nothing is."""
        self._limits = limits
        self._bank_total = bank_total
        self._horizon_ns = horizon_ns
        self._progress = progress or (lambda _operations, _keys: None)
        self._of = {promise: PromiseJudgement(promise) for promise in Promise}
        self._findings: list[Finding] = []
        self._undecided: list[Undecided] = []
        self._undecided_objects = 0
        self._notes: list[str] = []
        self._bad_registers: list[tuple[bytes, list[Operation]]] = []

    def judge(self, history: History) -> None:
        if not history.operations:
            self._cannot_say(None, None, "there is no operation in it")
        if history.missing_end is not None:
            self._notes.append(f"the end of the history is missing: {history.missing_end}")
        scans = [each for each in history.operations if each.op is Kind.SCAN]
        others = [each for each in history.operations if each.op is not Kind.SCAN]
        objects = History(others).by_key()
        self._judge_scans(scans, objects)
        done = 0
        for keys, (key, of_key) in enumerate(objects.items()):
            self._progress(done, keys)
            self._judge_object(key, of_key)
            done += len(of_key)
        self._judge_sessions(history)
        self._explain_registers()

    def _judge_scans(self, scans: list[Operation], objects: dict[bytes, list[Operation]]) -> None:
        """Adds what they read to the objects that they read."""
        if not scans:
            return
        readable = [key for key, of_key in objects.items() if _promise_of(of_key) in _SCANNED]
        for get in gets_of_scans(scans, readable):
            objects.setdefault(get.key, []).append(get)
        self._take(Promise.SCANS, len({scan.key for scan in scans}), len(scans))
        self._found(Promise.SCANS, None, judge_scans(scans))

    def _judge_object(self, key: bytes, of_key: list[Operation]) -> None:
        promise = _promise_of(of_key)
        if promise is None:
            ops = ", ".join(sorted({each.op.value for each in of_key}))
            self._cannot_say(None, key, f"no object has all of these operations: {ops}")
            return
        # What asked for less is held to the promises of sessions only.
        judged = [each for each in of_key if each.is_linearizable]
        self._take(promise, 1, len(judged))
        if self._limits.should_stop():
            self._cannot_say(promise, key, _NO_TIME)
            return
        match promise:
            case Promise.REGISTERS:
                self._judge_register(key, judged)
            case Promise.COUNTERS:
                self._judge_by(judge_counter, promise, key, judged)
            case Promise.LISTS:
                self._judge_by(judge_list, promise, key, judged)
            case Promise.SETS:
                self._judge_by(judge_set, promise, key, judged)
            case Promise.BANKS:
                self._judge_bank(key, judged)

    def _judge_by(
        self,
        judge_one: Callable[[Sequence[Operation]], list[Finding]],
        promise: Promise,
        key: bytes,
        of_key: list[Operation],
    ) -> None:
        findings = judge_one(of_key)
        if findings and self._horizon_ns is not None:
            findings = judge_one(before(self._horizon_ns, of_key))
            if not findings:
                self._cannot_say(promise, key, _PERHAPS_MISSING)
        self._found(promise, key, findings)

    def _judge_register(self, key: bytes, of_key: list[Operation]) -> None:
        found = decide_in_time(of_key, self._limits)
        if found.verdict is Verdict.VIOLATION and self._horizon_ns is not None:
            of_key = before(self._horizon_ns, of_key)
            found = decide_in_time(of_key, self._limits)
            if found.verdict is Verdict.LINEARIZABLE:
                self._cannot_say(Promise.REGISTERS, key, _PERHAPS_MISSING)
                return
        if found.verdict is Verdict.VIOLATION:
            self._bad_registers.append((key, of_key))
        elif found.verdict is Verdict.UNDECIDED:
            why = f"no answer after {found.positions} positions of the search"
            self._cannot_say(Promise.REGISTERS, key, why)

    def _judge_bank(self, key: bytes, of_key: list[Operation]) -> None:
        total = self._bank_total
        if total is None:
            usual = usual_total(of_key)
            if usual is not None:
                total, count, reads = usual
                self._notes.append(
                    f'the total of bank "{key.decode(errors="backslashreplace")}" is taken to be'
                    f" {total}, as {count} of {reads} reads say"
                )
        self._found(Promise.BANKS, key, judge_bank(of_key, total or 0))

    def _judge_sessions(self, history: History) -> None:
        told = [
            each
            for each in history.operations
            if each.receipt is not None and each.partition is not None and each.is_ok
        ]
        if not told:
            return
        sessions = len({(each.client, each.partition) for each in told})
        self._take(Promise.SESSIONS, sessions, len(told))
        if self._limits.should_stop():
            self._cannot_say(Promise.SESSIONS, None, f"sessions: {_NO_TIME}")
        else:
            self._found(Promise.SESSIONS, None, judge_sessions(history))

    def _explain_registers(self) -> None:
        """Of the bad ones, the smallest are the quickest to explain, and to understand."""
        explained: list[Finding] = []
        self._bad_registers.sort(key=lambda register: len(register[1]))
        for key, operations in self._bad_registers:
            detail = f"no order explains the answers to {len(operations)} operations"
            if len(explained) >= _EXPLAINED_MAX:
                explained.append(Finding("register", detail, (), key))
                continue
            shown = find_counterexample(operations, should_stop=self._limits.should_stop)
            detail = f"no order explains the answers to these of {len(operations)} operations"
            explained.append(Finding("register", detail, shown.operations, key, shown.until_ns))
        self._of[Promise.REGISTERS].violations += len(explained)
        self._findings[:0] = explained

    # Sums

    def _take(self, promise: Promise, objects: int, operations: int) -> None:
        self._of[promise].objects += objects
        self._of[promise].operations += operations

    def _found(self, promise: Promise, key: bytes | None, findings: Sequence[Finding]) -> None:
        self._of[promise].violations += len(findings)
        some = findings[:_FINDINGS_OF_ONE_MAX]
        if len(self._findings) < _FINDINGS_KEPT_MAX:
            self._findings.extend([replace(finding, key=key) for finding in some])

    def _cannot_say(self, promise: Promise | None, key: bytes | None, why: str) -> None:
        self._undecided_objects += 1
        if promise is not None:
            self._of[promise].undecided += 1
        if len(self._undecided) < _UNDECIDED_MAX:
            self._undecided.append(Undecided(key, why))

    def judgement(self, operations: int) -> Judgement:
        """What it came to."""
        promises = [each for each in self._of.values() if each.objects]
        return Judgement(
            operations=operations,
            promises=tuple(promises),
            findings=tuple(_each_key_first(self._findings)[:_FINDINGS_MAX]),
            violations=sum([each.violations for each in promises]),
            undecided=tuple(self._undecided),
            undecided_objects=self._undecided_objects,
            notes=tuple(self._notes[:_UNDECIDED_MAX]),
        )


def _each_key_first(findings: Iterable[Finding]) -> list[Finding]:
    """One of each key and kind, those that are shown by more than one operation before the others;
    then a second one of each, and so on."""
    seen: Counter[tuple[str, bytes | None]] = Counter()
    ranked = []
    for finding in findings:
        kind = (finding.promise, finding.key)
        ranked.append((seen[kind], len(finding.operations) < 2, finding))
        seen[kind] += 1
    ranked.sort(key=lambda each: each[:2])
    return [finding for _turn, _is_single, finding in ranked]


def _promise_of(operations: Iterable[Operation]) -> Promise | None:
    """What is promised of an object with these operations; None: there is no such object."""
    kinds = {each.op for each in operations}
    for promise, of_it in _BY_KINDS:
        if kinds <= of_it:
            return promise
    return None
