"""A log as a list: the twin of RaftLog, with a disk that is another list."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.ids import Index, Term
from cluster.raft import Configuration, Entry, EntryKind, SnapshotMeta, decode_configuration
from tests.raft.solo import entry


@dataclass
class Write:
    """A bundle on its way to the disk."""

    number: int
    entries: list[Entry]
    commit: int
    snapshot: SnapshotMeta | None
    covered: list[Entry]
    """What the snapshot stands for."""


class NaiveLog:
    """All entries ever held; entry i is at i - 1. What a snapshot covers is made up.

    An entry is itself, not its index and term: what was overwritten and put back is another one.
    """

    def __init__(self, group: Configuration) -> None:
        self.entries: list[Entry] = []
        self.compacted = 0
        self.base = (0, group)
        """(index, who belongs to the group as of there)."""
        self.disk: list[Entry] = []
        self.disk_compacted = 0
        self.disk_base = self.base
        self.disk_commit = 0
        self.writes: deque[Write] = deque()
        self.snapshot: SnapshotMeta | None = None
        """Taken in, not handed out."""
        self.new: list[Entry] = []
        """At the end of `entries`, not handed out."""
        self.commit = 0
        self.handed_out = 0
        self.applied = 0
        self.installed = 0

    # The core's part

    def take_over(self, entries: Sequence[Entry]) -> None:
        """Entry by entry; the first that differs replaces all that follows."""
        for at, one in enumerate(entries):
            held = self.entries[one.index - 1 : one.index]
            if not held or held[0].term != one.term:
                self.new = [e for e in self.new if e.index < one.index] + list(entries[at:])
                self.entries = self.entries[: one.index - 1] + list(entries[at:])
                return

    def begin_anew(self, index: int, term: int, group: Configuration) -> None:
        """All up to `index` is covered by a snapshot; what is beyond the commit index is new."""
        kept = self.entries[: self.commit]
        self.entries = kept + [entry(i, term) for i in range(len(kept) + 1, index + 1)]
        self.new = []
        self.compacted = self.commit = self.handed_out = index
        self.base = (index, group)
        self.snapshot = SnapshotMeta(Index(index), Term(term), group)

    def hand_out(self, number: int) -> None:
        covered = self.entries[: self.compacted]
        self.writes.append(Write(number, self.new, self.commit, self.snapshot, covered))
        self.new = []
        self.snapshot = None

    # The disk's part

    def write(self) -> Write:
        """The next bundle reaches the disk, all of it."""
        write = self.writes.popleft()
        if write.snapshot is not None:
            self.disk = list(write.covered)
            self.disk_compacted = self.applied = self.installed = write.snapshot.index
            self.disk_base = (write.snapshot.index, write.snapshot.configuration)
        if write.entries:
            del self.disk[write.entries[0].index - 1 :]
            self.disk.extend(write.entries)
        self.disk_commit = write.commit
        return write

    def start_again(self, known: int, replayed: int) -> int:
        """With what the disk has; returns the commit index that it has."""
        self.writes.clear()
        self.snapshot = None
        self.new = []
        self.entries = list(self.disk)
        self.compacted = self.disk_compacted
        self.base = self.disk_base
        self.installed = 0
        self.applied = self.handed_out = max(self.applied - replayed, self.compacted)
        commit = min(known, self.disk_commit)
        self.commit = max(commit, self.applied)
        return commit

    # What it knows

    @property
    def is_installing(self) -> bool:
        return self.snapshot is not None or any(w.snapshot is not None for w in self.writes)

    @property
    def persisted(self) -> int:
        count = 0
        while count < min(len(self.disk), len(self.entries)) and (
            self.disk[count] is self.entries[count]
        ):
            count += 1
        return count

    def ready_to_apply(self) -> list[Entry]:
        return self.entries[self.handed_out : min(self.commit, self.persisted)]

    def term(self, index: int) -> int:
        return self.entries[index - 1].term if index else 0

    def group(self, through: int) -> Configuration:
        """Who belongs to the group by the log up to `through`."""
        index, group = self.base
        for one in self.entries[index:through]:
            if one.kind is EntryKind.MEMBERSHIP:
                group = decode_configuration(one.data)
        return group


def fitting(entries: Sequence[Entry], bytes_max: int) -> list[Entry]:
    """As many as fit, at least one."""
    count = min(1, len(entries))
    while count < len(entries) and sum(len(e.data) for e in entries[: count + 1]) <= bytes_max:
        count += 1
    return list(entries[:count])
