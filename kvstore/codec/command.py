"""Commands: the writes to one partition that become one log entry (docs/format-command.md).

```
u8 format = 3 | u8 flags: 1 = timed | u16 reserved = 0 | u32 n
16 bytes client id | u64 sequence | u64 lowest | u64 opened after     zero: no session
u64 clock ms                                                          zero until it is proposed
n × u8 operation kind
list of n keys | list of n arguments                                  (codec/byteslist.py)
```

The client encodes a command once; leader and followers store and forward it undecoded, and each
replica decodes it when it applies it. All that a leader adds is the time, to those that ask for it
(`timed`): a lifetime begins at the moment that stands in the log, the same on every replica.

Format 1, which is read and not written any more, ends its header after `lowest` and has no session.
(Format 2 is a mark: codec/scrub.py.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct
from typing import Final

from kvstore.codec.byteslist import CodecError, decode_list, encode_list

COMMAND_FORMAT: Final = 3
CLIENT_ID_BYTES: Final = 16
_FORMAT_1: Final = 1
_TIMED: Final = 1
_HEADER: Final = Struct("<BBHI16sQQQQ")
_HEADER_1: Final = Struct("<BBHI16sQQ")
_CLOCK: Final = Struct("<Q")
_CLOCK_AT: Final = _HEADER.size - _CLOCK.size
_NO_CLIENT: Final = bytes(CLIENT_ID_BYTES)


@unique
class OperationKind(IntEnum):
    """What is done to a key. The numbers stand in logs: never renumber."""

    PUT = 1
    """argument: the value, as it is."""
    DELETE = 2
    """argument: empty."""
    CHANGE = 3
    """argument: a change with its conditions (codec/change.py)."""
    TRANSACTION = 4
    """argument: comparisons and operations (codec/transaction.py); its key is one of theirs."""
    GET = 5
    """argument: empty. Inside transactions only."""
    EXPIRE = 6
    """argument: u64 expiry ms. Removes the key if it expires then. Leaders only."""


CLIENT_KINDS: Final = bytes(
    (OperationKind.PUT, OperationKind.DELETE, OperationKind.CHANGE, OperationKind.TRANSACTION)
)
"""What a client may ask for."""
SIMPLE_KINDS: Final = bytes((OperationKind.PUT, OperationKind.DELETE))
"""What a client may ask for that needs no look at values."""
HEAD_KINDS: Final = SIMPLE_KINDS + bytes((OperationKind.EXPIRE,))
"""What needs to know nothing but the head of the record that it replaces."""
_KINDS: Final = CLIENT_KINDS + bytes((OperationKind.EXPIRE,))


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Stamp:
    """What makes a command that is sent again apply once (docs/exactly-once.md)."""

    client: bytes
    """CLIENT_ID_BYTES of chance, not all zero."""
    sequence: int
    """Of the command among those of this client to this partition, from 1."""
    lowest: int
    """The lowest sequence whose result the client may still ask for; at most `sequence`."""
    opened_after: int
    """An index that the partition had applied before the client's first command to it was made."""

    def __init__(self, client: bytes, sequence: int, lowest: int, opened_after: int) -> None:
        self.client = client
        self.sequence = sequence
        self.lowest = lowest
        self.opened_after = opened_after


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Command:
    """Parallel lists, in order: operation i does `kinds[i]` to `keys[i]` with `arguments[i]`."""

    kinds: bytes
    keys: list[bytes]
    arguments: list[bytes]
    stamp: Stamp | None = None
    is_timed: bool = False
    clock_ms: int = 0
    """Of the partition, as its leader had it when it proposed the command; 0: not timed."""

    def __init__(
        self,
        kinds: bytes,
        keys: list[bytes],
        arguments: list[bytes],
        stamp: Stamp | None = None,
        is_timed: bool = False,
        clock_ms: int = 0,
    ) -> None:
        self.kinds = kinds
        self.keys = keys
        self.arguments = arguments
        self.stamp = stamp
        self.is_timed = is_timed
        self.clock_ms = clock_ms


def encode_command(
    kinds: bytes,
    keys: Sequence[bytes],
    arguments: Sequence[bytes],
    stamp: Stamp | None = None,
    *,
    timed: bool = False,
) -> bytes:
    """A command as bytes; the three are parallel. `timed`: one of the operations needs to know the
    time."""
    flags = _TIMED if timed else 0
    if stamp is None:
        header = _HEADER.pack(COMMAND_FORMAT, flags, 0, len(kinds), _NO_CLIENT, 0, 0, 0, 0)
    else:
        header = _HEADER.pack(
            COMMAND_FORMAT,
            flags,
            0,
            len(kinds),
            stamp.client,
            stamp.sequence,
            stamp.lowest,
            stamp.opened_after,
            0,
        )
    return b"".join((header, kinds, encode_list(keys), encode_list(arguments)))


def is_timed(command: bytes) -> bool:
    """Whether the leader has to say what time it is when it proposes `command`."""
    return len(command) >= _HEADER.size and command[0] == COMMAND_FORMAT and command[1] == _TIMED


def with_clock(command: bytes, clock_ms: int) -> bytes:
    """A timed command, as it is proposed at `clock_ms` of its partition."""
    return command[:_CLOCK_AT] + _CLOCK.pack(clock_ms) + command[_HEADER.size :]


def decode_command(data: bytes) -> Command:
    """The command in `data`; raises CodecError where it does not follow the format."""
    if data[:1] == bytes((_FORMAT_1,)):
        return _decode_format_1(data)
    if len(data) < _HEADER.size:
        raise CodecError(f"a command of {len(data)} bytes is shorter than its header")
    command_format, flags, reserved, count, client, sequence, lowest, opened_after, clock_ms = (
        _HEADER.unpack_from(data)
    )
    if command_format != COMMAND_FORMAT or flags & ~_TIMED or reserved:
        raise CodecError(f"command format {command_format}, flags {flags} are not known here")
    if client != _NO_CLIENT:
        if not 1 <= lowest <= sequence:
            raise CodecError(f"sequence {sequence} does not go with lowest {lowest}")
        stamp = Stamp(client, sequence, lowest, opened_after)
    elif sequence or lowest or opened_after:
        raise CodecError("a command without a client has a sequence")
    else:
        stamp = None
    kinds, keys, arguments = _decode_lists(data, _HEADER.size, count)
    return Command(kinds, keys, arguments, stamp, flags == _TIMED, clock_ms)


def _decode_format_1(data: bytes) -> Command:
    if len(data) < _HEADER_1.size:
        raise CodecError(f"a command of {len(data)} bytes is shorter than its header")
    _format, flags, reserved, count, _client, _sequence, _lowest = _HEADER_1.unpack_from(data)
    if flags or reserved:
        raise CodecError(f"command format 1, flags {flags} are not known here")
    kinds, keys, arguments = _decode_lists(data, _HEADER_1.size, count)
    if kinds.translate(None, SIMPLE_KINDS):
        raise CodecError("a command of format 1 has an operation that it did not know")
    return Command(kinds, keys, arguments)


def _decode_lists(data: bytes, start: int, count: int) -> tuple[bytes, list[bytes], list[bytes]]:
    kinds = data[start : start + count]
    keys, position = decode_list(data, start + count)
    arguments, position = decode_list(data, position)
    if not len(kinds) == len(keys) == len(arguments) == count or position != len(data):
        raise CodecError("a command's lists differ in length or are followed by more bytes")
    if kinds.translate(None, _KINDS):
        raise CodecError("a command has an operation that is not known here")
    return kinds, keys, arguments
