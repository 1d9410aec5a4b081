"""Histories whose end is missing: what they show all the same.

What records a history writes a line when an operation ends. If it is ended itself, the lines of
operations that were under way are lost, and perhaps some more; their effects are not, and others
may have read them. So an answer that looks wrong may be right.

Where the operations of each client come one after another, and its lines in that order, those that
are lost began after what is known last of their client. Before the earliest of these moments, the
*horizon*, nothing is missing: of what had begun by then all that had ended is known, and what had
not may have taken effect or not. No order of all operations, the lost ones included, can be valid
where there is none of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kvstore.verify.operation import READS, Ending, Operation


def horizon_ns(operations: Iterable[Operation], clients: int) -> int:
    """The moment before which nothing is missing. 0: there is none that is known, as not all of
    `clients` are among them, or those of one overlap or are out of order."""
    ends: dict[int, int] = {}
    for each in operations:
        if each.invoked_ns < ends.get(each.client, 0):
            return 0
        # Without an answer it has ended at some time after its beginning.
        ends[each.client] = each.invoked_ns if each.returned_ns is None else each.returned_ns
    return min(ends.values(), default=0) if len(ends) >= clients else 0


def before(horizon_ns: int, operations: Sequence[Operation]) -> list[Operation]:
    """What is known of `operations` without what was heard from the horizon on."""
    return [known for each in operations if (known := _before(horizon_ns, each)) is not None]


def _before(horizon_ns: int, each: Operation) -> Operation | None:
    if each.invoked_ns >= horizon_ns:
        return None
    if each.returned_ns is None or each.returned_ns < horizon_ns:
        return each
    if each.op in READS or each.outcome is Ending.FAIL:
        return None
    return replace(
        each, outcome=Ending.UNKNOWN, returned_ns=None, output=None, outputs=None, applied=None
    )
