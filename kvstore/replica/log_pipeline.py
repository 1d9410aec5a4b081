"""The way to the disk: what a round wants persisted, one write at a time.

While the log thread writes and syncs, what further rounds want persisted gathers here and goes out
as the next write: batching needs no timer.

A write for which the disk has no room has left the log as it was. What was in it goes back to the
head of what waits, and is written again, in order and before all that came later, once a retry
finds room: nothing is ever written past a hole, and nobody is told of anything meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cluster.ids import GroupId, ReplicaId, Term
from cluster.raft.messages import Entry, Message
from cluster.raft.ready import Ready
from kvstore.commitlog.commit_log import Position, Record
from kvstore.environment import Worker
from kvstore.errors import ResourceExhausted
from kvstore.replica.log_records import (
    Bounds,
    RecordKind,
    encode_bounds,
    encode_entries,
    encode_hard_state,
)


class AppendLog(Protocol):
    """The part of the commit log that is written through here."""

    def append(self, records: Sequence[Record]) -> list[Position]:
        """Writes and syncs; raises CommitLogFailed when either fails, and from then on, and
        ResourceExhausted when there is no room: then nothing was written."""
        ...


RECORD_BYTES_AIM: Final = 4 << 20
"""Of entries in one record; an entry that is larger has a record of its own."""
WRITE_BYTES_AIM: Final = 32 << 20
"""Of one write and sync; what exceeds it by the last bundle still fits in the log's bounds."""
RETRY_TICKS: Final = 10
"""Between two tries to write what the disk has no room for."""
MESSAGES_MAX: Final = 64
"""Kept in a bundle that waits, the latest: a disk may take for ever, and messages may be lost."""


@dataclass(init=False, slots=True)  # as in cluster.raft.messages
class Pending:
    """Bundles of one group on their way to the disk: one, and those after it that add nothing to
    be written."""

    group: GroupId
    number: int
    """Of the last of them."""
    messages: tuple[Message, ...]
    """To be sent once it is persisted."""
    records: Sequence[Record]
    runs: Sequence[tuple[Entry, ...] | None]
    """Parallel to `records`: the entries that each one holds; None for a hard state or bounds."""
    positions: Sequence[Position] = ()
    """Parallel to `records`, once it is persisted."""

    def __init__(
        self,
        group: GroupId,
        number: int,
        messages: tuple[Message, ...],
        records: Sequence[Record],
        runs: Sequence[tuple[Entry, ...] | None],
        positions: Sequence[Position] = (),
    ) -> None:
        self.group = group
        self.number = number
        self.messages = messages
        self.records = records
        self.runs = runs
        self.positions = positions


@dataclass(slots=True)
class PendingRecords:
    """What is not of a bundle, on its way to the disk."""

    records: list[Record]
    on_persisted: Callable[[], None]
    positions: Sequence[Position] = ()


