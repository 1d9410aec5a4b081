"""A list of byte strings in one: the building block of commands, reads and results.

```
u32 n | n × u32 length (0xFFFFFFFF: absent) | the strings, one after another        little-endian
```
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Final

ABSENT: Final = 0xFFFFFFFF
_U32: Final = Struct("<I")


class CodecError(ValueError):
    """Bytes that do not follow their format."""


@lru_cache(maxsize=4096)
def u32s(count: int) -> Struct:
    """The Struct of `count` unsigned 32-bit numbers."""
    return Struct(f"<{count}I")


@lru_cache(maxsize=4096)
def u64s(count: int) -> Struct:
    """The Struct of `count` unsigned 64-bit numbers."""
    return Struct(f"<{count}Q")


def encode_list(strings: Sequence[bytes]) -> bytes:
    """`strings` as bytes."""
    count = len(strings)
    return b"".join((_U32.pack(count), u32s(count).pack(*map(len, strings)), *strings))


def encode_optional_list(strings: Sequence[bytes | None]) -> bytes:
    """`strings` as bytes, where None is told from an empty string."""
    count = len(strings)
    lengths = [ABSENT if string is None else len(string) for string in strings]
    present = [string for string in strings if string is not None]
    return b"".join((_U32.pack(count), u32s(count).pack(*lengths), *present))


def decode_list(data: bytes, offset: int = 0) -> tuple[list[bytes], int]:
    """The strings of a list without absent ones that begins at `offset`, and where it ends."""
    lengths, position = _lengths(data, offset)
    strings: list[bytes] = []
    for length in lengths:
        end = position + length
        strings.append(data[position:end])
        position = end
    _check_end(data, position)
    return strings, position


def decode_optional_list(data: bytes, offset: int = 0) -> tuple[list[bytes | None], int]:
    """The strings of a list that begins at `offset`, and where it ends."""
    lengths, position = _lengths(data, offset)
    strings: list[bytes | None] = []
    for length in lengths:
        if length == ABSENT:
            strings.append(None)
            continue
        end = position + length
        strings.append(data[position:end])
        position = end
    _check_end(data, position)
    return strings, position


def _lengths(data: bytes, offset: int) -> tuple[tuple[int, ...], int]:
    try:
        (count,) = _U32.unpack_from(data, offset)
        if count > (len(data) - offset) // 4:
            raise CodecError(f"a list of {count} strings does not fit in {len(data)} bytes")
        return u32s(count).unpack_from(data, offset + 4), offset + 4 + 4 * count
    except error as problem:
        raise CodecError(f"a list at byte {offset} of {len(data)} is cut short") from problem


def _check_end(data: bytes, end: int) -> None:
    if end > len(data):
        raise CodecError(f"a list ends at byte {end} of {len(data)}")
