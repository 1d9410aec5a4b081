"""What replicas of a group say to each other about how old their states may be.

A replica notes by its own clock when it asks. The leader makes sure, after it was asked, that it
still leads, and answers with an index that covers whatever was committed by then: a replica that
has applied so much lacks nothing that was committed before it asked (docs/consistency.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import Index, ReplicaId


@dataclass(slots=True)  # not frozen for the reason given in messages.py
class PointQuestion:
    """A replica asks the leader how much is committed now."""

    sender: ReplicaId
    to: ReplicaId
    number: int
    """Of the question: 64 bits that the sender has never used before, in any run."""


@dataclass(slots=True)
class PointAnswer:
    """The answer to a PointQuestion, whose number it repeats."""

    sender: ReplicaId
    to: ReplicaId
    number: int
    index: Index | None
    """None: the sender does not lead, or cannot find out in time whether it does."""
