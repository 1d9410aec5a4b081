"""Whether two sets of keys and values are the same, in whatever order they are seen."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

import xxhash

_KEY_LENGTH: Final = Struct("<I")
_MODULUS: Final = 1 << 64


class Contents:
    """Counts pairs of keys and values, each key once, and sums up their hashes.

    The hash of a pair is XXH3 (64 bits) of `u32 key length | key | value`, little-endian; that of
    all is the sum modulo 2^64. It says nothing of versions and revisions, which a restore does not
    keep. It finds mistakes, not intent.
    """

    __slots__ = ("_sum", "records")

    def __init__(self) -> None:
        self.records = 0
        self._sum = 0

    def add(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes more of them."""
        pack, hashed = _KEY_LENGTH.pack, xxhash.xxh3_64_intdigest
        hashes = [hashed(pack(len(key)) + key + value) for key, value in pairs]
        self.records += len(hashes)
        self._sum = (self._sum + sum(hashes)) % _MODULUS

    @property
    def hash(self) -> int:
        """Of all so far."""
        return self._sum

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Contents):
            return NotImplemented
        return (self.records, self._sum) == (other.records, other._sum)

    __hash__ = None  # type: ignore[assignment]  # it changes
