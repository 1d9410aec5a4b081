"""Conserved sums: the accounts of a bank, and counters.

A bank's transfers move money and make none: every `balances` adds up to what there was at first.

A counter that is only incremented holds, when it is read, at least what was acknowledged before the
read began, and at most that and all that was under way or unknown by its end; amounts that lower it
widen these bounds the other way. And where nothing lowers it, no read finds less than one that had
ended before it began.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from kvstore.codec.text import to_cell
from kvstore.errors import ConfigurationError
from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.rises import Valued, explain_read

_EXPLAINED_MAX: Final = 10
"""Of one counter."""


def judge_banks(history: History, total: int) -> list[Finding]:
    """The reads of banks that do not add up to `total`, which the accounts held at the start."""
    return judge_bank(history.operations, total)


def judge_bank(operations: Iterable[Operation], total: int) -> list[Finding]:
    """The reads of one bank that do not add up to `total`."""
    findings = []
    for read in operations:
        if read.op is not Kind.BALANCES or read.outputs is None or not read.is_linearizable:
            continue
        found = _sum(read.outputs)
        if found is None:
            findings.append(Finding("bank", "an account holds what is no number", (read,)))
        elif found != total:
            detail = f"the accounts add up to {found}, not to {total}"
            findings.append(Finding("bank", detail, (read,)))
    return findings


def usual_total(operations: Iterable[Operation]) -> tuple[int, int, int] | None:
    """What most reads of a bank add up to, of those seen as often the first; how many of them do;
    and how many there are. None: there is no read to tell."""
    sums = Counter(
        [
            _sum(each.outputs)
            for each in sorted(operations, key=lambda each: each.invoked_ns)
            if each.op is Kind.BALANCES and each.outputs is not None and each.is_linearizable
        ]
    )
    reads = sums.total()
    del sums[None]
    if not sums:
        return None
    ((total, count),) = sums.most_common(1)
    return (total or 0), count, reads


def _sum(balances: Sequence[bytes]) -> int | None:
    numbers = [_number(balance) for balance in balances]
    return None if None in numbers else sum([number for number in numbers if number is not None])


def judge_counters(history: History) -> list[Finding]:
    """What is wrong with the counters of `history`. Raises ConfigurationError as
    `judge_counter`."""
    findings = []
    for of_key in history.by_key().values():
        if any(each.op is Kind.INCREMENT for each in of_key):
            findings.extend(judge_counter(of_key))
    return findings


def judge_counter(operations: Sequence[Operation]) -> list[Finding]:
    """The reads of one counter that are too low or too high, or lower than one before, in the order
    of `operations`.

    Raises ConfigurationError where an amount is no decimal number.
    """
    increments = [
        (each, _amount(each))
        for each in operations
        if each.op is Kind.INCREMENT and not _has_failed(each)
    ]
    bounds = _Bounds(increments)
    findings = []
    reads: list[Valued] = []
    explained = 0
    for read in operations:
        if read.op is not Kind.GET or not read.is_ok or not read.is_linearizable:
            continue
        found = 0 if read.output is None else _number(read.output)
        low, high = bounds.of(read)
        if found is not None and low <= found <= high:
            reads.append((read, found))
            continue
        finding = None
        if found is not None and not bounds.may_fall and explained < _EXPLAINED_MAX:
            explained += 1
            finding = explain_read((read, found), reads, increments)
        held = to_cell(read.output or b"") if found is None else found
        detail = f"it held {held}; it can have held {low} to {high} only"
        findings.append(finding or Finding("counter", detail, (read,)))
    if not bounds.may_fall:
        findings.extend(_fallen(reads))
    return findings


def _has_failed(operation: Operation) -> bool:
    return operation.outcome is Ending.FAIL


def _fallen(reads: Sequence[Valued]) -> list[Finding]:
    """Reads that found less than one that had ended before they began."""
    findings = []
    by_end = sorted(reads, key=lambda read: read[0].returned_ns or 0)
    ended = 0
    most: Valued | None = None
    for read, found in sorted(reads, key=lambda read: read[0].invoked_ns):
        while (by_end[ended][0].returned_ns or 0) < read.invoked_ns:
            if most is None or by_end[ended][1] > most[1]:
                most = by_end[ended]
            ended += 1
        if most is not None and found < most[1]:
            detail = f"it held {found} after it had held {most[1]}, and nothing lowers it"
            findings.append(Finding("counter", detail, (most[0], read)))
    return findings


class _Steps:
    """Amounts by moment, and their sums up to any moment."""

    def __init__(self, amounts: list[tuple[int, int]]) -> None:
        amounts.sort()
        self._moments = [moment for moment, _amount in amounts]
        self._sums = [0, *accumulate(amount for _moment, amount in amounts)]

    def before(self, moment: int) -> int:
        """What there was before `moment`."""
        return self._sums[bisect_left(self._moments, moment)]

    def until(self, moment: int) -> int:
        """What there was at `moment`, that included."""
        return self._sums[bisect_right(self._moments, moment)]


class _Bounds:
    """What a counter can hold, by when it is read."""

    def __init__(self, rises: Sequence[Valued]) -> None:
        self.may_fall = any(n < 0 for _each, n in rises)
        ends = [(each.returned_ns, n) for each, n in rises if each.returned_ns is not None]
        self._sure_up = _Steps([(end_ns, n) for end_ns, n in ends if n > 0])
        self._sure_down = _Steps([(end_ns, n) for end_ns, n in ends if n < 0])
        self._begun_up = _Steps([(each.invoked_ns, n) for each, n in rises if n > 0])
        self._begun_down = _Steps([(each.invoked_ns, n) for each, n in rises if n < 0])

    def of(self, read: Operation) -> tuple[int, int]:
        """The least and the most that `read`, which has returned, can have found."""
        begin_ns, end_ns = read.invoked_ns, read.returned_ns or read.invoked_ns
        low = self._sure_up.before(begin_ns) + self._begun_down.until(end_ns)
        high = self._begun_up.until(end_ns) + self._sure_down.before(begin_ns)
        return low, high


def _amount(increment: Operation) -> int:
    number = _number(increment.input or b"0")
    if number is None:
        raise ConfigurationError(
            f'input of increment is "{to_cell(increment.input or b"")}", which is no decimal number'
        )
    return number


def _number(value: bytes) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None
