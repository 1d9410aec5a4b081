"""Conserved sums: the accounts of a bank, and counters.

A bank's transfers move money and make none: every `balances` adds up to what there was at first.

A counter that is only incremented holds, when it is read, at least what was acknowledged before the
read began, and at most that and all that was under way or unknown by its end; amounts that lower it
widen these bounds the other way. Reads that follow each other are not compared: that is more than a
sum.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from kvstore.codec.text import to_cell
from kvstore.errors import ConfigurationError
from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation


def judge_banks(history: History, total: int) -> list[Finding]:
    """The reads of banks that do not add up to `total`, which the accounts held at the start.

    Raises ConfigurationError where a balance is no decimal number.
    """
    findings = []
    for operation in history.operations:
        balances = operation.outputs if operation.op is Kind.BALANCES else None
        if balances is None or not operation.is_linearizable:
            continue
        found = sum([_number(balance) for balance in balances])
        if found != total:
            detail = f"the accounts add up to {found}, not to {total}"
            findings.append(Finding("bank", detail, (operation,)))
    return findings


def judge_counters(history: History) -> list[Finding]:
    """The reads of counters that are too low or too high, in the order of `history`.

    Raises ConfigurationError where an amount or a counter is no decimal number.
    """
    findings = []
    for of_key in history.by_key().values():
        increments = [
            each for each in of_key if each.op is Kind.INCREMENT and each.outcome is not Ending.FAIL
        ]
        if increments:
            findings.extend(_judge_counter(increments, of_key))
    return findings


def _judge_counter(increments: list[Operation], of_key: list[Operation]) -> list[Finding]:
    bounds = _Bounds(increments)
    findings = []
    for read in of_key:
        if read.op is not Kind.GET or not read.is_ok or not read.is_linearizable:
            continue
        found = 0 if read.output is None else _number(read.output)
        low, high = bounds.of(read)
        if not low <= found <= high:
            detail = f"it held {found}; it can have held {low} to {high} only"
            findings.append(Finding("counter", detail, (read,)))
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

    def __init__(self, increments: list[Operation]) -> None:
        rises = [(each, _number(each.input or b"0")) for each in increments]
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


def _number(value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigurationError(f'"{to_cell(value)}" is no decimal number') from None
