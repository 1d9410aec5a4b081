"""The files of a log: which segments there are, what they take, which may go; and spare files.

A segment that nobody needs any more goes when the next one is made, whose header says from where on
the log has to be there. Its file becomes a spare, if one is wanted: the space is reserved, and no
block has to be found when it becomes a segment again.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from enum import Enum, auto, unique
from typing import Final

from kvstore.commitlog.file_names import is_spare_name, segment_name, segment_of_name, spare_name
from kvstore.commitlog.log_format import ALIGNMENT, Record, SegmentHeader
from kvstore.commitlog.log_writer import (
    SegmentWriter,
    Spare,
    fill_spare,
    make_spare,
    name_segment,
    segment_capacity,
)
from kvstore.commitlog.options import CommitLogOptions
from kvstore.commitlog.recovery import Recovered
from kvstore.environment import DISK_FULL, FileSystem
from kvstore.errors import InvariantViolation, ResourceExhausted

_SHORT_SEGMENT_BYTES: Final = 64 << 10
"""What a segment that is made in want of room has for what comes after its first batch."""


@unique
class Size(Enum):
    """Of a new segment."""

    PLAIN = auto()
    """As the options say, or larger where the batch is."""
    SHORT = auto()
    """Room for the batch and a little more: where there is no room for a plain one."""
    LEAST = auto()
    """No larger than it must be, and not held to the bound on disk use, because it lets other
    segments go."""


class SegmentStore:
    """See the module. Used by the thread that appends; `release` and reading from any."""

    __slots__ = (
        "_files",
        "_folder",
        "_options",
        "_plain_bytes",
        "_sizes",
        "_spares",
        "bytes_on_disk",
        "headers",
        "oldest_needed",
    )

    def __init__(self, files: FileSystem, folder: str, options: CommitLogOptions) -> None:
        self._files = files
        self._folder = folder
        self._options = options
        self._plain_bytes = options.segment_bytes + -options.segment_bytes % ALIGNMENT
        self._sizes: dict[int, int] = {}
        self._spares: list[Spare] = []
        self.headers: dict[int, SegmentHeader] = {}
        """Of the segments that make up the log, oldest first. Replaced, never changed: other
        threads look at it."""
        self.bytes_on_disk = 0
        """The size of all segments and spares."""
        self.oldest_needed = 0
        """Segments below it may go."""

    @property
    def spares(self) -> int:
        """How many spare files there are."""
        return len(self._spares)

    @property
    def wants_spare(self) -> bool:
        """Whether there should be a spare, and is none."""
        return len(self._spares) < min(1, self._options.spares_max)

    @property
    def last(self) -> int:
        """The number of the segment that is written to; 0 before the first is made."""
        return next(reversed(self.headers), 0)

    @property
    def can_release(self) -> bool:
        """Whether making a segment would let older ones go."""
        return min(self.headers, default=self.oldest_needed) < self.oldest_needed

    def may_be_short(self, checkpoint: Sequence[Record], batch_bytes: int) -> bool:
        """Whether a short segment for that batch would take less than a plain one."""
        capacity = segment_capacity(checkpoint, batch_bytes)
        return capacity + _SHORT_SEGMENT_BYTES < self._plain_bytes

    def release(self, before: int) -> None:
        """See CommitLog."""
        if before > self.last:
            raise InvariantViolation(
                f"segments before {before} released, but segment {self.last} is written to"
            )
        self.oldest_needed = max(self.oldest_needed, before)

    def path(self, name: str) -> str:
        """Where the file of that name is."""
        return posixpath.join(self._folder, name)

    # Making segments

    def make(
        self, first_batch: int, checkpoint: Sequence[Record], batch_bytes: int, size: Size
    ) -> SegmentWriter:
        """Makes the next segment, with room for a batch of `batch_bytes` after `checkpoint`.

        When this returns it is part of the log for good. Raises ResourceExhausted when there is no
        room for it: the log is as it was. After an OSError it may be part of the log, or not.
        """
        capacity = segment_capacity(checkpoint, batch_bytes)
        if size is Size.SHORT:
            capacity += _SHORT_SEGMENT_BYTES
        elif size is Size.PLAIN:
            capacity = max(capacity, self._plain_bytes)
        if size is not Size.LEAST:
            self._check_bound(capacity)
        number = self.last + 1
        spare = self._take_spare(capacity) or self._reserve(capacity)
        lengths = [len(record.payload) for record in checkpoint]
        header = SegmentHeader(
            segment=number,
            oldest_segment=max(self.oldest_needed, min(self.headers, default=number)),
            first_batch=first_batch,
            salt=self._options.salt,
            # A sticky record may be from a time when the limit was higher.
            payload_bytes_max=max(self._options.payload_bytes_max, max(lengths, default=0)),
            is_recycled=not spare.is_blank,
        )
        with self._removed_on_failure(spare.path, capacity):
            writer = fill_spare(self._files, spare, header, checkpoint)
        try:
            name_segment(self._files, self._folder, spare, number)
        except BaseException:
            writer.close()
            raise
        self.headers = {**self.headers, number: header}
        self._sizes[number] = spare.size
        self.bytes_on_disk += spare.size
        return writer

    def prepare(self) -> None:
        """Sees to it that there is a spare, unless there is no room for one. Raises OSError."""
        if not self.wants_spare or not self._has_room_for_spare():
            return
        with contextlib.suppress(ResourceExhausted):
            self._add_spare(self._reserve(self._plain_bytes))

    def released(self) -> list[int]:
        """The segments that the newest one says are not part of the log any more."""
        oldest = self.headers[self.last].oldest_segment
        return [number for number in self.headers if number < oldest]

    def drop_released(self) -> None:
        """Lets go of them: their files become spares or are removed.

        Not synced: files that are still there at the next start are not part of the log either.
        """
        gone = self.released()
        self.headers = {n: header for n, header in self.headers.items() if n not in gone}
        for number in gone:
            size = self._sizes.pop(number)
            self.bytes_on_disk -= size
            self._recycle(self.path(segment_name(number)), size)

    # At a start

    def adopt(self, recovered: Recovered) -> None:
        """Takes over the segments that a start has found."""
        self.headers = recovered.headers
        self._sizes = recovered.sizes
        self.bytes_on_disk = sum(recovered.sizes.values())

    def resized(self, segment: int, size: int) -> None:
        """Notes that the file of `segment` has `size` bytes now."""
        self.bytes_on_disk += size - self._sizes[segment]
        self._sizes[segment] = size

    def tidy(self) -> None:
        """Takes over the spares that are there, and lets go of segments that were dropped before
        but are still there. Raises OSError."""
        names = self._files.list(self._folder)
        for name in filter(is_spare_name, names):
            path = self.path(name)
            size = self._size_of(path)
            # Nobody knows what a file holds that was here before.
            spare = Spare(path, size, is_blank=False)
            if size == self._plain_bytes and self._wants_spare():
                self._add_spare(spare)
            else:
                self._files.remove(path)
        for name in names:
            number = segment_of_name(name)
            if number is not None and number not in self.headers:
                path = self.path(name)
                self._recycle(path, self._size_of(path))

    # Space

    def _check_bound(self, capacity: int) -> None:
        """Raises ResourceExhausted when a segment of `capacity` bytes is above the bound.

        The space of one segment is kept back, so that old ones can always be let go: for that, a
        new one has to be made first.
        """
        most = self._options.disk_bytes_max
        if most is None:
            return
        used = sum(self._sizes.values())
        freed = sum([size for n, size in self._sizes.items() if n < self.oldest_needed])
        if max(used, used - freed + self._plain_bytes) + capacity > most:
            raise ResourceExhausted(
                f"the commit log in {self._folder} has {used} bytes of at most {most}, and has no"
                f" room for another segment of {capacity} bytes"
            )
        while self._spares and self.bytes_on_disk + capacity > most:
            if self._spares[-1].size >= capacity:
                break
            self._remove(self._spares.pop())

    def _has_room_for_spare(self) -> bool:
        most = self._options.disk_bytes_max
        return most is None or self.bytes_on_disk + self._plain_bytes <= most

    def _wants_spare(self) -> bool:
        return len(self._spares) < self._options.spares_max and self._has_room_for_spare()

    def _add_spare(self, spare: Spare) -> None:
        self._spares.append(spare)
        self.bytes_on_disk += spare.size

    def _take_spare(self, capacity: int) -> Spare | None:
        if not self._spares or self._spares[-1].size < capacity:
            return None
        spare = self._spares.pop()
        self.bytes_on_disk -= spare.size
        return spare

    def _reserve(self, size: int) -> Spare:
        path = self._spare_path()
        with self._removed_on_failure(path, size):
            return make_spare(self._files, path, size)

    def _recycle(self, path: str, size: int) -> None:
        """Makes the file of a segment that is gone a spare, if one of its size is wanted."""
        if size != self._plain_bytes or not self._wants_spare():
            self._files.remove(path)
            return
        spare = Spare(self._spare_path(), size, is_blank=False)
        self._files.rename(path, spare.path)
        self._add_spare(spare)

    def _spare_path(self) -> str:
        """A name that no spare has; its number says nothing."""
        taken = {spare.path for spare in self._spares}
        number = self.last + 1
        while (path := self.path(spare_name(number))) in taken:
            number += 1
        return path

    def _remove(self, spare: Spare) -> None:
        self._files.remove(spare.path)
        self.bytes_on_disk -= spare.size

    @contextlib.contextmanager
    def _removed_on_failure(self, path: str, size: int) -> Iterator[None]:
        """Removes the file at `path` when there is no room for it or the disk fails, as far as that
        goes: what stays is removed at the next try or start."""
        try:
            yield
        except OSError as problem:
            with contextlib.suppress(OSError):
                self._files.remove(path)
            if problem.errno not in DISK_FULL:
                raise
            raise ResourceExhausted(
                f"the disk has no room for a log segment of {size} bytes in {self._folder}"
            ) from problem

    def _size_of(self, path: str) -> int:
        file = self._files.open(path)
        try:
            return file.size()
        finally:
            file.close()
