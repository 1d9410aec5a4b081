"""Write results: what applying a command gave, operation by operation.

```
u32 n | n × u64 revision
```

A put's revision is the one it was given; a delete's too, or 0 when there was no such key.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error
from typing import Final

from kvstore.codec.byteslist import CodecError, u64s

_U32: Final = Struct("<I")


def encode_results(revisions: Sequence[int]) -> bytes:
    """`revisions` as bytes."""
    return _U32.pack(len(revisions)) + u64s(len(revisions)).pack(*revisions)


def decode_results(data: bytes) -> tuple[int, ...]:
    """The revisions in `data`, in the order of the command's operations."""
    try:
        (count,) = _U32.unpack_from(data)
        if len(data) != 4 + 8 * count:
            raise CodecError(f"{count} results do not take {len(data)} bytes")
        return u64s(count).unpack_from(data, 4)
    except error as problem:
        raise CodecError(f"results of {len(data)} bytes are cut short") from problem
