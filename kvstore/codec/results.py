"""Write results: what applying a command gave, operation by operation.

```
u8 format = 2 | u8 outcome
outcome 0, done:    u8 flags: 1 = extras | u32 n | n × u64 revision
                    with extras: a list of n, absent where an operation has none
other outcomes:     u64 index
```

A revision is the one that the write was given, or 0 when it changed nothing. An extra is the answer
of a change (codec/change.py) or of a transaction (codec/transaction.py). The other outcomes say why
the command was not applied now (docs/exactly-once.md), and how far the partition was applied then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct, error
from typing import Final

from kvstore.codec.byteslist import CodecError, decode_optional_list, encode_optional_list, u64s

RESULTS_FORMAT: Final = 2
_EXTRAS: Final = 1
_HEAD: Final = Struct("<BBBI")
_REFUSED: Final = Struct("<BBQ")


@unique
class CommandOutcome(IntEnum):
    """What became of a command as a whole."""

    DONE = 0
    SESSION_UNKNOWN = 1
    """The partition does not know the session, and may have forgotten it."""
    FORGOTTEN = 2
    """The client had said that it would not ask for this sequence any more."""
    WINDOW_FULL = 3
    """The sequence is too far above the lowest one."""


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Results:
    """The results of a command that was applied, once; parallel to its operations."""

    revisions: Sequence[int]
    extras: Sequence[bytes | None] | None = None
    """None: no operation has one."""

    def __init__(
        self, revisions: Sequence[int], extras: Sequence[bytes | None] | None = None
    ) -> None:
        self.revisions = revisions
        self.extras = extras


@dataclass(frozen=True, slots=True)
class Refusal:
    """The command was not applied, at least not now."""

    outcome: CommandOutcome
    index: int
    """How far the partition was applied."""


def encode_results(revisions: Sequence[int], extras: Sequence[bytes | None] | None = None) -> bytes:
    """The results of a command that was applied; `extras` are parallel, None where none has one."""
    count = len(revisions)
    flags = 0 if extras is None else _EXTRAS
    head = _HEAD.pack(RESULTS_FORMAT, CommandOutcome.DONE, flags, count)
    data = head + u64s(count).pack(*revisions)
    return data if extras is None else data + encode_optional_list(extras)


def encode_refusal(outcome: CommandOutcome, index: int) -> bytes:
    """The result of a command that was not applied."""
    return _REFUSED.pack(RESULTS_FORMAT, outcome, index)


def decode_results(data: bytes) -> Results | Refusal:
    """What `data` says; raises CodecError where it does not follow the format."""
    try:
        if data[0] != RESULTS_FORMAT:
            raise CodecError(f"results of format {data[0]} are not known here")
        outcome = CommandOutcome(data[1])
        if outcome is not CommandOutcome.DONE:
            return Refusal(outcome, _REFUSED.unpack(data)[2])
        _format, _outcome, flags, count = _HEAD.unpack_from(data)
        if flags & ~_EXTRAS:
            raise CodecError(f"results with flags {flags} are not known here")
        if len(data) < _HEAD.size + 8 * count:
            raise CodecError(f"{count} results do not fit in {len(data)} bytes")
        revisions = u64s(count).unpack_from(data, _HEAD.size)
    except (error, IndexError, ValueError) as problem:
        if isinstance(problem, CodecError):
            raise
        raise CodecError(f"results of {len(data)} bytes make no sense: {problem}") from problem
    position = _HEAD.size + 8 * count
    extras: list[bytes | None] | None = None
    if flags:
        extras, position = decode_optional_list(data, position)
        if len(extras) != count:
            raise CodecError(f"{len(extras)} extras go with {count} results")
    if position != len(data):
        raise CodecError("results are followed by more bytes")
    return Results(revisions, extras)
