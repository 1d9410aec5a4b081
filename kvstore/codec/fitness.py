"""What nodes say of themselves to each other, beside what their groups say."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import ReplicaId


@dataclass(frozen=True, slots=True)
class UnfitToLead:
    """The sender should not lead for now: its disk has little room, or does not answer.

    Said again and again while it is so; it may be lost, and ends by itself when it is not heard any
    more. A hint: nothing is wrong if nobody heeds it.
    """

    sender: ReplicaId
    to: ReplicaId
    takes_entries: bool
    """Whether it can store what it is sent."""
