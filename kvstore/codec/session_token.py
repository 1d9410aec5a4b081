"""Session tokens: what a client has seen, for another client to go on from.

```
token   base64url, without padding, of:
        u8 format = 1 | u8 n | n bytes cluster id | u32 m | m × entry | u32 CRC32C
entry   u32 partition | u64 index
```

Little-endian, partitions in rising order, the checksum over everything before it. To their users
tokens are opaque. They are no secret and no proof of anything: all that one can do is make reads
wait.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from struct import Struct, error
from typing import Final

import google_crc32c

from kvstore.codec.byteslist import CodecError

TOKEN_FORMAT: Final = 1
TOKEN_CHARS_MAX: Final = 1 << 20
"""More than the partitions of any cluster take."""
_HEAD: Final = Struct("<BB")
_U32: Final = Struct("<I")
_ENTRY: Final = Struct("<IQ")


def encode_session_token(cluster_id: str, indexes: Mapping[int, int]) -> str:
    """`indexes`, by partition, in the cluster with that id; it may be empty if there are none."""
    name = cluster_id.encode()
    parts = [_HEAD.pack(TOKEN_FORMAT, len(name)), name, _U32.pack(len(indexes))]
    parts += [_ENTRY.pack(partition, index) for partition, index in sorted(indexes.items())]
    data = b"".join(parts)
    return base64.urlsafe_b64encode(data + _checksum(data)).decode("ascii").rstrip("=")


def decode_session_token(token: str) -> tuple[str, dict[int, int]]:
    """The cluster id, and the index of each partition; raises CodecError."""
    if len(token) > TOKEN_CHARS_MAX:
        raise CodecError(f"it has {len(token)} characters; the limit is {TOKEN_CHARS_MAX}")
    try:
        # Padding that is there already is none of a token's characters.
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        body, checksum = data[:-4], data[-4:]
        if checksum != _checksum(body):
            raise CodecError("its checksum does not fit: it was cut or changed on its way")
        token_format, length = _HEAD.unpack_from(body)
        if token_format != TOKEN_FORMAT:
            raise CodecError(f"its format is {token_format}; {TOKEN_FORMAT} is known here")
        entries_at = _HEAD.size + length + _U32.size
        name = body[_HEAD.size : _HEAD.size + length].decode()
        (count,) = _U32.unpack_from(body, _HEAD.size + length)
        if len(body) != entries_at + count * _ENTRY.size:
            raise CodecError(f"{count} partitions do not fit its {len(body)} bytes")
        return name, dict(_ENTRY.iter_unpack(body[entries_at:]))
    except (error, UnicodeError, binascii.Error) as problem:
        raise CodecError(f"it is none: {problem}") from problem


def _checksum(data: bytes) -> bytes:
    return _U32.pack(int(google_crc32c.value(data)))
