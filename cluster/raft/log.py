"""The log as the core sees it: what the host holds, and behind it what was not yet handed out.

```
   first_index …             persisted …          _offset …        last_index
   ├──── in LogStorage, persisted ──┼── under way ──┼── unstable ────┤
                     commit ≤ last_index;  handed_out ≤ min(commit, persisted)
```

A snapshot (dissertation 5.3) replaces all of it: the log then begins behind what it covers, and is
persisted as far as that once it is installed.

Entries that were handed out may be overwritten while the disk is still at work on them. What a
completion confirms is therefore written down per bundle, and cut back with the log: else an old
completion would confirm entries that have since taken the place of those it wrote.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cluster.errors import InvariantViolation
from cluster.ids import Index, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import encode_configuration
from cluster.raft.configurations import Configurations
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.snapshot import SnapshotMeta
from cluster.raft.storage import LogStorage


class RaftLog:
    """One replica's log with its positions, and the configurations that stand in it.

    `configuration` is the one as of `applied`. Raises InvariantViolation on opening when the log
    cannot belong to `commit` and `applied`.
    """

    __slots__ = (
        "_in_flight",
        "_installed",
        "_installs",
        "_offset",
        "_storage",
        "_unstable",
        "applied",
        "commit",
        "configurations",
        "handed_out",
        "last_index",
        "last_term",
        "persisted",
        "snapshot",
    )

    def __init__(
        self, storage: LogStorage, *, commit: Index, applied: Index, configuration: Configuration
    ) -> None:
        first, last = storage.first_index(), storage.last_index()
        if not first - 1 <= applied <= last:
            raise InvariantViolation(f"applied up to {applied}, but the log is [{first}, {last}]")
        if commit > last:
            raise InvariantViolation(f"commit index {commit} is beyond the last index {last}")
        self._storage = storage
        self._unstable: list[Entry] = []
        self._offset = last + 1
        """The index of the first unstable entry, or of the next to come."""
        self._in_flight: deque[list[int]] = deque()
        """Bundles whose entries are being persisted: [number, last index that it confirms]."""
        self.snapshot: SnapshotMeta | None = None
        """Taken in, and to be handed out."""
        self._installs: deque[tuple[int, Index]] = deque()
        """Bundles whose snapshots are being installed, and what these cover."""
        self._installed = Index(0)
        """What the last snapshot covers that was installed in this life."""
        self.last_index = last
        self.last_term = storage.term(last)
        self.commit = Index(max(commit, applied))
        self.handed_out = applied
        """All up to here was handed out as committed."""
        self.applied = applied
        self.persisted = last
        """All up to here is on stable storage in the form it has now."""
        self.configurations = Configurations(applied, configuration)
        self.configurations.note(storage.membership_entries(Index(applied + 1), Index(last + 1)))

    def first_index(self) -> Index:
        """The first index held; what is below was compacted."""
        snapshot = self.snapshot
        return self._storage.first_index() if snapshot is None else Index(snapshot.index + 1)

    def term(self, index: int) -> Term:
        """The term at `index`, in [first_index - 1, last_index]; IndexError outside."""
        if index == self.last_index:
            return self.last_term
        if index >= self._offset:
            return self._unstable[index - self._offset].term
        snapshot = self.snapshot
        if snapshot is not None:  # the host's log is still the one before
            if index != snapshot.index:
                raise IndexError(f"index {index} is below the snapshot at {snapshot.index}")
            return snapshot.term
        return self._storage.term(Index(index))

    def matches(self, index: int, term: int) -> bool:
        """Whether the entry at `index` is there and is of `term`."""
        return index <= self.last_index and self.term(index) == term

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends there holds all that this one may have committed (3.6.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def entries(self, low: int, bytes_max: int) -> tuple[Entry, ...]:
        """The entries from `low` on that fit in `bytes_max` of payload; at least one."""
        if low >= self._offset:
            return _fitting(self._unstable, low - self._offset, bytes_max)
        stored = self._storage.entries(Index(low), Index(self._offset), bytes_max)
        if not self._unstable or stored[-1].index + 1 < self._offset:
            return tuple(stored)
        left = bytes_max - sum(len(entry.data) for entry in stored)
        if len(self._unstable[0].data) > left:
            return tuple(stored)
        return (*stored, *_fitting(self._unstable, 0, left))

    def last_that_could_match(self, index: int, term: int, floor: int) -> int:
        """The highest position ≤ `index` whose term is at most `term`: none above it matches a log
        that has `term` at `index`. At least `floor`, which is known to match (3.5)."""
        high = min(index, self.last_index)
        low = max(floor, self.first_index() - 1)
        if high <= low:
            return max(high, floor)
        if self.term(low) > term:
            return max(low - 1, floor)
        while low < high:  # terms never fall along a log
            middle = (low + high + 1) // 2
            if self.term(middle) <= term:
                low = middle
            else:
                high = middle - 1
        return low

    def append(self, entry: Entry) -> None:
        """Puts one entry, which holds no configuration, at the end."""
        self._unstable.append(entry)
        self.last_index = entry.index
        self.last_term = entry.term

    def append_configuration(self, term: Term, configuration: Configuration) -> Entry:
        """Puts `configuration` at the end: it is in force."""
        payload = encode_configuration(configuration)
        entry = Entry(Index(self.last_index + 1), term, EntryKind.MEMBERSHIP, payload)
        self.append(entry)
        self.configurations.add(entry.index, configuration)
        return entry

    def merge(self, entries: Sequence[Entry]) -> None:
        """Takes over `entries`, which follow a position that matches.

        What is there already stays, and so does what follows it: only a conflict cuts the log, so
        that a late request does no harm (3.5).
        """
        if not entries:
            return
        new = 0
        if entries[0].index <= self.last_index:
            count = len(entries)
            while new < count and self.matches(entries[new].index, entries[new].term):
                new += 1
            if new == count:
                return
            entries = entries[new:]
            if entries[0].index <= self.last_index:
                self._cut(entries[0].index)
        if entries[0].index != self.last_index + 1:
            raise InvariantViolation(f"entry {entries[0].index} put behind {self.last_index}")
        self._unstable.extend(entries)
        self.last_index = entries[-1].index
        self.last_term = entries[-1].term
        self.configurations.note(entries)

    def _cut(self, first: int) -> None:
        """Drops all from `first` on; what was handed out goes when the next bundle replaces it."""
        if first <= self.commit:
            raise InvariantViolation(f"cut at {first}, but all up to {self.commit} is committed")
        keep = first - 1
        if first >= self._offset:
            del self._unstable[first - self._offset :]
        else:
            self._unstable.clear()
            self._offset = first
            self.persisted = Index(min(self.persisted, keep))
            for record in self._in_flight:
                record[1] = min(record[1], keep)
        self.last_index = Index(keep)
        if first <= self.configurations.current_index:
            self.configurations.cut(first)

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Begins anew behind `snapshot`, which covers more than is committed here and does not
        match: nothing here is known to be worth keeping (5.3)."""
        if snapshot.index <= self.commit:
            raise InvariantViolation(
                f"a snapshot of {snapshot.index} would undo the commit of {self.commit}"
            )
        # Up to the commit index the log was the same: what the disk has of it, it still has.
        self.persisted = min(self.persisted, self.commit)
        for record in self._in_flight:
            record[1] = min(record[1], self.commit)
        self._unstable.clear()
        self._offset = snapshot.index + 1
        self.snapshot = snapshot
        self.last_index = self.commit = self.handed_out = snapshot.index
        self.last_term = snapshot.term
        self.configurations.restart(snapshot.index, snapshot.configuration)

    def commit_to(self, index: Index) -> None:
        """Moves the commit index forward; it never moves back."""
        if index > self.last_index:
            raise InvariantViolation(f"commit of {index}, but the log ends at {self.last_index}")
        self.commit = max(self.commit, index)

    @property
    def has_unstable(self) -> bool:
        """Whether there are entries to hand out."""
        return bool(self._unstable)

    @property
    def has_committed(self) -> bool:
        """Whether there are committed entries to hand out."""
        return self.handed_out < self.commit and self.handed_out < self.persisted

    @property
    def has_news(self) -> bool:
        """Whether there is anything to hand out: entries of either kind, or a snapshot."""
        return bool(self._unstable) or self.snapshot is not None or self.has_committed

    @property
    def is_installing(self) -> bool:
        """Whether a snapshot was taken in that is not yet installed."""
        return self.snapshot is not None or bool(self._installs)

    def hand_out_snapshot(self, number: int) -> SnapshotMeta | None:
        """The snapshot, as part of bundle `number`; the host's log is the one behind it from now
        on. To be called before `hand_out`."""
        snapshot = self.snapshot
        if snapshot is not None:
            self.snapshot = None
            self._installs.append((number, snapshot.index))
            self._in_flight.append([number, snapshot.index])
        return snapshot

    def hand_out(self, number: int) -> tuple[Entry, ...]:
        """The unstable entries, as part of bundle `number`; the host has them from now on."""
        if not self._unstable:
            return ()
        entries = tuple(self._unstable)
        self._unstable.clear()
        self._offset = self.last_index + 1
        self._in_flight.append([number, self.last_index])
        return entries

    def hand_out_committed(self, bytes_max: int) -> tuple[Entry, ...]:
        """The next committed and persisted entries that fit in `bytes_max`; at least one if any."""
        low = self.handed_out + 1
        high = min(self.commit, self.persisted) + 1
        if low >= high:
            return ()
        entries = tuple(self._storage.entries(Index(low), Index(high), bytes_max))
        self.handed_out = entries[-1].index
        return entries

    def on_persisted(self, number: int) -> None:
        """The entries of all bundles up to `number` are on stable storage, and their snapshots are
        installed."""
        in_flight = self._in_flight
        while in_flight and in_flight[0][0] <= number:
            self.persisted = Index(max(self.persisted, in_flight.popleft()[1]))
        while self._installs and self._installs[0][0] <= number:
            self.applied = self._installed = self._installs.popleft()[1]

    def on_applied(self, index: Index) -> None:
        """All up to `index` was applied."""
        if not self.applied <= index <= self.handed_out:
            if index <= self._installed:
                return
            raise InvariantViolation(
                f"applied {index} after {self.applied}, of {self.handed_out} handed out"
            )
        self.applied = index
        if self.configurations.has_older:
            self.configurations.release(index)


def _fitting(entries: list[Entry], start: int, bytes_max: int) -> tuple[Entry, ...]:
    """The entries from position `start` on that fit in `bytes_max`; at least one."""
    size = 0
    end = start
    for end in range(start, len(entries)):
        size += len(entries[end].data)
        if size > bytes_max and end > start:
            return tuple(entries[start:end])
    return tuple(entries[start:])