class LogPipeline:
    """See the module. `on_persisted` gets bundles in the order in which they were added."""

    __slots__ = (
        "_bytes_aim",
        "_held",
        "_last",
        "_log",
        "_on_failure",
        "_on_persisted",
        "_pending",
        "_refused_ticks",
        "_unsettled",
        "_votes",
        "_worker",
        "_writing",
        "syncs",
    )

    def __init__(
        self,
        log: AppendLog,
        worker: Worker,
        on_persisted: Callable[[Sequence[Pending]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._log = log
        self._worker = worker
        self._on_persisted = on_persisted
        self._on_failure = on_failure
        self._pending: list[Pending | PendingRecords] = []
        self._writing: list[Pending | PendingRecords] = []
        # The bundles of groups whose turn has to wait.
        self._held: dict[GroupId, list[Pending | PendingRecords]] = {}
        # How many bundles of each group are on their way, and the last of them: an empty one must
        # not overtake it, and is settled with it.
        self._unsettled: dict[GroupId, int] = {}
        self._last: dict[GroupId, Pending] = {}
        # Since when there was no room for what stands at the head; None: it was not tried.
        self._refused_ticks: int | None = None
        self._bytes_aim = WRITE_BYTES_AIM
        # Term and vote as last handed to the log: else only the commit index changed.
        self._votes: dict[GroupId, tuple[Term, ReplicaId | None]] = {}
        self.syncs = 0

    @property
    def is_busy(self) -> bool:
        """Whether a write is under way, or waits for room."""
        return bool(self._writing) or self.is_refused

    @property
    def is_refused(self) -> bool:
        """Whether the log had no room for what is to be written, and has not found any since."""
        return self._refused_ticks is not None

    @property
    def write_under_way(self) -> int | None:
        """The number of the write under way; None without one."""
        return self.syncs if self._writing else None

    @property
    def waiting(self) -> int:
        """How many bundles are on their way to the disk."""
        waiting = len(self._pending) + len(self._writing)
        return waiting + sum(map(len, self._held.values())) if self._held else waiting

    def add(self, group: GroupId, ready: Ready) -> Pending | None:
        """Takes what `ready` wants persisted; returns the bundle when there is nothing to wait for.

        A change of the commit index alone is not written: it is only a hint, and costs a sync.
        """
        if not ready.must_sync:
            last = self._last.get(group)
            if last is None:
                return Pending(group, ready.number, ready.messages_after_persist, (), ())
            last.number = ready.number
            last.messages = (*last.messages, *ready.messages_after_persist)[-MESSAGES_MAX:]
            return None
        records: list[Record] = []
        runs: list[tuple[Entry, ...] | None] = []
        pending = Pending(group, ready.number, ready.messages_after_persist, records, runs)
        self._last[group] = pending
        self._unsettled[group] = self._unsettled.get(group, 0) + 1
        self._held.get(group, self._pending).append(pending)
        snapshot = ready.snapshot
        if snapshot is not None:
            payload = encode_bounds(Bounds(snapshot.index, snapshot.term))
            records.append(Record(group, RecordKind.BOUNDS, payload))
            runs.append(None)
        hard_state = ready.hard_state
        if hard_state is not None:
            vote = (hard_state.term, hard_state.vote)
            if self._votes.get(group) != vote:
                self._votes[group] = vote
                payload = encode_hard_state(hard_state)
                records.append(Record(group, RecordKind.HARD_STATE, payload))
                runs.append(None)
        for run in _runs(ready.entries):
            records.append(Record(group, RecordKind.ENTRIES, encode_entries(run)))
            runs.append(run)
        return None

    def add_bounds(
        self, bounds: Sequence[tuple[GroupId, Bounds]], on_persisted: Callable[[], None]
    ) -> None:
        """Takes where the logs of some groups begin by now; calls `on_persisted` once that is on
        stable storage."""
        records = [Record(group, RecordKind.BOUNDS, encode_bounds(each)) for group, each in bounds]
        self.add_records(records, on_persisted)

    def add_records(self, records: list[Record], on_persisted: Callable[[], None]) -> None:
        """Takes records; calls `on_persisted` once they, and all that was added before and is not
        held, are on stable storage."""
        self._pending.append(PendingRecords(records, on_persisted))

    def hold(self, group: GroupId) -> None:
        """Keeps back the bundles of `group` from now on."""
        self._held[group] = []

    def resume(self, group: GroupId) -> None:
        """Lets them go, in order."""
        self._pending += self._held.pop(group)

    def tick(self) -> None:
        """Time passes: what had no room is tried again now and then."""
        if self._refused_ticks is not None:
            self._refused_ticks += 1
            if self._refused_ticks >= RETRY_TICKS and not self._writing:
                self._refused_ticks = 0
                self._write()

    def flush(self) -> None:
        """Starts the next write, if there is something to write, and none is under way or waits for
        room."""
        if self._pending and not self.is_busy:
            self._write()

    def _write(self) -> None:
        self._writing = self._take()
        records = [record for pending in self._writing for record in pending.records]
        if not records:
            self._settle()
            return
        self.syncs += 1

        def done(outcome: list[Position] | BaseException) -> None:
            if isinstance(outcome, ResourceExhausted):
                self._pending = self._writing + self._pending
                self._writing = []
                self._refused_ticks = 0
                # There may be room for a part of it: for a vote, as a rule.
                self._bytes_aim = sum([len(record.payload) for record in records]) // 2
                return
            if isinstance(outcome, BaseException):
                self._on_failure(outcome)
                return
            self._refused_ticks = None
            self._bytes_aim = WRITE_BYTES_AIM
            place = 0
            for pending in self._writing:
                pending.positions = outcome[place : place + len(pending.records)]
                place += len(pending.records)
            self._settle()

        self._worker.submit(lambda: self._log.append(records), done)

    def _take(self) -> list[Pending | PendingRecords]:
        """What goes out with the next write, in order: all of them, as a rule."""
        size = 0
        for count, pending in enumerate(self._pending):
            if size > self._bytes_aim:
                taken, self._pending = self._pending[:count], self._pending[count:]
                return taken
            size += sum([len(record.payload) for record in pending.records])
        taken, self._pending = self._pending, []
        return taken

    def _settle(self) -> None:
        written, self._writing = self._writing, []
        settled = [pending for pending in written if isinstance(pending, Pending)]
        for pending in settled:
            left = self._unsettled[pending.group] - 1
            if left:
                self._unsettled[pending.group] = left
            else:
                del self._unsettled[pending.group], self._last[pending.group]
        self._on_persisted(settled)
        for other in written:
            if isinstance(other, PendingRecords):
                other.on_persisted()


def _runs(entries: tuple[Entry, ...]) -> list[tuple[Entry, ...]]:
    """`entries` in runs of bounded size: one, as a rule."""
    runs: list[tuple[Entry, ...]] = []
    first = 0
    size = 0
    for position, entry in enumerate(entries):
        size += len(entry.data)
        if size > RECORD_BYTES_AIM and position > first:
            runs.append(entries[first:position])
            first, size = position, len(entry.data)
    if entries:
        runs.append(entries[first:] if first else entries)
    return runs
