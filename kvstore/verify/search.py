"""The search for a valid order of a register's steps.

The algorithm of Wing and Gong (1993) with the memory of Lowe ("Testing for linearizability", 2017),
as in Porcupine: place one step after another, each at a moment at which no unplaced step has yet
ended; go back where none fits; never search twice from the same *position*: the set of placed steps
and the value. It keeps its own stack, and counts what it does, so that a limit is the same in every
run.

A register allows more, and each rule here loses no order that matters:

- **What changes nothing is placed as soon as it fits.** If there is an order from here, moving the
  step to its front leaves all others as they are.
- **A value that is still needed, and that no unplaced step writes, is not overwritten.**
- **Of steps with the same effect only the one that ends first is tried**, and of optional ones,
  which never end, the one that began first: if another stands in its place, the two can be
  exchanged.
- **A write that is in nobody's way is placed without trying others** (`_is_in_nobodys_way`).
- **Optional steps that were used are a cost.** A position from which fewer of them were used, and
  which failed, rules out those with more (`_Seen`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from kvstore.verify.operation import Operation
from kvstore.verify.register import ANY, Steps

_ASK_EVERY: Final = 1024


@unique
class Verdict(Enum):
    """What can be said of a history."""

    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNDECIDED = "undecided"
    """The search was ended by its limit."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a search ended."""

    verdict: Verdict
    order: tuple[Operation, ...]
    """A valid order, if there is one; optional operations that are not needed are left out."""
    positions: int
    """How many were visited."""


