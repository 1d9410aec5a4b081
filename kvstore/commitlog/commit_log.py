"""The log itself: append, read, and what a start makes of what it finds."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kvstore.commitlog.log_format import (
    FRAME_HEADER_BYTES,
    GROUP_MAX,
    KIND_MAX,
    UNSYNCED_MAX,
    Position,
    Record,
    decode_payload,
    frame_bytes,
)
from kvstore.commitlog.log_reader import Visit
from kvstore.commitlog.log_writer import SegmentWriter
from kvstore.commitlog.options import CommitLogOptions
from kvstore.commitlog.recovery import Cut, Recovered, RecoveryReport, recover
from kvstore.commitlog.segment_files import SegmentFiles
from kvstore.commitlog.segment_store import SegmentStore, Size
from kvstore.commitlog.sync_mark import SyncMark, read_mark
from kvstore.environment import FileSystem
from kvstore.errors import (
    CorruptionError,
    InvalidArgument,
    InvariantViolation,
    KVStoreError,
    Outcome,
    ResourceExhausted,
)

__all__ = [
    "CommitLog",
    "CommitLogFailed",
    "CommitLogOptions",
    "Cut",
    "Position",
    "Record",
    "RecoveryReport",
    "Visit",
]


class CommitLogFailed(KVStoreError):
    """A write or a sync failed: what is on disk is not known, and the node has to stop.

    Never retried: after a failed sync, one that succeeds proves nothing. A restart finds out.
    """

    outcome = Outcome.UNKNOWN


class CommitLog:
    """An append-only log in segments.

    One thread at a time appends and prepares; `release`, `read` and the properties may be used from
    another meanwhile.
    """

    __slots__ = (
        "_failure",
        "_folder",
        "_mark",
        "_next_batch",
        "_options",
        "_readers",
        "_report",
        "_sticky",
        "_store",
        "_syncs",
        "_unsynced",
        "_writer",
    )

    def __init__(self, files: FileSystem, folder: str, options: CommitLogOptions) -> None:
        self._folder = folder
        self._options = options
        self._store = SegmentStore(files, folder, options)
        self._readers = SegmentFiles(files, folder, options.open_files_max)
        self._writer: SegmentWriter | None = None
        self._mark: SyncMark | None = None
        self._next_batch = 1
        # Batches written since the last sync.
        self._unsynced = 0
        self._sticky: dict[tuple[int, int], Record] = {}
        self._failure: BaseException | None = None
        self._syncs = 0
        self._report = RecoveryReport(0, 0, None)

    @classmethod
    def open(
        cls,
        files: FileSystem,
        folder: str,
        options: CommitLogOptions,
        visit: Visit,
        *,
        must_exist: bool = False,
    ) -> CommitLog:
        """Opens the log in `folder`, made if missing, and hands all its records to `visit`.

        In the order of writing, and only those of whole batches. The sticky records that a segment
        repeats at its head are handed over like any other: the owner must not mind to see the
        latest record of a group and kind again. Where segments were released, the records of a
        group begin wherever the oldest segment does.

        A torn tail is cut (`recovery`). When this returns, all that was visited is on stable
        storage. Raises CorruptionError for damage before the tail or to what had been synced, a
        missing segment or a foreign file, and with `must_exist` when there is no segment at all;
        ConfigurationError for a newer format; ResourceExhausted when the disk has no room for a
        segment; OSError when the disk fails.
        """
        files.make_folder(folder)
        # A segment that was named right before a crash may be here without being so for good.
        files.sync_folder(folder)
        log = cls(files, folder, options)

        def visit_and_keep(record: Record, position: Position) -> None:
            log._keep(record)
            visit(record, position)

        synced = read_mark(files, folder)
        recovered = recover(files, folder, visit_and_keep, synced)
        if recovered is None and (must_exist or synced):
            raise CorruptionError(f"{folder}: the commit log is gone: no segment is there")
        try:
            if recovered is not None:
                log._go_on(files, recovered)
            log._store.tidy()
            if recovered is None:
                log._begin_segment(0)
            # Not before there is a segment: a mark without one says that they are gone.
            log._mark = SyncMark(files, folder)
            log._mark.note(log._next_batch - 1)
        except BaseException:
            log._close_files()
            raise
        return log

    @property
    def bytes_on_disk(self) -> int:
        """The size of all its files, reserved space and spare files included."""
        return self._store.bytes_on_disk

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._store.headers)

    @property
    def spares(self) -> int:
        """How many files are kept ready for segments to come."""
        return self._store.spares

    @property
    def has_room(self) -> bool:
        """Whether a file is ready for the next segment, or will not be needed soon. If not, there
        is room for little more: the rest of this segment is for what has to be written."""
        writer = self._writer
        if writer is None or not self._store.wants_spare:
            return writer is not None
        return 2 * writer.end < writer.capacity

    @property
    def oldest_segment(self) -> int:
        """The number of the oldest segment that is still there."""
        return min(self._store.headers)

    @property
    def active_segment(self) -> int:
        """The number of the segment that is written to. What is appended from now on will stand
        there or in a later one, and so will what is being appended in another thread."""
        return self._store.last

    @property
    def syncs(self) -> int:
        """Batches and segments that were synced since the log was opened."""
        return self._syncs

    @property
    def recovery(self) -> RecoveryReport:
        """What opening the log found."""
        return self._report

    def latest(self, group: int, kind: int) -> bytes | None:
        """The payload of the last record of `group` and of a sticky `kind`; None before the
        first."""
        record = self._sticky.get((group, kind))
        return None if record is None else record.payload

    def append(self, records: Sequence[Record], *, sync: bool = True) -> list[Position]:
        """Writes `records` as one batch: after a crash all of them are there, or none.

        One write and one sync, however many records, unless a new segment has to be begun. With
        `sync` they are on stable storage when this returns, and so is all before; without, a crash
        may lose them together with all that was appended after them. No records: only syncs, if
        there is something to sync.

        Raises InvalidArgument for a record or batch beyond its limit, and ResourceExhausted when
        the disk or the bound on its use has no room: nothing of `records` is or will be part of the
        log, which can still be used. Raises CommitLogFailed when a write or sync fails, and at once
        ever after.
        """
        if self._failure is not None:
            raise CommitLogFailed(
                "the commit log takes no more: an earlier write failed"
            ) from self._failure
        size = self._measure(records)
        try:
            positions = self._append(records, size) if records else []
            if self._unsynced and (sync or self._unsynced == UNSYNCED_MAX):
                self._sync()
        except ResourceExhausted:
            raise
        except BaseException as problem:
            raise self._fail(problem) from problem
        for record in records:
            self._keep(record)
        return positions

    def read(self, position: Position) -> bytes:
        """The payload of the record at `position`, as `append` or `visit` gave it.

        Raises CorruptionError, with file and offset, when it is not what was written there.
        """
        if position.segment < self._store.oldest_needed:
            raise InvariantViolation(
                f"a record of segment {position.segment} is read, but all before"
                f" {self._store.oldest_needed} were released"
            )
        header = self._store.headers.get(position.segment)
        path = self._readers.path(position.segment)
        if header is None:
            raise CorruptionError(f"{path}: no such segment; byte {position.offset} was asked for")
        length = position.length
        if not 0 <= length <= header.payload_bytes_max:
            raise InvalidArgument(f"a record of {length} bytes is none of {path}")
        data = self._readers.pread(position.segment, FRAME_HEADER_BYTES + length, position.offset)
        payload = decode_payload(header, data, position)
        if payload is None:
            raise CorruptionError(
                f"{path}: damage at byte {position.offset}: the record is not what was written"
            )
        return payload

    def release(self, before: int) -> None:
        """Says that no record in the segments before number `before` is needed any more.

        But for the latest sticky ones, which later segments repeat. Nothing is written: the
        segments go, for good, when the next one is begun. They must not be read any more from now
        on. What makes them needless (say, a record of how far a group's log was compacted) has to
        have been appended, and synced, before.

        Raises InvariantViolation when `before` is above the segment that is written to. A lower
        number than before changes nothing.
        """
        self._store.release(before)

    def let_go(self) -> None:
        """Gives the space of what was released back at once, and not only when the active segment
        is full: a new one is begun, in a spare file or a small one.

        To be called by the thread that appends. No room for it is no failure. Raises
        CommitLogFailed, for good, when the disk fails.
        """
        if self._failure is not None or self._writer is None or not self._store.can_release:
            return
        try:
            if self._unsynced:
                self._sync()
            self._make_segment(0, Size.LEAST)
        except ResourceExhausted:
            return
        except OSError as problem:
            raise self._fail(problem) from problem

    def prepare(self) -> None:
        """Keeps a file ready for the next segment once this one is half full.

        To be called by the thread that appends when it has nothing better to do; else the append
        that begins the segment does this work. No room is no failure. Raises CommitLogFailed, for
        good, when the disk fails.
        """
        writer = self._writer
        if self._failure is not None or writer is None or 2 * writer.end < writer.capacity:
            return
        try:
            self._store.prepare()
        except OSError as problem:
            raise self._fail(problem) from problem

    def close(self) -> None:
        """Syncs what is not yet synced, unless the log has failed, and lets go of its files."""
        failed, self._failure = self._failure, self._failure or OSError("the log is closed")
        try:
            if failed is None and self._unsynced:
                self._sync()
        finally:
            self._close_files()

    def _measure(self, records: Sequence[Record]) -> int:
        """What `records` take as one batch, in bytes; raises InvalidArgument beyond a limit."""
        size = 0
        payload_bytes_max = self._options.payload_bytes_max
        for record in records:
            length = len(record.payload)
            if length > payload_bytes_max:
                raise InvalidArgument(
                    f"a record of {length} bytes is above the limit of {payload_bytes_max}"
                )
            if not (0 <= record.group <= GROUP_MAX and 0 <= record.kind <= KIND_MAX):
                raise InvalidArgument(
                    f"group {record.group}, kind {record.kind} do not fit in a record"
                )
            size += frame_bytes(length)
        if size > self._options.batch_bytes_max:
            raise InvalidArgument(
                f"a batch of {size} bytes is above the limit of {self._options.batch_bytes_max}"
            )
        return size

    def _append(self, records: Sequence[Record], size: int) -> list[Position]:
        if self._active().end + size > self._active().capacity:
            self._begin_segment(size)
        writer = self._active()
        try:
            positions = writer.append(records, self._next_batch, self._unsynced)
        except ResourceExhausted:
            self._store.resized(writer.header.segment, writer.size)
            raise
        self._next_batch += 1
        self._unsynced += 1
        return positions

    def _sync(self) -> None:
        self._active().sync()
        self._unsynced = 0
        self._note_synced()
        self._syncs += 1

    def _note_synced(self) -> None:
        """All that was appended is on stable storage."""
        if self._mark is not None:
            self._mark.note(self._next_batch - 1)

    def _active(self) -> SegmentWriter:
        if self._writer is None:
            raise CommitLogFailed("the commit log has no segment to write to")
        return self._writer

    def _keep(self, record: Record) -> None:
        if record.kind not in self._options.sticky_kinds:
            return
        if record.payload:
            self._sticky[record.group, record.kind] = record
        else:
            self._sticky.pop((record.group, record.kind), None)

    def _begin_segment(self, needed: int) -> None:
        """Goes on in a new segment that has room for a batch of `needed` bytes.

        Everything before it is synced first: damage before a later segment is never a torn write.
        """
        if self._unsynced:
            self._sync()
        try:
            self._make_segment(needed)
        except ResourceExhausted:
            if self._store.can_release:
                # The smallest finds room where a plain one does not, and lets those go that may.
                self._make_segment(0, Size.LEAST)
                with contextlib.suppress(ResourceExhausted):
                    self._make_segment(needed)
                    return
            if not self._store.may_be_short(list(self._sticky.values()), needed):
                raise
            # So that votes and bounds find a place for as long as there is any.
            self._make_segment(needed, Size.SHORT)

    def _make_segment(self, needed: int, size: Size = Size.PLAIN) -> None:
        checkpoint = list(self._sticky.values())
        writer = self._store.make(self._next_batch, checkpoint, needed, size)
        previous, self._writer = self._writer, writer
        if previous is not None:
            try:
                previous.seal(self._next_batch)
            finally:
                previous.close()
        if checkpoint:
            self._next_batch += 1
            self._note_synced()
        self._syncs += 1
        for segment in self._store.released():
            self._readers.forget(segment)
        self._store.drop_released()

    def _go_on(self, files: FileSystem, recovered: Recovered) -> None:
        """Makes what was read durable, and sets the log to go on after it.

        Where something follows the last batch, torn or old, the next one begins a new segment. Its
        header says with which number, so nothing that stands at or above that number in an older
        one can ever count again: neither a truncation that is lost nor bytes that the disk brings
        back do any harm.
        """
        self._store.adopt(recovered)
        self._report = recovered.report
        self._next_batch = recovered.last.next_batch
        header = list(recovered.headers.values())[-1]
        file = files.open(self._readers.path(header.segment))
        writer = SegmentWriter(file, header, recovered.last.end, file.size())
        self._writer = writer
        writer.rewrite(recovered.last.unproven)
        self._syncs += 1
        if not recovered.tail.is_blank:
            self._store.resized(header.segment, writer.cut())
        elif header.payload_bytes_max < self._options.payload_bytes_max:
            # Its header promises shorter records than may come now.
            writer.capacity = writer.end

    def _fail(self, problem: BaseException) -> CommitLogFailed:
        """Takes no more from now on; returns what to raise."""
        self._failure = problem
        return CommitLogFailed(f"a write to the commit log in {self._folder} failed: {problem}")

    def _close_files(self) -> None:
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._mark is not None:
            self._mark.close()
            self._mark = None
