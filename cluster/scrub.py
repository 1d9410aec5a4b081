"""What replicas make of the hashes of their states at one applied index.

The same log makes the same state, so that hashes that differ name damage: of the replicas whose
hash is not that of a majority, if there is one. Where no hash has a majority nobody is blamed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique

from cluster.ids import ReplicaId
from cluster.raft.configuration import Configuration
from cluster.raft.quorum import is_majority


@unique
class Outcome(IntEnum):
    """How a comparison ended. The numbers are sent: never renumber."""

    PENDING = 0
    """It has not: others have still to answer."""
    AGREED = 1
    """All members have the same state."""
    PARTIAL = 2
    """Those that answered do; not all answered."""
    DIVERGED = 3
    """Some are named: a majority has another state, or they cannot read theirs."""
    UNDECIDED = 4
    """They differ, and no state has a majority."""
    FORGOTTEN = 5
    """Nobody compares, or no more."""

    @property
    def is_mismatch(self) -> bool:
        """Whether something is damaged somewhere."""
        return self in (Outcome.DIVERGED, Outcome.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the hashes say together."""

    outcome: Outcome
    hash: int | None
    """Of the state that is held to be right; None where none is."""
    named: tuple[ReplicaId, ...] = ()
    """DIVERGED: whose state is damaged. UNDECIDED: all that answered. In order."""
    silent: tuple[ReplicaId, ...] = ()
    """Members that did not answer, in order."""


def verdict(configuration: Configuration, hashes: Mapping[ReplicaId, int | None]) -> Verdict:
    """The verdict on the states of the members of `configuration`, by what they answered.

    None in place of a hash: that replica could not read its state. Only voters make a majority (of
    both sets while a change is under way, dissertation 4.3); learners are named like others.
    Answers of replicas that do not belong to the group count for nothing.
    """
    members = sorted(configuration.members)
    answers = {member: hashes[member] for member in members if member in hashes}
    silent = tuple(member for member in members if member not in answers)
    damaged = tuple(member for member, found in answers.items() if found is None)
    found = sorted({each for each in answers.values() if each is not None})
    if len(found) <= 1:
        right = found[0] if found else None
        if damaged:
            return Verdict(Outcome.DIVERGED, right, damaged, silent)
        return Verdict(Outcome.PARTIAL if silent else Outcome.AGREED, right, (), silent)
    for each in found:
        if is_majority(configuration, _has(answers, each)):
            named = tuple(member for member, own in answers.items() if own != each)
            return Verdict(Outcome.DIVERGED, each, named, silent)
    return Verdict(Outcome.UNDECIDED, None, tuple(answers), silent)


def _has(answers: Mapping[ReplicaId, int | None], value: int) -> Callable[[ReplicaId], bool]:
    return lambda voter: answers.get(voter) == value
