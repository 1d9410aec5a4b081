"""A quick test that needs no search: some registers it refutes, and some it decides.

Where a value has a single writer, the write and the steps that require the value are a *cluster*:
they stand together in any valid order. Any other write is a cluster by itself. Let `first_end` be
the earliest deadline in a cluster and `last_start` the latest invocation. A step that ends before
another begins comes before it. So some step of cluster A has to come before some step of B exactly
if `A.first_end < B.last_start`.

**Refuted.** If that holds both ways, there is no order: neither can A stand before B nor B before
A. (A `cas` is in two clusters, as the last step of one and the first of the next. Then one of the
two ways is impossible by itself.) Of such a pair at least one is *forward*, `first_end <
last_start`, and forward clusters without conflicts do not overlap: sorting finds the pairs.

**Decided.** Where writes are unconditional and every value that is required has a single writer, a
history without such a pair has an order (Gibbons and Korach, "Testing Shared Memories", 1997). Say
that A has to come before B as above. There is no cycle: take the shortest, which is longer than a
pair; let A be its cluster with the earliest `first_end`, P the one before A, and Q the one before
P. From `A.first_end ≤ Q.first_end < P.last_start`, A has to come before P as P before A: a pair
after all. So the clusters can be put in a row, each with its write first.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Final

from kvstore.verify.register import Steps

_BEFORE_ALL_NS: Final = -1


def is_refuted_by_zones(steps: Steps) -> bool:
    """Whether two clusters show that there is no order."""
    clusters = _clusters(steps)
    if clusters is None:
        return True
    forward = sorted(cluster for cluster in clusters if cluster[0] < cluster[1])
    if any(later[0] < earlier[1] for earlier, later in pairwise(forward)):
        return True
    first_ends = [first_end for first_end, _last_start in forward]
    for first_end, last_start in clusters:
        if last_start <= first_end:
            # Of those that would have to come before it, the last is the one that may enclose it.
            before = bisect_left(first_ends, last_start) - 1
            if before >= 0 and first_end < forward[before][1]:
                return True
    return False


def is_decided_by_zones(steps: Steps) -> bool:
    """Whether `steps` have an order exactly if they are not refuted."""
    if steps.certain < len(steps) or any(avoids >= 0 for avoids in steps.avoids):
        return False
    if any(r >= 0 and w >= 0 for r, w in zip(steps.requires, steps.writes, strict=True)):
        return False
    sources = _sources(steps)
    return all(requires < 0 or sources[requires] == 1 for requires in steps.requires)


def _sources(steps: Steps) -> list[int]:
    """By value: how many steps write it, and one more for the value at the start."""
    sources = [0] * steps.values
    sources[steps.initial] = 1
    for writes in steps.writes:
        if writes >= 0:
            sources[writes] += 1
    return sources


def _clusters(steps: Steps) -> list[tuple[int, int]] | None:
    """(first_end, last_start) of each cluster; None if a step ends before its value is written."""
    sources = _sources(steps)
    first_end = {steps.initial: _BEFORE_ALL_NS}
    last_start = {steps.initial: _BEFORE_ALL_NS}
    begun = {steps.initial: _BEFORE_ALL_NS}
    alone: list[tuple[int, int]] = []
    for place in range(steps.certain):
        writes = steps.writes[place]
        if writes > 0 and sources[writes] == 1:
            begun[writes] = last_start[writes] = steps.invoked[place]
            first_end[writes] = steps.deadline[place]
        elif writes >= 0:
            alone.append((steps.deadline[place], steps.invoked[place]))
    for place in range(steps.certain):
        requires = steps.requires[place]
        if requires >= 0 and sources[requires] == 1:
            if steps.deadline[place] < begun[requires]:
                return None
            first_end[requires] = min(first_end[requires], steps.deadline[place])
            last_start[requires] = max(last_start[requires], steps.invoked[place])
    if sources[steps.initial] > 1:  # it may come back: what requires it need not stand together
        del first_end[steps.initial]
    return [*alone, *((end, last_start[value]) for value, end in first_end.items())]
