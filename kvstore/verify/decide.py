"""Whether one key's operations have a valid order: by proof where one is quick, else by search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvstore.verify.operation import Operation
from kvstore.verify.register import Steps, make_steps
from kvstore.verify.search import Found, Search, Verdict
from kvstore.verify.zones import is_decided_by_zones, is_refuted_by_zones


def never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent on one key. In positions of the search, so that every run ends alike."""

    positions_max: int = 500_000
    should_stop: Callable[[], bool] = never
    """Asked now and then: ends the search early, for callers with a clock."""


def decide(operations: Sequence[Operation], limits: Limits, initial: bytes | None = None) -> Found:
    """What can be said of one key's register operations; gives no order where it need not search.

    A search that reaches its limit is UNDECIDED.
    """
    steps = make_steps(operations, initial)
    if _is_impossible(steps) or is_refuted_by_zones(steps):
        return Found(Verdict.VIOLATION, (), 0)
    if is_decided_by_zones(steps):
        return Found(Verdict.LINEARIZABLE, (), 0)
    return Search(steps).run(limits.positions_max, limits.should_stop)


def find_order(
    operations: Sequence[Operation], limits: Limits, initial: bytes | None = None
) -> tuple[Operation, ...]:
    """A valid order of one key's register operations; empty if none is found."""
    return Search(make_steps(operations, initial)).run(limits.positions_max).order


def _is_impossible(steps: Steps) -> bool:
    """Whether a value was read that nobody wrote, or before it was written."""
    written = [False] * steps.values
    written[steps.initial] = True
    for writes in steps.writes:
        if writes >= 0:
            written[writes] = True
    for place in range(steps.certain):
        requires = steps.requires[place]
        if steps.deadline[place] < steps.invoked[place]:
            return True
        if requires >= 0 and not written[requires]:
            return True
    return False
