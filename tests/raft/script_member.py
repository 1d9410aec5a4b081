"""A replica in a script: its core, and what its host and its disk hold."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from cluster.ids import Index, ReplicaId
from cluster.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    MemoryLogStorage,
    Raft,
    Ready,
    decode_configuration,
)


class Timeouts(Random):
    """The chance of elections: replica i waits i - 1 ticks more than the shortest timeout, or what
    the script says."""

    extra = 0

    def randint(self, a: int, b: int) -> int:
        return min(a + self.extra, b)


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    hard_state: HardState = field(default_factory=HardState)
    synced: HardState = field(default_factory=HardState)
    """The hard state that reached stable storage: its commit index may be older."""
    storage: MemoryLogStorage = field(default_factory=MemoryLogStorage)
    applied: Index = Index(0)
    configurations: list[tuple[Index, Configuration]] = field(default_factory=list)
    """Of the state machine: (applied up to there or beyond, who belongs to the group)."""

    def apply(self, entries: list[Entry]) -> None:
        """The state machine's part."""
        self.applied = entries[-1].index
        for entry in entries:
            if entry.kind is EntryKind.MEMBERSHIP:
                self.configurations.append((entry.index, decode_configuration(entry.data)))

    def go_back(self, applied: Index) -> None:
        """The state machine has lost what it applied after `applied`."""
        self.applied = applied
        self.configurations = [one for one in self.configurations if one[0] <= applied]

    def write(self, bundle: Ready) -> None:
        """One atomic step. What a snapshot brings is its index and who belongs to the group."""
        snapshot = bundle.snapshot
        if snapshot is not None:
            self.storage.install(snapshot.index, snapshot.term)
            self.applied = snapshot.index
            self.configurations = [(snapshot.index, snapshot.configuration)]
        self.storage.append(bundle.entries)
        if bundle.hard_state is not None:
            self.hard_state = bundle.hard_state
        if bundle.must_sync:
            self.synced = self.hard_state


@dataclass(slots=True)
class Member:
    """A replica with its host."""

    replica: ReplicaId
    began_with: Configuration
    disk: Disk = field(default_factory=Disk)
    raft: Raft | None = None
    now_us: int = 0
    """Of its clock, which a crash does not stop."""
    storage: MemoryLogStorage = field(default_factory=MemoryLogStorage)
    timeouts: Timeouts = field(default_factory=Timeouts)
    bundles: deque[Ready] = field(default_factory=deque)
    """Handed out, not persisted."""
    unapplied: list[Entry] = field(default_factory=list)
    """Handed out as committed, not applied."""
