"""Who is told that his write was done, has it applied.

Leaders answer for what they have applied themselves, so the entry was seen before its answer is. A
history alone shows a write that was answered and lost only to who reads before the next write.
"""

from __future__ import annotations

from typing import Final

from cluster.ids import META_GROUP, GroupId, Index
from cluster.raft.messages import EntryKind
from kvstore.codec.command import decode_command
from kvstore.codec.scrub import is_mark
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

_ALL_BYTES: Final = 1 << 62


class AppliedBeforeAnswered(ReplicaChecker):
    """See the module. No two writes may be the same: clients write each value once."""

    def __init__(self) -> None:
        self._looked_at: Final[set[tuple[GroupId, Index]]] = set()
        self._applied: Final[set[tuple[bytes, bytes]]] = set()
        """Keys and values, of every write that some replica has applied."""

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        before, applied = change.before, change.now.applied
        if change.group == META_GROUP or before is None or applied == before.applied:
            return
        log = change.replica.log
        low = max(Index(before.applied + 1), log.first_index())
        for entry in log.entries(low, Index(applied + 1), _ALL_BYTES) if low <= applied else ():
            place = change.group, entry.index
            if entry.kind is not EntryKind.NORMAL or not entry.data or is_mark(entry):
                continue
            if place not in self._looked_at:
                self._looked_at.add(place)
                command = decode_command(entry.data)
                self._applied.update(zip(command.keys, command.arguments, strict=True))

    def on_done(self, key: bytes, value: bytes) -> None:
        """See Checker."""
        if (key, value) not in self._applied:
            raise Violation(
                "applied before answered",
                f"a client was told that {value[:16]!r} was put under {key!r}; no replica has"
                " applied that",
            )
