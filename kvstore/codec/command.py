"""Commands: the writes to one partition that become one log entry (docs/format-command.md).

```
u8 format = 1 | u8 flags = 0 | u16 reserved = 0 | u32 n
16 bytes client id | u64 sequence | u64 lowest unacknowledged        zero: no session
n × u8 operation kind
list of n keys | list of n arguments                                 (codec/byteslist.py)
```

The client encodes a command once; leader and followers store and forward it undecoded, and each
replica decodes it when it applies it. The three session fields are kept for exactly-once writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct
from typing import Final

from kvstore.codec.byteslist import CodecError, decode_list, encode_list

COMMAND_FORMAT: Final = 1
_HEADER: Final = Struct("<BBHI16sQQ")
_NO_CLIENT: Final = bytes(16)


@unique
class OperationKind(IntEnum):
    """What is done to a key. The numbers stand in logs: never renumber."""

    PUT = 1
    """argument: the value, as it is."""
    DELETE = 2
    """argument: empty."""


_KINDS: Final = bytes(OperationKind)


@dataclass(frozen=True, slots=True)
class Command:
    """Parallel lists, in order: operation i does `kinds[i]` to `keys[i]` with `arguments[i]`."""

    kinds: bytes
    keys: Sequence[bytes]
    arguments: Sequence[bytes]


def encode_command(kinds: bytes, keys: Sequence[bytes], arguments: Sequence[bytes]) -> bytes:
    """A command without a session, as bytes; the three are parallel."""
    header = _HEADER.pack(COMMAND_FORMAT, 0, 0, len(kinds), _NO_CLIENT, 0, 0)
    return b"".join((header, kinds, encode_list(keys), encode_list(arguments)))


def decode_command(data: bytes) -> Command:
    """The command in `data`; raises CodecError where it does not follow the format."""
    if len(data) < _HEADER.size:
        raise CodecError(f"a command of {len(data)} bytes is shorter than its header")
    command_format, flags, reserved, count, _client, _sequence, _lowest = _HEADER.unpack_from(data)
    if command_format != COMMAND_FORMAT or flags or reserved:
        raise CodecError(f"command format {command_format}, flags {flags} are not known here")
    start = _HEADER.size
    kinds = data[start : start + count]
    keys, position = decode_list(data, start + count)
    arguments, position = decode_list(data, position)
    if not len(kinds) == len(keys) == len(arguments) == count or position != len(data):
        raise CodecError("a command's lists differ in length or are followed by more bytes")
    if kinds.translate(None, _KINDS):
        raise CodecError("a command has an operation that is not known here")
    return Command(kinds, keys, arguments)
