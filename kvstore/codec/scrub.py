"""What a scrub puts into the log, and what replicas say to each other about it.

A mark is an entry that changes nothing. Each replica looks at its state as of the mark's index, so
that all look at the same one; term and index tell a mark from all others of its group.

```
mark      u8 format = 2 (a command's is 1) | u8 flags: 1 = at full pace
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Entry, EntryKind
from cluster.scrub import Outcome
from kvstore.codec.byteslist import CodecError

MARK_FORMAT: Final = 2
_MARK_BYTES: Final = 2
_FULL_PACE: Final = 1


@dataclass(slots=True)  # not frozen for the reason given in messages.py
class ScrubHash:
    """A replica tells the leader what it has read; again until it is answered."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    """Of the mark."""
    index: Index
    """Of the mark, as of which the state was read."""
    hash: int | None
    """None: the state could not be read."""


@dataclass(slots=True)
class ScrubReply:
    """The leader's answer to a ScrubHash, and what came of the comparison."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    index: Index
    outcome: Outcome
    hash: int | None
    """Of the state that is held to be right; None where none is, or nothing is known yet."""
    is_named: bool
    """Whether the receiver is one of those that the outcome names."""


def encode_mark(*, at_full_pace: bool) -> bytes:
    """The payload of a mark."""
    return bytes((MARK_FORMAT, _FULL_PACE if at_full_pace else 0))


def is_mark(entry: Entry) -> bool:
    """Whether `entry` is one; asked for every entry that is applied."""
    data = entry.data
    return len(data) == _MARK_BYTES and data[0] == MARK_FORMAT and entry.kind is EntryKind.NORMAL


def is_at_full_pace(mark: bytes) -> bool:
    """Whether its state is to be read as fast as a node may; raises CodecError."""
    if len(mark) != _MARK_BYTES or mark[0] != MARK_FORMAT or mark[1] not in (0, _FULL_PACE):
        raise CodecError(f"{mark.hex()} is no mark that is known here")
    return mark[1] == _FULL_PACE


def split_after_marks(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """The same entries in the same order, none of the parts going on after a mark."""
    parts: list[Sequence[Entry]] = []
    start = 0
    for position, entry in enumerate(entries, 1):
        if is_mark(entry):
            parts.append(entries[start:position])
            start = position
    if start < len(entries):
        parts.append(entries[start:] if start else entries)
    return parts
