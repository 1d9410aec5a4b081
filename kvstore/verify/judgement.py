"""What is said of a whole history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from kvstore.codec.text import to_cell
from kvstore.verify.finding import Finding


@unique
class Ruling(Enum):
    """In one word; the values stand in JSON."""

    FINE = "fine"
    VIOLATION = "violation"
    """Some promise is broken, whatever the rest is."""
    UNDECIDED = "undecided"
    """Nothing wrong was found, and not all of it was decided."""


@unique
class Promise(Enum):
    """What is judged; the values stand in JSON."""

    REGISTERS = "registers"
    COUNTERS = "counters"
    LISTS = "lists"
    SETS = "sets"
    BANKS = "banks"
    SCANS = "scans"
    SESSIONS = "sessions"

    @property
    def sentence(self) -> str:
        """The promise in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Promise.REGISTERS: "gets, puts, deletes and cas of each key are linearizable",
    Promise.COUNTERS: "every acknowledged increment counts, and counts once",
    Promise.LISTS: "every acknowledged append is there once, in order",
    Promise.SETS: "no element is lost, doubled, made up or back after its removal",
    Promise.BANKS: "transfers neither make nor lose money",
    Promise.SCANS: "a scan finds each key once; what it holds is judged with that key",
    Promise.SESSIONS: "what one client sees never goes back",
}


@dataclass(slots=True)
class PromiseJudgement:
    """How one promise was kept."""

    promise: Promise
    objects: int = 0
    """Keys; of sessions: pairs of client and partition."""
    operations: int = 0
    violations: int = 0
    undecided: int = 0
    """Objects of which nothing can be said."""

    @property
    def ruling(self) -> Ruling:
        """Of this promise alone."""
        return _worst(self.violations, self.undecided)


@dataclass(frozen=True, slots=True)
class Undecided:
    """Something that was not decided."""

    key: bytes | None
    """None: all of it."""
    why: str

    def text(self) -> str:
        """For people."""
        return self.why if self.key is None else f'key "{to_cell(self.key)}": {self.why}'


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a history."""

    operations: int
    promises: tuple[PromiseJudgement, ...]
    """Those for which there was something to judge."""
    findings: tuple[Finding, ...]
    """What is wrong, the most telling first; of many, the first ones."""
    violations: int
    """All that was found wrong."""
    undecided: tuple[Undecided, ...]
    """Of many, the first ones."""
    undecided_objects: int
    notes: tuple[str, ...] = ()
    """What was taken for granted."""

    @property
    def verdict(self) -> Ruling:
        """Of all of it. A history in which nothing was judged is undecided, never fine."""
        return _worst(self.violations, self.undecided_objects)

    @property
    def counterexample(self) -> Finding | None:
        """The finding to show first, with the operations that show it."""
        return next((each for each in self.findings if each.operations), None)


def _worst(violations: int, undecided: int) -> Ruling:
    if violations:
        return Ruling.VIOLATION
    return Ruling.UNDECIDED if undecided else Ruling.FINE
