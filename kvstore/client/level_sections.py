"""Sections whose callers get a receipt: reads at every level that is asked for by name.

They are not those of plain reads, which pay for none of it; and each level has its own, so that
what one caller asks for never costs those of another level anything.
"""

from __future__ import annotations

from typing import Any, Final

from kvstore.client.levels import Consistency, Level, Stale, checked_level
from kvstore.client.operations import OperationClass, ReadSection, settle
from kvstore.client.receipts import Place, Receipt
from kvstore.codec.byteslist import CodecError, decode_optional_list
from kvstore.codec.read_level import U64_MAX, decode_stale_result, encode_level_read
from kvstore.errors import InvalidArgument

ANYWHERE: Final = frozenset({OperationClass.SESSION_READ, OperationClass.STALE_READ})
"""Classes that any replica may serve."""


class LevelSection(ReadSection):
    """Each caller gets a pair: the stored record of its key or None, and the receipt."""

    __slots__ = ("bounds", "place")

    level: Consistency

    def __init__(self) -> None:
        super().__init__()
        self.bounds: list[int] = []
        """What each caller asks for at least: an index, or an age in milliseconds; else 0."""
        self.place: Place | None = None
        """Of the answer, before that is given to the callers."""

    def columns(self) -> tuple[list[Any], ...]:
        """The parallel lists."""
        return (self.keys, self.futures, self.deadlines, self.bounds)

    def answer(self, result: bytes) -> None:
        """`result` holds what its class says."""
        place = self.place
        if place is None:
            raise CodecError("the answer does not say where it stands: its node is older than this")
        age_s, records = self._found(result)
        receipt = Receipt(
            place.node,
            place.partition,
            place.term,
            place.revision,
            place.index,
            self.level,
            age_s,
        )
        settle(self.futures, [(record, receipt) for record in records])

    def _found(self, result: bytes) -> tuple[float | None, list[bytes | None]]:
        records, end = decode_optional_list(result)
        if end != len(result):
            raise CodecError("a list of records is followed by more bytes")
        return None, records


class ReceiptSection(LevelSection):
    """Linearizable reads."""

    __slots__ = ()

    kind = OperationClass.RECEIPT_READ
    level = Consistency.LINEARIZABLE


class SessionSection(LevelSection):
    """Session reads; `bounds` are indexes, of which the highest serves all."""

    __slots__ = ()

    kind = OperationClass.SESSION_READ
    level = Consistency.SESSION

    def body(self) -> bytes:
        """The least index, and the keys."""
        return encode_level_read(max(self.bounds), self.keys)


class StaleSection(LevelSection):
    """Stale reads; `bounds` are ages in milliseconds, of which the least serves all."""

    __slots__ = ()

    kind = OperationClass.STALE_READ
    level = Consistency.STALE

    def body(self) -> bytes:
        """The greatest age, and the keys."""
        return encode_level_read(min(self.bounds), self.keys)

    def _found(self, result: bytes) -> tuple[float | None, list[bytes | None]]:
        age_ms, records = decode_stale_result(result)
        return age_ms / 1000, records


SECTIONS: Final[dict[OperationClass, type[LevelSection]]] = {
    section.kind: section for section in (ReceiptSection, SessionSection, StaleSection)
}


def class_of(consistency: Level, min_index: int | None) -> tuple[OperationClass, int | None]:
    """The class of reads of that level, and its bound; None: the index that the client has seen.

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
    if isinstance(level, Stale):
        return OperationClass.STALE_READ, int(level.max_staleness_s * 1000)
    return OperationClass.RECEIPT_READ, 0