class _Seen:
    """Positions from which there is no order, with the optional steps used on the way there."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: dict[tuple[int, int, int], list[int]] = {}

    def add(self, position: tuple[int, int, int], used: int) -> bool:
        """Whether `position` is new; not if it was reached with the same optional steps or less."""
        known = self._used.setdefault(position, [])
        for earlier in known:
            if earlier & ~used == 0:
                return False
        known.append(used)
        return True


@dataclass(slots=True)
class _Frame:
    """A position to come back to, and what is still to be tried from it."""

    base: int
    bits: int
    by_end: int
    value: int
    used: int
    placed: int
    untried: list[int]


class Search:
    """One search. Certain steps are numbered by invocation: all below `base` are placed, and of
    the others those whose bit, counted from `base`, is set in `bits`."""

    __slots__ = (
        "_avoided",
        "_avoids_left",
        "_base",
        "_bits",
        "_by_end",
        "_by_end_at",
        "_certain",
        "_classes",
        "_effects",
        "_has_optional_cas",
        "_needed",
        "_needed_optionally",
        "_placed",
        "_steps",
        "_used",
        "_value",
        "_writers",
    )

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._certain = steps.certain
        self._base = 0
        self._bits = 0
        # Certain steps by deadline, and the first of these that is not placed.
        self._by_end = sorted(range(steps.certain), key=lambda step: steps.deadline[step])
        self._by_end_at = 0
        self._value = steps.initial
        self._used = 0
        self._placed: list[int] = []
        # By value: unplaced certain steps that need it, all that would, that avoid it, that write.
        self._needed = [0] * steps.values
        self._needed_optionally = [0] * steps.values
        self._avoided = [0] * steps.values
        self._avoids_left = 0
        self._writers = [0] * steps.values
        for step in range(len(steps)):
            self._count(step, 1)
        self._effects = list(zip(steps.requires, steps.avoids, steps.writes, strict=True))
        # Optional steps by effect, each class by invocation.
        self._classes: dict[tuple[int, int, int], list[int]] = {}
        for step in range(steps.certain, len(steps)):
            self._classes.setdefault(self._effects[step], []).append(step)
        self._has_optional_cas = any(requires >= 0 for requires, _, _ in self._classes)

    def run(self, positions_max: int, should_stop: Callable[[], bool] = lambda: False) -> Found:
        """Searches at most `positions_max` positions; asks `should_stop` now and then."""
        frames: list[_Frame] = []
        seen = _Seen()
        visited = 0
        while True:
            visited += 1
            if visited > positions_max or (visited % _ASK_EVERY == 0 and should_stop()):
                return Found(Verdict.UNDECIDED, (), visited)
            pending = self._place_what_changes_nothing()
            if pending is None:
                order = tuple([self._steps.operations[step] for step in self._placed])
                return Found(Verdict.LINEARIZABLE, order, visited)
            if seen.add((self._base, self._bits, self._value), self._used):
                untried = self._candidates(pending)
                if untried:
                    frames.append(self._frame(untried))
            while frames and not frames[-1].untried:
                frames.pop()
            if not frames:
                return Found(Verdict.VIOLATION, (), visited)
            self._return_to(frames[-1])
            self._place(frames[-1].untried.pop())

    # Positions

    def _frame(self, untried: list[int]) -> _Frame:
        return _Frame(
            self._base,
            self._bits,
            self._by_end_at,
            self._value,
            self._used,
            len(self._placed),
            untried,
        )

    def _return_to(self, frame: _Frame) -> None:
        placed = self._placed
        while len(placed) > frame.placed:
            self._count(placed.pop(), 1)
        self._base, self._bits, self._by_end_at = frame.base, frame.bits, frame.by_end
        self._value, self._used = frame.value, frame.used

    def _place(self, step: int) -> None:
        self._placed.append(step)
        self._count(step, -1)
        if self._steps.writes[step] >= 0:
            self._value = self._steps.writes[step]
        if step < self._certain:
            self._bits |= 1 << (step - self._base)
        else:
            self._used |= 1 << (step - self._certain)

    def _count(self, step: int, by: int) -> None:
        steps = self._steps
        requires, avoids, writes = steps.requires[step], steps.avoids[step], steps.writes[step]
        if requires >= 0:
            self._needed_optionally[requires] += by
            if step < self._certain:
                self._needed[requires] += by
        if avoids >= 0:
            self._avoided[avoids] += by
            self._avoids_left += by
        if writes >= 0:
            self._writers[writes] += by

    def _is_placed(self, step: int) -> bool:
        return step < self._base or bool(self._bits >> (step - self._base) & 1)

    def _place_what_changes_nothing(self) -> list[int] | None:
        """Places such steps until none fits. Returns the unplaced certain steps that may come next;
        None when all are placed."""
        steps = self._steps
        while True:
            # Drop the ones at the low end.
            low = (~self._bits & (self._bits + 1)).bit_length() - 1
            self._base += low
            self._bits >>= low
            if self._base == self._certain:
                return None
            while self._is_placed(self._by_end[self._by_end_at]):
                self._by_end_at += 1
            pending = list(self._unplaced(steps.deadline[self._by_end[self._by_end_at]]))
            fitting = [step for step in pending if steps.writes[step] < 0 and self._fits(step)]
            if not fitting:
                return pending
            for step in fitting:
                self._place(step)

    def _unplaced(self, until: int) -> Iterator[int]:
        """The unplaced certain steps that were invoked at `until` or before, by invocation."""
        base = self._base
        end = bisect_right(self._steps.invoked, until, base, self._certain)
        left = ~self._bits & ((1 << (end - base)) - 1)
        while left:
            lowest = left & -left
            yield base + lowest.bit_length() - 1
            left ^= lowest

    def _fits(self, step: int) -> bool:
        requires, avoids, _writes = self._effects[step]
        return requires in (ANY, self._value) and avoids != self._value

    # What to try

    def _candidates(self, pending: list[int]) -> list[int]:
        """The writes to try from here, the last one first."""
        steps = self._steps
        deadline = steps.deadline
        by_effect: dict[tuple[int, int, int], int] = {}
        for step in pending:
            if steps.writes[step] >= 0 and self._fits(step) and self._may_overwrite(step):
                effect = self._effects[step]
                known = by_effect.get(effect)
                if known is None or deadline[step] < deadline[known]:
                    by_effect[effect] = step
        if not self._has_optional_cas and not any(
            requires >= 0 or avoids >= 0 for requires, avoids, _writes in by_effect
        ):
            for step in by_effect.values():
                if self._is_in_nobodys_way(step, pending):
                    return [step]
        until = deadline[self._by_end[self._by_end_at]]
        optional = [
            step
            for step in self._optional(until)
            if self._effects[step] not in by_effect and self._may_overwrite(step)
        ]
        certain = sorted(by_effect.values(), key=lambda step: -deadline[step])
        return [*reversed(optional), *certain]

    def _may_overwrite(self, step: int) -> bool:
        """Whether what needs the present value can still get it after `step`."""
        value, writes = self._value, self._steps.writes[step]
        if writes == value or self._writers[value]:
            return True
        needed = self._needed[value]
        if step < self._certain and self._steps.requires[step] == value:
            needed -= 1
        return not needed

    def _is_in_nobodys_way(self, step: int, pending: list[int]) -> bool:
        """Whether `step`, an unconditional write of v, can be placed now in place of any other.

        Take an order from here. Its first step is a write, as nothing else fits, and (as the caller
        has seen) one that does not ask for a value. If nothing needs v, or `step` is its only
        writer left and all that need it are reads that can come now: `step` and these reads can be
        moved to the front. The write that was first overwrites v; what followed `step` in its old
        place sees the value from before it, and neither needs v nor, as is made sure of here,
        avoids that value.
        """
        steps = self._steps
        value = steps.writes[step]
        if self._needed_optionally[value]:
            if self._writers[value] != 1:
                return False
            requires, writes = steps.requires, steps.writes
            reads = sum([requires[each] == value and writes[each] < 0 for each in pending])
            if reads != self._needed_optionally[value]:
                return False
        if self._avoids_left:
            until = steps.deadline[step]
            for other in (*self._unplaced(until), *self._optional(until)):
                if steps.writes[other] >= 0 and self._avoided[steps.writes[other]]:
                    return False
        return True

    def _optional(self, until: int) -> Iterator[int]:
        """The optional steps to try, invoked at `until` or before: the first of each effect."""
        steps = self._steps
        for (requires, avoids, writes), members in self._classes.items():
            if requires not in (ANY, self._value) or avoids == self._value:
                continue
            if not self._needed_optionally[writes] and not self._avoids_left:
                continue
            for step in members:
                if not self._used >> (step - self._certain) & 1:
                    if steps.invoked[step] <= until:
                        yield step
                    break
