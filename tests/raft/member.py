"""A replica with its host: what it holds in memory, and what survives a crash."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import Configuration, Entry, EntryKind, HardState, MemoryLogStorage, Raft, Ready


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    hard_state: HardState = field(default_factory=HardState)
    synced_hard_state: HardState = field(default_factory=HardState)
    log: MemoryLogStorage = field(default_factory=MemoryLogStorage)
    applied: int = 0

    def write(self, bundle: Ready) -> None:
        """One atomic step."""
        if bundle.snapshot is not None:
            self.log.install(bundle.snapshot.index, bundle.snapshot.term)
            self.applied = bundle.snapshot.index
        self.log.append(bundle.entries)
        if bundle.hard_state is not None:
            self.hard_state = bundle.hard_state
            if bundle.must_sync:
                self.synced_hard_state = bundle.hard_state

    @property
    def terms(self) -> list[Term]:
        """Of the entries in the log."""
        log = self.log
        return [log.term(Index(i)) for i in range(log.first_index(), log.last_index() + 1)]

    def holds(self, index: int, term: Term) -> bool:
        """Whether the entry is here, or in the state that took its place."""
        if index < self.log.first_index() - 1:
            return True
        return index <= self.log.last_index() and self.log.term(Index(index)) == term


class Member:
    """One replica of a `Cluster`. `base` is what it knew of the group when it was made."""

    def __init__(self, replica: ReplicaId, base: Configuration, *, drift_ppm: int = 0) -> None:
        self.replica = replica
        self.base = base
        self.raft: Raft | None = None
        self.disk = Disk()
        self.life = 0
        self.storage = MemoryLogStorage()
        self.pending: deque[Ready] = deque()
        self.last_seen: Entry | None = None
        self.hard_state = HardState()
        self.handed_out = 0
        self.led_term = Term(0)
        self.in_force = base
        self.persist_due = 0
        self.apply_due = 0
        self.paused_until = 0
        self._drift_ppm = drift_ppm
        self._ticks_ppm = 0

    def is_running(self, now: int) -> bool:
        """Whether it is neither down nor paused."""
        return self.raft is not None and self.paused_until <= now

    def ticks_due(self) -> int:
        """How often its host ticks while one true tick passes."""
        ticks, self._ticks_ppm = divmod(self._ticks_ppm + 1_000_000 + self._drift_ppm, 1_000_000)
        return ticks

    def clock_us(self, now: int) -> int:
        """What the member's own clock says at `now`, in milliseconds of true time."""
        return now * (1_000_000 + self._drift_ppm) // 1000

    def revive(self, hard_state: HardState) -> None:
        """What memory holds after a start."""
        disk = self.disk
        disk.hard_state = disk.synced_hard_state = hard_state
        self.storage = _copied(disk.log)
        self.pending.clear()
        self.last_seen = None
        self.hard_state = hard_state
        self.handed_out = disk.applied
        self.led_term = Term(0)
        self.persist_due = self.apply_due = 0
        self.life += 1

    def take(self, bundle: Ready) -> None:
        """What a host does with a bundle at once: the log shows it."""
        if bundle.snapshot is not None:
            self.storage.install(bundle.snapshot.index, bundle.snapshot.term)
        self.storage.append(bundle.entries)

    def compact(self, through: int) -> None:
        """Drops the beginning of the log, which the persisted state covers, up to `through`."""
        for log in (self.storage, self.disk.log):
            if log.first_index() <= through <= log.last_index():
                log.compact(Index(through))

    def term_before(self, entry: Entry) -> Term:
        """The term of the entry before `entry`, of which the log may not know yet."""
        last = self.last_seen
        if last is not None and last.index == entry.index - 1:
            return last.term
        return self.storage.term(Index(entry.index - 1))

    def note_snapshot(self, bundle: Ready) -> None:
        """What follows the bundle's snapshot follows its last entry."""
        if bundle.snapshot is not None:
            index, term = bundle.snapshot.index, bundle.snapshot.term
            self.last_seen = Entry(index, term, EntryKind.NORMAL, b"")
            self.handed_out = index


def _copied(log: MemoryLogStorage) -> MemoryLogStorage:
    copy = MemoryLogStorage()
    first, last = log.first_index(), log.last_index()
    copy.install(Index(first - 1), log.term(Index(first - 1)))
    if first <= last:
        copy.append(log.entries(first, Index(last + 1), 1 << 60))
    return copy
