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

    @property
    def outgoing(self) -> frozenset[ReplicaId]:
        """The voters before a change that is under way: a majority of them is needed too. Else
        empty."""
        ...


@unique
class Tally(Enum):
    """How a vote stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


def agreed(electorate: Electorate, reached: Callable[[ReplicaId], int]) -> int:
    """The highest value that a majority has reached, where `reached` tells each voter's."""
    value = _agreed(electorate.voters, reached)
    outgoing = electorate.outgoing
    return min(value, _agreed(outgoing, reached)) if outgoing else value


def is_majority(electorate: Electorate, present: Callable[[ReplicaId], bool]) -> bool:
    """Whether a majority is `present`."""
    outgoing = electorate.outgoing
    return _is_majority(electorate.voters, present) and (
        not outgoing or _is_majority(outgoing, present)
    )


def tally(electorate: Electorate, votes: Mapping[ReplicaId, bool]) -> Tally:
    """How the vote stands; an answer from outside the electorate counts for nothing."""
    incoming = _tally(electorate.voters, votes)
    outgoing = _tally(electorate.outgoing, votes) if electorate.outgoing else Tally.WON
    if Tally.LOST in (incoming, outgoing):
        return Tally.LOST
    return incoming if outgoing is Tally.WON else Tally.OPEN


def _agreed(voters: frozenset[ReplicaId], reached: Callable[[ReplicaId], int]) -> int:
    values = [reached(voter) for voter in voters]
    values.sort()
    return values[(len(values) - 1) // 2]


def _is_majority(voters: frozenset[ReplicaId], present: Callable[[ReplicaId], bool]) -> bool:
    return 2 * sum([present(voter) for voter in voters]) > len(voters)


def _tally(voters: frozenset[ReplicaId], votes: Mapping[ReplicaId, bool]) -> Tally:
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
