"""The configurations that a log holds, and which of them is in force.

A configuration is in force from the moment it stands in the log, committed or not (dissertation
4.1): else two leaders could count by different ones. So it goes when a conflict cuts it out of the
log, and the one before it is in force again. All are kept from the one that the applied state has,
because a snapshot is of that state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cluster.errors import InvariantViolation
from cluster.ids import Index, ReplicaId
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import decode_configuration
from cluster.raft.messages import Entry, EntryKind

_MEMBERSHIP: Final = EntryKind.MEMBERSHIP


class Configurations:
    """See the module. `current` is in force, and stands at `current_index` or, if that is not above
    the index that was applied at the start, somewhere at or below it."""

    __slots__ = ("_held", "current", "current_index", "has_older")

    def __init__(self, index: Index, configuration: Configuration) -> None:
        self.current = configuration
        self.current_index = index
        self.has_older = False
        """Whether there are others: some may be released once more is applied."""
        self._held: list[tuple[Index, Configuration]] = []
        self.restart(index, configuration)

    def restart(self, index: Index, configuration: Configuration) -> None:
        """The state and the log begin anew at `index`, with `configuration`."""
        self._held = [(index, configuration)]
        self._look()

    def add(self, index: Index, configuration: Configuration) -> None:
        """`configuration` was appended at `index`: it is in force."""
        self._held.append((index, configuration))
        self._look()

    def note(self, entries: Sequence[Entry]) -> None:
        """`entries` were appended: the configurations among them are in force, the last in the
        end."""
        for entry in entries:
            if entry.kind is _MEMBERSHIP:
                try:
                    configuration = decode_configuration(entry.data)
                except ValueError as problem:
                    # Only a leader proposes it, and it encodes what it proposes.
                    raise InvariantViolation(
                        f"entry {entry.index} holds no configuration"
                    ) from problem
                self.add(entry.index, configuration)

    def cut(self, first: int) -> None:
        """All from `first` on is no longer in the log; nothing applied is ever cut."""
        while self._held[-1][0] >= first:
            self._held.pop()
        self._look()

    def release(self, applied: int) -> None:
        """Forgets what was replaced at or below `applied`."""
        held = self._held
        while len(held) > 1 and held[1][0] <= applied:
            del held[0]
        self._look()

    def at(self, index: int) -> Configuration:
        """The configuration of the log up to `index`, which is not below what was released."""
        return next(one for first, one in reversed(self._held) if first <= index)

    def elects(self, replica: ReplicaId, commit: int) -> bool:
        """Whether `replica` has a vote in what is in force, or in what may be again (4.2.2).

        A replica whose removal is not committed may be the only one that can win: its log may be
        longer than those of the others, who still need its vote or have to wait for its entries.
        """
        for index, configuration in reversed(self._held):
            if configuration.elects(replica):
                return True
            if index <= commit:
                return False
        return False

    def _look(self) -> None:
        self.current_index, self.current = self._held[-1]
        self.has_older = len(self._held) > 1
