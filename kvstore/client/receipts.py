"""By whom, and from which state, a read was served."""

from __future__ import annotations

from dataclasses import dataclass

from kvstore.client.levels import Consistency
from kvstore.codec.record import Record


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where in its partition's history an answer stands."""

    node: str
    """The id of the node that served it."""
    partition: int
    term: int
    """Of the entry at `index`; 0: not known."""
    revision: int
    """Of the partition, in the state that the answer is from."""
    index: int
    """The last entry of the partition's log that was applied to that state."""
    level: Consistency
    """What was asked for."""
    age_s: float | None = None
    """Of a stale read: it lacks at most what was acknowledged in this time before it came in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a read found, and its receipt."""

    record: Record | None
    """None: there is no such key."""
    receipt: Receipt

    @property
    def value(self) -> bytes | None:
        """Only the value."""
        return None if self.record is None else self.record.value


@dataclass(frozen=True, slots=True)
class Place:
    """What a node said of one section's answer; see Receipt."""

    node: str
    partition: int
    term: int
    revision: int
    index: int
