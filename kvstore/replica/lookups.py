"""What reads find in a partition's state, as they are answered: bounded, whatever they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvstore.codec.byteslist import encode_optional_list
from kvstore.codec.scan import encode_page
from kvstore.replica.requests import ReadRequest
from kvstore.storage.partition_state import PartitionState

ANSWER_BYTES_MAX: Final = 8 << 20
"""Of the records of one section; never less than one of them. Who asked asks again for the rest."""
KEYS_AT_ONCE: Final = 64
"""Read from the engine in one go: how large their records are is known only then."""


def found(state: PartitionState, request: ReadRequest) -> bytes:
    """A page, or a list of records: those of as many of the first keys as there is room for."""
    if request.scan is not None:
        return encode_page(state.scan(request.scan))
    keys = request.keys
    if len(keys) <= KEYS_AT_ONCE:
        return encoded(state.get_many(keys))
    records: list[bytes | None] = []
    room = ANSWER_BYTES_MAX
    for first in range(0, len(keys), KEYS_AT_ONCE):
        some = state.get_many(keys[first : first + KEYS_AT_ONCE])
        records += some
        room -= sum(len(record) for record in some if record is not None)
        if room <= 0:
            break
    return encoded(records)


def encoded(records: Sequence[bytes | None]) -> bytes:
    """`records`, or the first of them, at least one, as far as there is room for."""
    result = encode_optional_list(records)
    if len(result) <= ANSWER_BYTES_MAX:
        return result
    size = count = 0
    for count, record in enumerate(records):
        size += 0 if record is None else len(record)
        if size > ANSWER_BYTES_MAX and count:
            return encode_optional_list(records[:count])
    return result
