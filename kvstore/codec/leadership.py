"""How a node asks another whether it still leads: one question for all the groups that it has to
know it of, and one answer.

A read needs to know it of its group alone (ReadIndex, dissertation 6.4); but a node that leads many
groups has reads of many in each round, and a heartbeat for each of them, with its answer, is what
such reads cost most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cluster.ids import GroupId, ReplicaId, Term

ROW: Final = 4
"""Numbers of a group: its id, the term, the round of reads (cluster/raft/reads.py), and what is
committed and known to be persisted at the receiver."""


@dataclass(slots=True)  # not frozen for the reason given in messages.py
class LeadershipQuestion:
    """Does the receiver follow the sender, in each of these groups and terms?"""

    sender: ReplicaId
    to: ReplicaId
    numbers: list[int]
    """ROW of each group, one group after another."""


@dataclass(slots=True)
class LeadershipAnswer:
    """Those rows of a LeadershipQuestion of which it is so. Of the others nothing is said."""

    sender: ReplicaId
    to: ReplicaId
    numbers: list[int]


def groups_and_terms(
    message: LeadershipQuestion | LeadershipAnswer,
) -> Iterator[tuple[GroupId, Term]]:
    """Of which group and term each row is."""
    for at in range(0, len(message.numbers), ROW):
        yield GroupId(message.numbers[at]), Term(message.numbers[at + 1])
