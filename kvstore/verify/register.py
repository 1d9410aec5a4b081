"""Operations on one key as steps of a register: what each needs of the value, and leaves as it.

| operation | requires | avoids | writes |
| --- | --- | --- | --- |
| get that read v | v | | |
| put v | | | v |
| delete; that found a key; that found none | ; ; absent | ; absent; | absent; absent; |
| cas e → v that wrote; that did not | e; | ; e | v; |

Steps that certainly took effect (*certain*) have to be placed at a moment between their invocation
and their deadline. Those whose outcome is unknown (*optional*) may be placed at any moment from
their invocation on, or left out. What certainly failed and reads without an answer say nothing.

Before any search, what follows without one is put to use; each rule below keeps the verdict:

1. **A value that was read was written.** Where only one operation can have written it, and it was
   not there at the start, that operation took effect no later than the first of its readers ended
   (an optional step becomes certain), and its readers took effect no earlier than it was invoked.
2. **An optional write that nobody needs is dropped**, unless there is an `avoids` on the key. Take
   a valid order with it: nothing between it and the next write requires its value, since nothing
   does at all, and nothing avoids what stood there before; so the order is valid without it. This
   is what keeps writes without an answer, which linger for ever, from doubling the search each.
3. **Values that nothing requires or avoids are the same value**, as no step tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvstore.verify.operation import Ending, Kind, Operation

Value = tuple[bytes | None]
"""A value that a register may hold; (None,): absent."""

ANY: Final = -1
"""Nothing is required, avoided or written."""
_ABSENT: Final[Value] = (None,)
_NEVER_NS: Final = 1 << 80


@dataclass(frozen=True, slots=True)
class Effect:
    """What an operation needs of the value and does to it; None: nothing."""

    requires: Value | None = None
    avoids: Value | None = None
    writes: Value | None = None


def effect_of(operation: Operation) -> Effect | None:
    """The table above; None where nothing is to be learnt, nor could have been changed."""
    if operation.outcome is Ending.FAIL:
        return None
    certain = operation.outcome is Ending.OK
    written, expected = (operation.input,), (operation.expected,)
    effect: Effect | None = None
    match operation.op:
        case Kind.GET if certain:
            effect = Effect(requires=(operation.output,))
        case Kind.PUT:
            effect = Effect(writes=written)
        case Kind.DELETE if operation.applied is None:
            effect = Effect(writes=_ABSENT)
        case Kind.DELETE if operation.applied:
            effect = Effect(avoids=_ABSENT, writes=_ABSENT)
        case Kind.DELETE:
            effect = Effect(requires=_ABSENT)
        case Kind.CAS if certain and not operation.applied:
            effect = Effect(avoids=expected)
        case Kind.CAS if written != expected:
            effect = Effect(requires=expected, writes=written)
        case Kind.CAS if certain:
            effect = Effect(requires=expected)
    return effect


@dataclass(slots=True)
class Steps:
    """Parallel lists, one place a step: the certain ones by invocation, then the optional ones."""

    operations: list[Operation]
    invoked: list[int]
    deadline: list[int]
    """The last moment at which the step can take effect."""
    requires: list[int]
    avoids: list[int]
    writes: list[int]
    certain: int
    """How many are certain."""
    values: int
    """Values are numbered from 0 to `values` - 1; equal numbers are equal values."""
    initial: int
    """The value at the start."""

    def __len__(self) -> int:
        return len(self.operations)


@dataclass(slots=True)
class _Step:
    operation: Operation
    invoked: int
    deadline: int
    requires: int
    avoids: int
    writes: int
    certain: bool
    dropped: bool = False


class _Maker:
    """Makes the steps of one key."""

    def __init__(self, initial: bytes | None) -> None:
        self._values: dict[Value, int] = {}
        self._initial = self._value((initial,))
        self._steps: list[_Step] = []
        self._writers: list[list[_Step]] = []
        self._readers: list[list[_Step]] = []
        """Certain or optional, by what they require."""
        self._any_avoids = False

    def make(self, operations: Sequence[Operation]) -> Steps:
        for operation in operations:
            effect = effect_of(operation)
            if effect is not None:
                self._steps.append(self._step(operation, effect))
        self._writers = [[] for _ in self._values]
        self._readers = [[] for _ in self._values]
        for step in self._steps:
            if step.writes >= 0:
                self._writers[step.writes].append(step)
            if step.requires >= 0:
                self._readers[step.requires].append(step)
            self._any_avoids |= step.avoids >= 0
        self._bind_readers_to_writers()
        if not self._any_avoids:
            self._drop_what_nobody_needs()
        self._merge_values()
        return self._finish()

    def _value(self, value: Value | None) -> int:
        return ANY if value is None else self._values.setdefault(value, len(self._values))

    def _step(self, operation: Operation, effect: Effect) -> _Step:
        returned = operation.returned_ns
        return _Step(
            operation,
            operation.invoked_ns,
            _NEVER_NS if returned is None else returned,
            self._value(effect.requires),
            self._value(effect.avoids),
            self._value(effect.writes),
            operation.outcome is Ending.OK,
        )

    def _bind_readers_to_writers(self) -> None:
        """Rule 1, to the end: what it says of one value may say more of another."""
        changed = list(range(len(self._values)))
        while changed:
            value = changed.pop()
            writers = self._writers[value]
            if value == self._initial or len(writers) != 1:
                continue
            writer = writers[0]
            readers = [step for step in self._readers[value] if step.certain]
            if not readers:
                continue
            deadline = min([step.deadline for step in readers])
            if not writer.certain or deadline < writer.deadline:
                writer.certain = True
                writer.deadline = min(writer.deadline, deadline)
                if writer.requires >= 0:
                    changed.append(writer.requires)
            for reader in readers:
                if reader.invoked < writer.invoked:
                    reader.invoked = writer.invoked
                    if reader.writes >= 0:
                        changed.append(reader.writes)

    def _drop_what_nobody_needs(self) -> None:
        """Rule 2. A dropped `cas` needs nothing any more, which may leave others unneeded."""
        optional = [step for step in reversed(self._steps) if not step.certain]
        needs = [len(readers) for readers in self._readers]
        unneeded = [step for step in optional if not needs[step.writes]]
        waiting: dict[int, list[_Step]] = {}
        for step in optional:
            waiting.setdefault(step.writes, []).append(step)
        while unneeded:
            step = unneeded.pop()
            step.dropped = True
            if step.requires >= 0:
                needs[step.requires] -= 1
                if not needs[step.requires]:
                    unneeded.extend(waiting.get(step.requires, ()))

    def _merge_values(self) -> None:
        """Rule 3; the value that nothing tells from others is numbered 0."""
        kept = [step for step in self._steps if not step.dropped]
        seen = sorted({value for s in kept for value in (s.requires, s.avoids) if value >= 0})
        number = {value: place for place, value in enumerate(seen, 1)}
        number[ANY] = ANY
        for step in kept:
            step.requires = number[step.requires]
            step.avoids = number[step.avoids]
            step.writes = number.get(step.writes, 0)
        self._initial = number.get(self._initial, 0)
        self._steps = kept

    def _finish(self) -> Steps:
        steps = sorted(self._steps, key=lambda step: (not step.certain, step.invoked))
        return Steps(
            operations=[step.operation for step in steps],
            invoked=[step.invoked for step in steps],
            deadline=[step.deadline for step in steps],
            requires=[step.requires for step in steps],
            avoids=[step.avoids for step in steps],
            writes=[step.writes for step in steps],
            certain=sum([step.certain for step in steps]),
            values=1 + max([max(s.requires, s.avoids, s.writes) for s in steps], default=0),
            initial=self._initial,
        )


def make_steps(operations: Sequence[Operation], initial: bytes | None = None) -> Steps:
    """The steps of one key's register `operations`; `initial` is its value at the start."""
    return _Maker(initial).make(operations)
