"""Why a counter cannot have held what a read found: an earlier read, and what came between.

Bounds are drawn from all increments that there are, which shows nobody anything. Most wrong reads
are wrong by what was read shortly before, too: then a handful of operations tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvstore.verify.finding import Finding
from kvstore.verify.operation import Operation

Valued = tuple[Operation, int]
"""A read with what it found, or an increment with its amount."""

_BETWEEN_MAX: Final = 30


def explain_read(
    read: Valued, reads: Sequence[Valued], increments: Sequence[Valued]
) -> Finding | None:
    """What shows that `read` is wrong, by the last of `reads` that had ended before it began; None
    where that shows nothing. The amounts are above 0."""
    operation, found = read
    earlier = max(
        [each for each in reads if _precedes(each[0], operation)],
        key=lambda each: each[0].invoked_ns,
        default=None,
    )
    if earlier is None:
        return None
    before, held = earlier
    possible = [
        each
        for each in increments
        if not _precedes(each[0], before) and not _precedes(operation, each[0])
    ]
    certain = [
        each for each in possible if _precedes(before, each[0]) and _precedes(each[0], operation)
    ]
    most, least = held + _sum(possible), held + _sum(certain)
    head = f"it held {found} after it had held {held}"
    if found > most and len(possible) <= _BETWEEN_MAX:
        detail = f"{head}; what can have come between adds up to {most - held} only"
        return Finding("counter", detail, _shown(before, possible, operation))
    if found < least and len(certain) <= _BETWEEN_MAX:
        detail = f"{head}; what came between for certain adds up to {least - held}"
        return Finding("counter", detail, _shown(before, certain, operation))
    return None


def _shown(before: Operation, between: Sequence[Valued], read: Operation) -> tuple[Operation, ...]:
    every = (before, *[each for each, _amount in between], read)
    return tuple(sorted(every, key=lambda each: each.invoked_ns))


def _sum(increments: Sequence[Valued]) -> int:
    return sum([amount for _each, amount in increments])


def _precedes(first: Operation, second: Operation) -> bool:
    return first.returned_ns is not None and first.returned_ns < second.invoked_ns
