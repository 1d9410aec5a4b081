"""From a key that was judged bad, the few operations that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from kvstore.verify.decide import Limits, decide, find_order
from kvstore.verify.operation import Ending, Operation
from kvstore.verify.register import Effect, effect_of
from kvstore.verify.search import Verdict
from kvstore.verify.table import operations_table

_CHECKS_MAX: Final = 2000
_POSITIONS_MAX: Final = 20_000
"""Of one check: what takes longer is not worth one operation less."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Why a key is not linearizable."""

    operations: tuple[Operation, ...]
    """They cannot be ordered, and without any one of them the others can, unless the effort for
    that was bounded. By invocation. What had not returned by `until_ns` counts as unknown."""
    until_ns: int
    """The answers up to here cannot all be right; those before it can."""
    prefix: tuple[Operation, ...]
    """A valid order of all that was answered before `until_ns`, as far as one was found."""

    def table(self) -> str:
        """`operations` as text."""
        return operations_table(self.operations)


def find_counterexample(
    operations: Sequence[Operation], initial: bytes | None = None
) -> Counterexample:
    """Explains one key's register operations, which were judged a violation."""
    bounds = Limits(_POSITIONS_MAX)
    until_ns = _first_wrong_answer(operations, bounds, initial)
    shrinker = _Shrinker(operations, until_ns, bounds, initial)
    shrinker.shrink()
    answered_before = _as_known_at(operations, until_ns - 1)
    order = find_order(list(answered_before.values()), bounds, initial)
    originals = {id(known): operations[place] for place, known in answered_before.items()}
    return Counterexample(
        operations=tuple(sorted(shrinker.kept, key=lambda each: each.invoked_ns)),
        until_ns=until_ns,
        prefix=tuple([originals[id(each)] for each in order]),
    )


def _as_known_at(operations: Sequence[Operation], at_ns: int) -> dict[int, Operation]:
    """What was known at that time, by place in `operations`: answers to come are unknown."""
    known: dict[int, Operation] = {}
    for place, operation in enumerate(operations):
        returned_ns = operation.returned_ns
        if operation.invoked_ns > at_ns:
            continue
        if returned_ns is None or returned_ns <= at_ns or operation.outcome is Ending.FAIL:
            known[place] = operation
        else:
            known[place] = replace(
                operation,
                outcome=Ending.UNKNOWN,
                returned_ns=None,
                output=None,
                applied=None,
                receipt=None,
            )
    return known


def _is_bad(
    operations: Sequence[Operation], at_ns: int, limits: Limits, initial: bytes | None
) -> bool:
    known = list(_as_known_at(operations, at_ns).values())
    return decide(known, limits, initial).verdict is Verdict.VIOLATION


def _first_wrong_answer(
    operations: Sequence[Operation], limits: Limits, initial: bytes | None
) -> int:
    """The earliest moment by which the history is bad: from there on it stays so."""
    moments = sorted({each.returned_ns for each in operations if each.returned_ns is not None})
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if _is_bad(operations, moments[middle], limits, initial):
            high = middle
        else:
            low = middle + 1
    return moments[low]


class _Shrinker:
    """Removes operations while the rest stays bad, first many at a time.

    A read may always go: what was orderable with it is so without. A write may go only when nothing
    that is kept needs its value, or avoids any: then it leaves no trace in a valid order, so that a
    rest that is bad without it proves that it was bad with it.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        until_ns: int,
        limits: Limits,
        initial: bytes | None,
    ) -> None:
        self.kept = [each for each in operations if each.invoked_ns <= until_ns]
        self._until_ns = until_ns
        self._limits = limits
        self._initial = initial
        self._checks = 0

    def shrink(self) -> None:
        """Leaves in `kept` what is needed."""
        self._try([place for place, effect in enumerate(self._effects()) if effect.avoids])
        size = max(1, len(self.kept) // 2)
        while self._checks < _CHECKS_MAX:
            before = len(self.kept)
            self._remove_runs(size)
            if size > 1:
                size //= 2
            elif len(self.kept) == before:
                return

    def _remove_runs(self, size: int) -> None:
        place = 0
        while place < len(self.kept) and self._checks < _CHECKS_MAX:
            run = range(place, min(place + size, len(self.kept)))
            if not self._try(run):
                place += size

    def _effects(self) -> list[Effect]:
        known = _as_known_at(self.kept, self._until_ns)
        return [effect_of(each) or Effect() for each in known.values()]

    def _try(self, places: Sequence[int]) -> bool:
        """Removes the operations at `places`, and what cannot stay without them, if it can."""
        rest = self._without(places)
        if len(rest) == len(self.kept):
            return False
        self._checks += 1
        if not _is_bad(rest, self._until_ns, self._limits, self._initial):
            return False
        self.kept = rest
        return True

    def _without(self, places: Sequence[int]) -> list[Operation]:
        """What is left without `places`; everything, if they cannot go."""
        effects = self._effects()
        by_need: dict[object, list[int]] = {}
        for place, effect in enumerate(effects):
            if effect.requires is not None:
                by_need.setdefault(effect.requires, []).append(place)
        gone = [False] * len(effects)
        going = list(places)
        while going:
            place = going.pop()
            if not gone[place]:
                gone[place] = True
                going.extend(by_need.get(effects[place].writes, ()))
        writes_go = any(gone[place] and effect.writes for place, effect in enumerate(effects))
        avoids_stay = any(not gone[place] and effect.avoids for place, effect in enumerate(effects))
        if writes_go and avoids_stay:
            return self.kept
        return [each for place, each in enumerate(self.kept) if not gone[place]]
