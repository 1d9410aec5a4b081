"""How the commit log is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.commitlog.log_format import PAYLOAD_BYTES_CEILING
from kvstore.errors import ConfigurationError

BATCH_BYTES_CEILING: Final = 16 << 30
"""Keeps the number of records in a batch, and offsets, far from the ends of their fields."""
_SEGMENT_BYTES_MIN: Final = 256


@dataclass(frozen=True, slots=True)
class CommitLogOptions:
    """Sizes are in bytes. May change from one start to the next."""

    segment_bytes: int = 64 << 20
    """Of a new segment, reserved when it is made. A batch that is larger gets a larger one."""

    payload_bytes_max: int = 32 << 20
    """Of one record. Stands in each segment's header, so that it can be lowered later."""

    batch_bytes_max: int = 256 << 20
    """Of one append with its frames."""

    disk_bytes_max: int | None = None
    """Of all files of the log; beyond it, appends are refused until segments are released. None: as
    much as the disk has. One segment's space of it is kept back (SegmentStore)."""

    spares_max: int = 1
    """Files kept ready for segments to come."""

    sticky_kinds: frozenset[int] = frozenset()
    """Kinds of records of which the latest per group counts: each new segment repeats it. An empty
    record ends that: it says that nothing is to be remembered of its group and kind any more."""

    open_files_max: int = 16
    """Segments kept open for `read`."""

    salt: int = 0
    """Any 64-bit number that clients cannot guess, for new segments: with it in every checksum, a
    value that looks like a piece of the log is never taken for one."""

    def __post_init__(self) -> None:
        rules = (
            ("segment_bytes", self.segment_bytes >= _SEGMENT_BYTES_MIN),
            ("payload_bytes_max", 0 < self.payload_bytes_max <= PAYLOAD_BYTES_CEILING),
            ("batch_bytes_max", self._batch_limit_holds()),
            ("disk_bytes_max", self._disk_limit_holds()),
            ("spares_max", self.spares_max >= 0),
            ("sticky_kinds", all(0 <= kind <= 255 for kind in self.sticky_kinds)),
            ("open_files_max", self.open_files_max >= 1),
            ("salt", 0 <= self.salt < 1 << 64),
        )
        for name, holds in rules:
            if not holds:
                raise ConfigurationError(
                    f"commit log option {name} cannot be {getattr(self, name)!r}"
                )

    def _batch_limit_holds(self) -> bool:
        """A largest record fits in a batch; its frame takes less than 64 bytes more."""
        return self.payload_bytes_max + 64 <= self.batch_bytes_max <= BATCH_BYTES_CEILING

    def _disk_limit_holds(self) -> bool:
        """The largest batch finds room beside the segment before it and what is kept back."""
        least = 3 * self.segment_bytes + self.batch_bytes_max
        return self.disk_bytes_max is None or self.disk_bytes_max >= least
