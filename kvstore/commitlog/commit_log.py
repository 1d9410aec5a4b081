"""The log itself: append, read, and what a start makes of what it finds."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from kvstore.commitlog.log_format import (
    FRAME_HEADER_BYTES,
    GROUP_MAX,
    KIND_MAX,
    SEGMENT_HEADER_BYTES,
    UNSYNCED_MAX,
    Position,
    Record,
    SegmentHeader,
    decode_payload,
    frame_bytes,
    is_unfinished_name,
)
from kvstore.commitlog.log_reader import Visit
from kvstore.commitlog.log_writer import SegmentWriter, make_segment
from kvstore.commitlog.options import CommitLogOptions
from kvstore.commitlog.recovery import Cut, Recovered, RecoveryReport, recover
from kvstore.commitlog.segment_files import SegmentFiles
from kvstore.environment import FileSystem
from kvstore.errors import (
    CorruptionError,
    InvalidArgument,
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

    One thread appends at a time; `read` and the properties may be used from another meanwhile.
    """

    __slots__ = (
        "_bytes_on_disk",
        "_failure",
        "_files",
        "_folder",
        "_headers",
        "_next_batch",
        "_options",
        "_readers",
        "_report",
        "_sticky",
        "_syncs",
        "_unsynced",
        "_writer",
    )

    def __init__(self, files: FileSystem, folder: str, options: CommitLogOptions) -> None:
        self._files = files
        self._folder = folder
        self._options = options
        self._readers = SegmentFiles(files, folder, options.open_files_max)
        self._headers: dict[int, SegmentHeader] = {}
        self._writer: SegmentWriter | None = None
        self._next_batch = 1
        # Batches written since the last sync.
        self._unsynced = 0
        self._sticky: dict[tuple[int, int], Record] = {}
        self._failure: BaseException | None = None
        self._syncs = 0
        self._bytes_on_disk = 0
        self._report = RecoveryReport(0, 0, None)

    @classmethod
    def open(
        cls, files: FileSystem, folder: str, options: CommitLogOptions, visit: Visit
    ) -> CommitLog:
        """Opens the log in `folder`, made if missing, and hands all its records to `visit`.

        In the order of writing, and only those of whole batches. The sticky records that a segment
        repeats at its head are handed over like any other: the owner must not mind to see the
        latest record of a group and kind again.

        A torn tail is cut (`recovery`). When this returns, all that was visited is on stable
        storage. Raises CorruptionError for damage before the tail, a missing segment or a foreign
        file; ConfigurationError for a newer format; ResourceExhausted when the disk has no room for
        a segment; OSError when the disk fails.
        """
        files.make_folder(folder)
        for name in files.list(folder):
            if is_unfinished_name(name):
                files.remove(posixpath.join(folder, name))
        # A segment that was named right before a crash may be here without being so for good.
        files.sync_folder(folder)
        log = cls(files, folder, options)

        def visit_and_keep(record: Record, position: Position) -> None:
            log._keep(record)
            visit(record, position)

        recovered = recover(files, folder, visit_and_keep)
        try:
            if recovered is None:
                log._begin_segment(0)
            else:
                log._go_on(recovered)
        except BaseException:
            log._close_files()
            raise
        return log

    @property
    def bytes_on_disk(self) -> int:
        """The size of all segments, reserved space included."""
        return self._bytes_on_disk

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._headers)

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

        One write and one sync, however many records. With `sync` they are on stable storage when
        this returns, and so is all before; without, a crash may lose them together with all that
        was appended after them. No records: only syncs, if there is something to sync.

        Raises InvalidArgument for a record or batch beyond its limit, and ResourceExhausted when
        the disk has no room for the next segment: nothing was written, and the log can still be
        used. Raises CommitLogFailed when a write or sync fails, and at once ever after.
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
            self._failure = problem
            raise CommitLogFailed(
                f"a write to the commit log in {self._folder} failed: {problem}"
            ) from problem
        for record in records:
            self._keep(record)
        return positions

    def read(self, position: Position) -> bytes:
        """The payload of the record at `position`, as `append` or `visit` gave it.

        Raises CorruptionError, with file and offset, when it is not what was written there.
        """
        header = self._headers.get(position.segment)
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
        writer = self._active()
        if writer.end + size > writer.capacity:
            writer = self._begin_segment(size)
        positions = writer.append(records, self._next_batch, self._unsynced)
        self._next_batch += 1
        self._unsynced += 1
        return positions

    def _sync(self) -> None:
        self._active().sync()
        self._unsynced = 0
        self._syncs += 1

    def _active(self) -> SegmentWriter:
        if self._writer is None:
            raise CommitLogFailed("the commit log has no segment to write to")
        return self._writer

    def _keep(self, record: Record) -> None:
        if record.kind in self._options.sticky_kinds:
            self._sticky[record.group, record.kind] = record

    def _begin_segment(self, needed: int) -> SegmentWriter:
        """Goes on in a new segment that has room for a batch of `needed` bytes.

        Everything before it is synced first: damage before a later segment is never a torn write.
        """
        if self._unsynced:
            self._sync()
        previous = self._writer
        options = self._options
        checkpoint = list(self._sticky.values())
        lengths = [len(record.payload) for record in checkpoint]
        number = max(self._headers, default=0) + 1
        header = SegmentHeader(
            segment=number,
            oldest_segment=min(self._headers, default=number),
            first_batch=self._next_batch,
            salt=options.salt,
            # A sticky record may be from a time when the limit was higher.
            payload_bytes_max=max(options.payload_bytes_max, max(lengths, default=0)),
        )
        least = SEGMENT_HEADER_BYTES + sum(map(frame_bytes, lengths)) + needed
        capacity = max(options.segment_bytes, least)
        self._writer = make_segment(self._files, self._folder, header, capacity, checkpoint)
        self._headers[number] = header
        self._bytes_on_disk += self._writer.capacity
        self._syncs += 1
        if checkpoint:
            self._next_batch += 1
        if previous is not None:
            previous.close()
        return self._writer

    def _go_on(self, recovered: Recovered) -> None:
        """Makes what was read durable, and sets the log to go on after it.

        After a cut the next batch begins a new segment. Its header says with which number, so
        nothing that stands at or above that number in an older one can ever count again: neither a
        truncation that is lost nor bytes that the disk brings back do any harm.
        """
        self._headers = recovered.headers
        self._report = recovered.report
        self._next_batch = recovered.last.next_batch
        self._bytes_on_disk = recovered.bytes_on_disk
        header = list(recovered.headers.values())[-1]
        file = self._files.open(self._readers.path(header.segment))
        size = file.size()
        writer = SegmentWriter(file, header, recovered.last.end, size)
        self._writer = writer
        writer.rewrite(recovered.last.unproven)
        self._syncs += 1
        if recovered.report.cut is not None:
            writer.cut()
            self._bytes_on_disk -= size - writer.end
        elif header.payload_bytes_max < self._options.payload_bytes_max:
            # Its header promises shorter records than may come now.
            writer.capacity = writer.end

    def _close_files(self) -> None:
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
