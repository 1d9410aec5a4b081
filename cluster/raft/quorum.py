"""Majorities: what enough voters have reached, granted or shown. Knows nothing of Raft.

Every function takes an `Electorate`, never a bare set: under joint consensus (dissertation 4.3) an
electorate is two sets and a majority of each is needed, and only this module has to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, unique
from typing import Protocol

from cluster.ids import ReplicaId


class Electorate(Protocol):
    """Whoever decides together."""

    @property
    def voters(self) -> frozenset[ReplicaId]:
        """At least one."""
        ...


@unique
class Tally(Enum):
    """How a vote stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


def agreed(electorate: Electorate, reached: Callable[[ReplicaId], int]) -> int:
    """The highest value that a majority has reached, where `reached` tells each voter's."""
    values = sorted(map(reached, electorate.voters))
    return values[(len(values) - 1) // 2]


def is_majority(electorate: Electorate, present: Callable[[ReplicaId], bool]) -> bool:
    """Whether a majority is `present`."""
    voters = electorate.voters
    return 2 * sum(map(present, voters)) > len(voters)


def tally(electorate: Electorate, votes: Mapping[ReplicaId, bool]) -> Tally:
    """How the vote stands; an answer from outside the electorate counts for nothing."""
    voters = electorate.voters
    granted = refused = 0
    for voter in voters:
        vote = votes.get(voter)
        granted += vote is True
        refused += vote is False
    if 2 * granted > len(voters):
        return Tally.WON
    if 2 * (len(voters) - refused) <= len(voters):
        return Tally.LOST
    return Tally.OPEN
