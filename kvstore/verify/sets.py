"""Sets: elements that were lost, that are there twice, that nobody added, or that came back.

Each read of a set is held against the adds and removes of each element. An operation *precedes*
another if it returned before the other was invoked.

- **Lost**: an add that was acknowledged precedes the read, no remove can have taken effect since,
  and the element is not there.
- **Resurrected**: a remove that was acknowledged precedes the read and follows every add, and the
  element is there.
- **Made up**: the element is there, and no add of it was invoked before the read returned.
- **Duplicated**: the element is there more than once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kvstore.codec.text import to_cell
from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation

_NEVER_NS: Final = 1 << 80


@dataclass(slots=True)
class _Element:
    """What was done to one element; what certainly failed is not among it."""

    adds: list[Operation] = field(default_factory=list)
    removes: list[Operation] = field(default_factory=list)
    first_begun_ns: int = _NEVER_NS
    """When the first of its adds was invoked, and when the first was acknowledged."""
    first_done_ns: int = _NEVER_NS

    def add(self, operation: Operation) -> None:
        """One more of `adds`."""
        self.adds.append(operation)
        self.first_begun_ns = min(self.first_begun_ns, operation.invoked_ns)
        if operation.returned_ns is not None:
            self.first_done_ns = min(self.first_done_ns, operation.returned_ns)


_NOTHING: Final = _Element()


def judge_sets(history: History) -> list[Finding]:
    """What is wrong with the sets of `history`; of each, as `judge_set` says."""
    findings = []
    for of_key in history.by_key().values():
        findings.extend(judge_set(of_key))
    return findings


def judge_set(operations: Sequence[Operation]) -> list[Finding]:
    """What is wrong with one set, in the order of its reads; one finding for each read and element
    at most."""
    elements: dict[bytes, _Element] = {}
    for each in operations:
        if each.input is None or each.outcome is Ending.FAIL:
            continue
        if each.op is Kind.ADD:
            elements.setdefault(each.input, _Element()).add(each)
        elif each.op is Kind.REMOVE:
            elements.setdefault(each.input, _Element()).removes.append(each)
    findings = []
    for read in operations:
        if read.op is not Kind.MEMBERS or read.outputs is None:
            continue
        if read.is_linearizable:
            findings.extend(_judge_read(read, read.outputs, elements))
    return findings


def _judge_read(
    read: Operation, members: tuple[bytes, ...], elements: dict[bytes, _Element]
) -> list[Finding]:
    findings = []
    counts = Counter(members)
    end_ns, begin_ns = read.returned_ns or 0, read.invoked_ns
    for value, count in counts.items():
        element = elements.get(value, _NOTHING)
        # Of nearly all elements this says enough.
        if count > 1 or element.removes or element.first_begun_ns > end_ns:
            findings.extend(_judge_present(read, value, count, element))
    for value, element in elements.items():
        if value not in counts and element.first_done_ns < begin_ns:
            findings.extend(_judge_absent(read, value, element))
    return findings


def _judge_present(read: Operation, value: bytes, count: int, element: _Element) -> list[Finding]:
    name = to_cell(value)
    if count > 1:
        return [Finding("set", f'"{name}" is duplicated', (read,))]
    begun = [add for add in element.adds if not _precedes(read, add)]
    if not begun:
        return [Finding("set", f'"{name}" is made up: nobody had added it', (read,))]
    for remove in element.removes:
        if _precedes(remove, read) and all(_precedes(add, remove) for add in begun):
            shown = (*begun, remove, read)
            return [Finding("set", f'"{name}" is resurrected: it was removed', shown)]
    return []


def _judge_absent(read: Operation, value: bytes, element: _Element) -> list[Finding]:
    for add in element.adds:
        if _precedes(add, read) and all(
            _precedes(remove, add) or _precedes(read, remove) for remove in element.removes
        ):
            detail = f'"{to_cell(value)}" is lost: it was added, and nobody removed it'
            return [Finding("set", detail, (add, read))]
    return []


def _precedes(first: Operation, second: Operation) -> bool:
    return first.returned_ns is not None and first.returned_ns < second.invoked_ns
