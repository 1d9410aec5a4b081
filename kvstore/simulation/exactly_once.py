"""Judges what visitors did: that each change was made once, and that keys end when they may.

What a change came to tells where among the others it stands: the sums of a counter, the lengths of
a list. So an acknowledged one that was made twice, or not, or out of order is seen without search.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.kernel import NS_PER_S
from kvstore.simulation.recorder import Record
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.sums import judge_counters

_INVARIANT: Final = "exactly once"
_ELEMENT: Final = re.compile(rb"<[0-9.]+>")
_ROUNDING_NS: Final = 2_000_000
"""The partition's clock counts milliseconds."""

Jumps = Sequence[tuple[int, float]]
"""When clocks went ahead, in the order of time, and by how many seconds."""


def judge_changes(records: Iterable[Record], history: History) -> None:
    """Raises Violation for the first change that was made twice, or was lost."""
    for finding in judge_counters(history):
        raise Violation(_INVARIANT, finding.text())
    of_key: dict[bytes, list[Record]] = {}
    for record in records:
        of_key.setdefault(record.key, []).append(record)
    for key, of_one in of_key.items():
        if any(each.op == "increment" for each in of_one):
            _judge_sums(key, of_one)
        if any(each.op == "append" for each in of_one):
            _judge_list(key, of_one)


def _judge_sums(key: bytes, records: Iterable[Record]) -> None:
    """Acknowledged increments, all of more than 0, come to sums that leave room for each, in an
    order in which they can have happened."""
    done = _done(records, "increment")
    before = 0
    for record in done:
        came_to = record.number or 0
        if came_to - int(record.input or b"0") < before:
            raise _misfit(key, record, f"came to {came_to}, and one before it to {before}")
        before = came_to
    _judge_order(key, done)


def _judge_list(key: bytes, records: Sequence[Record]) -> None:
    """Each element stands where its append was told, and nowhere else."""
    reads = [each for each in records if each.op == "get" and each.outcome == "ok"]
    last = max(reads, key=lambda each: each.invoked_ns, default=None)
    if last is None:
        return
    text = last.output or b""
    elements = _ELEMENT.findall(text)
    if b"".join(elements) != text:
        raise Violation(_INVARIANT, f"{key!r} holds {text!r}, which nobody has appended")
    places: dict[bytes, int] = {}
    end = 0
    for element in elements:
        if element in places:
            raise Violation(_INVARIANT, f"{key!r} holds {element!r} twice: {text!r}")
        end += len(element)
        places[element] = end
    appends = {each.input: each for each in records if each.op == "append"}
    for element, record in appends.items():
        place = places.get(element or b"")
        was_sure = record.outcome == "ok" and (record.returned_ns or 0) < last.invoked_ns
        if (was_sure and place is None) or (record.outcome == "fail" and place is not None):
            raise _misfit(key, record, f"and {key!r} holds {text!r}")
        if record.outcome == "ok" and place is not None and place != record.number:
            raise _misfit(key, record, f"came to {record.number}, and ends at {place} of {text!r}")
    foreign = [element for element in elements if element not in appends]
    if foreign:
        raise Violation(_INVARIANT, f"{key!r} holds {foreign[0]!r}, which nobody has appended")
    _judge_order(key, _done(records, "append"))


def _done(records: Iterable[Record], op: str) -> list[Record]:
    """The acknowledged ones, by what they came to."""
    done = [each for each in records if each.op == op and each.outcome == "ok"]
    return sorted(done, key=lambda each: each.number or 0)


def _judge_order(key: bytes, done: Sequence[Record]) -> None:
    """Who began after another was told comes to more."""
    begun_last = None
    for record in done:
        if begun_last is not None and (record.returned_ns or 0) < begun_last.invoked_ns:
            raise _misfit(
                key, begun_last, f"came to {begun_last.number}, less than one that had ended before"
            )
        if begun_last is None or record.invoked_ns > begun_last.invoked_ns:
            begun_last = record


def _misfit(key: bytes, record: Record, detail: str) -> Violation:
    given = (record.input or b"").decode()
    return Violation(
        _INVARIANT,
        f"{record.op} of {key.decode()} by {given}, c{record.client}, {record.outcome}: {detail}",
    )


# --- lifetimes


def ends_of(records: Iterable[Record], fastest: float, jumps: Jumps) -> list[Operation]:
    """The ends of all values with a lifetime, as deletes that may happen once from then on, or not.

    The judge of registers then finds a key that ended too early, and one that came back. `fastest`
    is the rate of the fastest clock.
    """
    writes: dict[tuple[bytes, bytes | None], list[Record]] = {}
    for record in records:
        if record.ttl_s is not None and record.outcome != "fail":
            value = record.input if record.op == "put" else record.expected
            writes.setdefault((record.key, value), []).append(record)
    return [
        Operation(
            client=0,
            op=Kind.DELETE,
            key=key,
            invoked_ns=min(_earliest_ns(each, fastest, jumps) for each in _may_be_last(lifetimes)),
            outcome=Ending.UNKNOWN,
        )
        for (key, _value), lifetimes in writes.items()
    ]


def _may_be_last(lifetimes: Sequence[Record]) -> list[Record]:
    """Those which may be the one that holds: none is known to have come after them. A touch, which
    names the value, comes after its put."""
    touches = [each for each in lifetimes if each.op == "touch" and each.outcome == "ok"]
    return [
        each
        for each in lifetimes
        if not (each.op == "put" and touches)
        and not any(
            each.returned_ns is not None and touch.invoked_ns > each.returned_ns
            for touch in touches
        )
    ]


def _earliest_ns(record: Record, fastest: float, jumps: Jumps) -> int:
    """When the lifetime that `record` gave can be over, if the fastest clock counts, and each that
    went ahead counted then."""
    at_ns, left_s = record.invoked_ns, record.ttl_s or 0.0
    for when_ns, ahead_s in jumps:
        if when_ns < at_ns:
            continue
        until_jump_s = (when_ns - at_ns) / NS_PER_S * fastest
        if until_jump_s >= left_s:
            break
        at_ns, left_s = when_ns, left_s - until_jump_s - ahead_s
        if left_s <= 0:
            break
    over_ns = at_ns + int(max(left_s, 0.0) / fastest * NS_PER_S)
    return max(record.invoked_ns, over_ns - _ROUNDING_NS)
