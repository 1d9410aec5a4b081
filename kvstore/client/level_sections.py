"""Sections of reads and scans at every level that is asked for by name.

They are not those of plain reads, which pay for none of it; and each level has its own, so that
what one caller asks for never costs those of another level anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from kvstore.client.levels import Consistency, Level, Seen, Stale, checked_level
from kvstore.client.operations import OperationClass, ReadSection, ScanSection, settle
from kvstore.codec.byteslist import CodecError, decode_optional_list
from kvstore.codec.read_level import (
    U64_MAX,
    decode_stale_result,
    encode_level_read,
    encode_level_scan,
    split_bound,
)
from kvstore.codec.scan import decode_page
from kvstore.errors import InvalidArgument

ANYWHERE: Final = frozenset(
    {
        OperationClass.SESSION_READ,
        OperationClass.STALE_READ,
        OperationClass.SESSION_SCAN,
        OperationClass.STALE_SCAN,
    }
)
"""Classes that any replica may serve."""

Bound = int | Mapping[int, int] | None
"""What a level asks for at least: an index, or an age in milliseconds; indexes by partition; None:
the index that the client has seen."""


class LevelSection(ReadSection):
    """Each caller gets a pair: the stored record of its key or None, and the receipt."""

    __slots__ = ("bounds",)

    def __init__(self) -> None:
        super().__init__()
        self.wants_place = True
        self.bounds: list[int] = []
        """What each caller asks for at least: an index, or an age in milliseconds; else 0."""

    def columns(self) -> tuple[list[Any], ...]:
        """The parallel lists."""
        return (self.keys, self.futures, self.deadlines, self.bounds)

    def answer(self, result: bytes) -> None:
        """`result` holds what its class says."""
        if self.place is None:
            raise CodecError("the answer does not say where it stands: its node is older than this")
        age_s, records = self._found(result)
        receipt = self.place.receipt(self.level, age_s)
        settle(self.answered_by(len(records)), [(record, receipt) for record in records])

    def _found(self, result: bytes) -> tuple[float | None, list[bytes | None]]:
        records, end = decode_optional_list(result)
        if end != len(result):
            raise CodecError("a list of records is followed by more bytes")
        return None, records


class ReceiptSection(LevelSection):
    """Linearizable reads."""

    __slots__ = ()

    kind: ClassVar[OperationClass] = OperationClass.RECEIPT_READ


class SessionSection(LevelSection):
    """Session reads; `bounds` are indexes, of which the highest serves all."""

    __slots__ = ()

    kind: ClassVar[OperationClass] = OperationClass.SESSION_READ
    level: ClassVar[Consistency] = Consistency.SESSION

    def body(self) -> bytes:
        """The least index, and the keys."""
        return encode_level_read(max(self.bounds), self.keys)


class StaleSection(LevelSection):
    """Stale reads; `bounds` are ages in milliseconds, of which the least serves all."""

    __slots__ = ()

    kind: ClassVar[OperationClass] = OperationClass.STALE_READ
    level: ClassVar[Consistency] = Consistency.STALE

    def body(self) -> bytes:
        """The greatest age, and the keys."""
        return encode_level_read(min(self.bounds), self.keys)

    def _found(self, result: bytes) -> tuple[float | None, list[bytes | None]]:
        age_ms, records = decode_stale_result(result)
        return age_ms / 1000, records


class SessionScanSection(ScanSection):
    """One page of a session scan; `bounds` holds the least index."""

    __slots__ = ("bounds",)

    kind: ClassVar[OperationClass] = OperationClass.SESSION_SCAN
    level: ClassVar[Consistency] = Consistency.SESSION

    def __init__(self) -> None:
        super().__init__()
        self.bounds: list[int] = []

    def columns(self) -> tuple[list[Any], ...]:
        """The parallel lists."""
        return (self.keys, self.futures, self.deadlines, self.bounds)

    def body(self) -> bytes:
        """The bound, and a scan."""
        return encode_level_scan(self.bounds[0], super().body())


class StaleScanSection(SessionScanSection):
    """One page of a stale scan; `bounds` holds the greatest age in milliseconds."""

    __slots__ = ()

    kind: ClassVar[OperationClass] = OperationClass.STALE_SCAN
    level: ClassVar[Consistency] = Consistency.STALE

    def answer(self, result: bytes) -> None:
        """`result` holds an age and a page."""
        age_ms, encoded = split_bound(result)
        page = decode_page(encoded)
        self.hand_out_receipts(age_ms / 1000)
        settle(self.futures, [page])


SECTIONS: Final[dict[OperationClass, type[LevelSection | SessionScanSection]]] = {
    section.kind: section
    for section in (
        ReceiptSection,
        SessionSection,
        StaleSection,
        SessionScanSection,
        StaleScanSection,
    )
}


def class_of(consistency: Level, min_index: int | None = None) -> tuple[OperationClass, Bound]:
    """The class of reads of that level, and its bound.

    Raises InvalidArgument where the two do not say what is wanted.
    """
    level = checked_level(consistency)
    if min_index is not None:
        if level is not Consistency.SESSION:
            raise InvalidArgument(f"min_index is {min_index}; it is for session reads only")
        if not isinstance(min_index, int) or not 0 <= min_index <= U64_MAX:
            raise InvalidArgument(f"min_index is {min_index!r}; it must be 0 to {U64_MAX}")
    if level is Consistency.SESSION:
        return OperationClass.SESSION_READ, min_index
    if isinstance(level, Seen):
        return OperationClass.SESSION_READ, level.indexes
    if isinstance(level, Stale):
        return OperationClass.STALE_READ, int(level.max_staleness_s * 1000)
    return OperationClass.RECEIPT_READ, 0


def scan_class_of(consistency: Level, *, consistent: bool) -> tuple[OperationClass, Bound]:
    """The class of scans of that level, and its bound.

    Raises InvalidArgument where a scan cannot be both: a view is opened by a leader.
    """
    kind, bound = class_of(consistency)
    if kind is OperationClass.RECEIPT_READ:
        return OperationClass.SCAN, bound
    if consistent:
        raise InvalidArgument(
            f"consistent is given together with consistency={consistency!r}; a consistent scan is "
            "linearizable as of its beginning: leave one of the two out"
        )
    if kind is OperationClass.SESSION_READ:
        return OperationClass.SESSION_SCAN, bound
    return OperationClass.STALE_SCAN, bound
