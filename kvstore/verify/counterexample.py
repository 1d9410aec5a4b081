"""From a key that was judged bad, the few operations that show it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kvstore.verify.decide import Limits, decide, find_order, never
from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.register import Effect, effect_of
from kvstore.verify.search import Verdict
from kvstore.verify.table import operations_table

_CHECKS_MAX: Final = 2000
_NEEDING_MAX: Final = 4
_POSITIONS_MAX: Final = 20_000
"""Of one check: what takes longer is not worth one operation less."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Why a key is not linearizable."""

    operations: tuple[Operation, ...]
    """They cannot be ordered, and without any one of them the others can, unless the effort for
    that was bounded. By invocation. What had not returned by `until_ns` counts as unknown. Of a
    `cas` it may count only that it wrote, of a delete that it deleted."""
    until_ns: int
    """The answers up to here cannot all be right; those before it can."""
    prefix: tuple[Operation, ...]
    """A valid order of all that was answered before `until_ns`, as far as one was found."""

    def table(self) -> str:
        """`operations` as text."""
        return operations_table(self.operations)


def find_counterexample(
    operations: Sequence[Operation],
    initial: bytes | None = None,
    should_stop: Callable[[], bool] = never,
) -> Counterexample:
    """Explains one key's register operations, which were judged a violation.

    Once `should_stop`, what was found until then is given, which may be more than is needed.
    """
    bounds = Limits(_POSITIONS_MAX, should_stop)
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
    while low < high and not limits.should_stop():
        middle = (low + high) // 2
        if _is_bad(operations, moments[middle], limits, initial):
            high = middle
        else:
            low = middle + 1
    return moments[high]


def _unconditional(operation: Operation) -> Operation | None:
    """A write that says nothing of the value before; None where it is none, or none any more."""
    if operation.outcome is Ending.FAIL or operation.applied is False:
        return None
    if operation.op is Kind.DELETE and operation.applied:
        return replace(operation, applied=None)
    if operation.op is Kind.CAS and operation.input != operation.expected:
        kind = Kind.DELETE if operation.input is None else Kind.PUT
        return replace(operation, op=kind, expected=None, applied=None)
    return None


def _ends_by(operation: Operation, moment_ns: int) -> bool:
    return operation.returned_ns is not None and operation.returned_ns <= moment_ns


class _Shrinker:
    """Removes operations while the rest stays bad, first many at a time.

    A read may always go: what was orderable with it is so without. A write may go only when nothing
    that is kept can have seen its value, or avoids any: then it leaves no trace in a valid order,
    so that a rest that is bad without it proves that it was bad with it. So that little is needed
    or avoided, it is forgotten first of deletes that they found the key, and of each `cas` what it
    needed: what is bad while less is said is so when more is.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        until_ns: int,
        limits: Limits,
        initial: bytes | None,
    ) -> None:
        self._kept = [each for each in operations if each.invoked_ns <= until_ns]
        self._originals: dict[int, Operation] = {}
        """Of operations of which something was forgotten, by identity."""
        self._until_ns = until_ns
        self._limits = limits
        self._initial = initial
        self._checks = 0

    @property
    def kept(self) -> list[Operation]:
        """What is left, as it was at first."""
        return [self._originals.get(id(each), each) for each in self._kept]

    def shrink(self) -> None:
        """Leaves in `kept` what is needed."""
        self._forget_conditions()
        self._try([place for place, effect in enumerate(self._effects()) if effect.avoids])
        size = max(1, len(self._kept) // 2)
        while self._may_go_on():
            before = len(self._kept)
            self._remove_runs(size)
            if size > 1:
                size //= 2
            elif len(self._kept) == before:
                return

    def _forget_conditions(self) -> None:
        """All of them, or as many at a time as may."""
        size = len(self._kept)
        while size and self._may_go_on():
            places = [place for place, each in enumerate(self._kept) if _unconditional(each)]
            for first in range(0, len(places), size):
                self._forget(places[first : first + size])
            size = min(size, len(places)) // 4

    def _forget(self, places: Sequence[int]) -> None:
        less = list(self._kept)
        for place in places:
            less[place] = _unconditional(less[place]) or less[place]
        self._checks += 1
        if self._may_go_on() and _is_bad(less, self._until_ns, self._limits, self._initial):
            for place in places:
                self._originals[id(less[place])] = self._kept[place]
            self._kept = less

    def _may_go_on(self) -> bool:
        return self._checks < _CHECKS_MAX and not self._limits.should_stop()

    def _remove_runs(self, size: int) -> None:
        place = 0
        while place < len(self._kept) and self._may_go_on():
            run = range(place, min(place + size, len(self._kept)))
            if not self._try(run):
                place += size

    def _effects(self) -> list[Effect]:
        known = _as_known_at(self._kept, self._until_ns)
        return [effect_of(each) or Effect() for each in known.values()]

    def _try(self, places: Sequence[int]) -> bool:
        """Removes the operations at `places`, and what cannot stay without them, if it can."""
        rest = self._without(places)
        if len(rest) == len(self._kept):
            return False
        self._checks += 1
        if not _is_bad(rest, self._until_ns, self._limits, self._initial):
            return False
        self._kept = rest
        return True

    def _is_nobodys_source(
        self,
        place: int,
        needing: Sequence[int],
        effects: Sequence[Effect],
        leaving: Collection[int],
    ) -> bool:
        """Whether no step in `needing` can see the value from this write: each had ended before, or
        comes after another write that stays and that comes after this one. The last write of a
        value counts as its source all the same: who reads the rest asks where it came from."""
        write, value = self._kept[place], effects[place].writes
        if write.returned_ns is None or len(needing) > _NEEDING_MAX:
            return False
        writers = [p for p, effect in enumerate(effects) if effect.writes == value]
        if all(writer in leaving for writer in writers):
            return False
        for each in needing:
            reader = self._kept[each]
            if reader.returned_ns is not None and reader.returned_ns < write.invoked_ns:
                continue
            if not any(
                effect.writes is not None
                and effect.requires is None  # else it might go with what it needs
                and between not in leaving
                and self._kept[between].is_ok
                and write.returned_ns < self._kept[between].invoked_ns
                and _ends_by(self._kept[between], reader.invoked_ns - 1)
                for between, effect in enumerate(effects)
            ):
                return False
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
        leaving = set(places)
        while going:
            place = going.pop()
            if not gone[place]:
                gone[place] = True
                needing = by_need.get(effects[place].writes, ())
                if not self._is_nobodys_source(place, needing, effects, leaving):
                    going.extend(needing)
        writes_go = any(gone[place] and effect.writes for place, effect in enumerate(effects))
        avoids_stay = any(not gone[place] and effect.avoids for place, effect in enumerate(effects))
        if writes_go and avoids_stay:
            return self._kept
        return [each for place, each in enumerate(self._kept) if not gone[place]]
