"""Whether the disk under a node answers, judged by its log writes, in ticks; and what a leader does
whose disk does not.

```
            a write lasts for stuck_ticks          it has ended
   QUICK ───────────────────────────────▶ STUCK ─────────────────▶ SLOW
     ▲                                      ▲                       │ │
     │                                      └── another lasts so ───┘ │
     └────────────── none of recovery_ticks lasted so long ───────────┘
```

A leader does not need its own disk to commit, only a majority (dissertation 10.2.1). But it takes
nothing in while its own write is under way, so its clients wait for as long as the disk does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto, unique

from cluster.ids import ReplicaId


@unique
class DiskState(Enum):
    """See the module."""

    QUICK = auto()
    STUCK = auto()
    """A write is under way for long. What this node promises reaches nobody."""
    SLOW = auto()
    """It was stuck a moment ago."""


@dataclass(frozen=True, slots=True)
class DiskPatience:
    """Times in ticks. Raises ValueError where they do not rise."""

    stuck_ticks: int
    """How long a write may last."""
    step_down_ticks: int
    """How long one has to last until a leader that could not hand over steps down."""
    recovery_ticks: int
    """For how long no write must have lasted so long for the disk to be trusted again."""

    def __post_init__(self) -> None:
        if not 1 <= self.stuck_ticks < self.step_down_ticks <= self.recovery_ticks:
            raise ValueError(f"{self} does not rise")

    @classmethod
    def of_elections(cls, election_ticks_max: int) -> DiskPatience:
        """In longest election timeouts: 2, 4 and 8."""
        return cls(2 * election_ticks_max, 4 * election_ticks_max, 8 * election_ticks_max)


class DiskWatch:
    """See the module."""

    __slots__ = ("_patience", "_wary_ticks", "_write", "_writing_ticks")

    def __init__(self, patience: DiskPatience) -> None:
        self._patience = patience
        self._write: int | None = None
        self._writing_ticks = 0
        self._wary_ticks = 0

    @property
    def state(self) -> DiskState:
        """As of the last tick."""
        if self._writing_ticks >= self._patience.stuck_ticks:
            return DiskState.STUCK
        return DiskState.SLOW if self._wary_ticks else DiskState.QUICK

    @property
    def writing_ticks(self) -> int:
        """How long the write that is under way has lasted."""
        return self._writing_ticks

    def tick(self, write: int | None) -> None:
        """One tick passed. `write`: the number of the write that is under way."""
        if write is not None and write == self._write:
            self._writing_ticks += 1
        else:
            self._write, self._writing_ticks = write, 0
        if self._writing_ticks >= self._patience.stuck_ticks:
            self._wary_ticks = self._patience.recovery_ticks
        elif self._wary_ticks:
            self._wary_ticks -= 1


@dataclass(frozen=True, slots=True)
class HandOver:
    """Hand leadership over."""

    to: ReplicaId


@dataclass(frozen=True, slots=True)
class StepDown:
    """Lead no more, whoever comes to lead."""


def way_out(
    patience: DiskPatience,
    *,
    writing_ticks: int,
    heirs: Sequence[ReplicaId],
    attempt: int,
    others_can_elect: bool,
) -> HandOver | StepDown | None:
    """What a leader does that should not lead; None: it goes on.

    `writing_ticks`: how long its log write under way has lasted. `heirs`: the voters that have
    nearly all of its log, were heard lately and are fit to lead; they are tried in turn, `attempt`
    by attempt, since one may not take it. `others_can_elect`: the voters that were heard lately are
    a majority without this one. Where they are not, nobody else could lead, and stepping down would
    only end the reads, which need no disk.
    """
    if writing_ticks >= patience.step_down_ticks and others_can_elect:
        return StepDown()
    if heirs:
        return HandOver(heirs[attempt % len(heirs)])
    return None
