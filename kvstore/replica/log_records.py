"""What the commit log's records hold: entries, hard state, bounds (docs/format-raft-records.md).

```
kind 1, entries      u64 first index | u32 n | n × u64 term | n × u8 kind | list of n payloads
kind 2, hard state   u64 term | u64 vote (0: none) | u64 commit                           sticky
kind 3, bounds       u64 index | u64 term                                                 sticky
```

All little-endian. An entries record replaces whatever its group's log holds from `first index` on;
bounds say what the last entry is that the log does not hold any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct
from typing import Final

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.ready import HardState
from kvstore.codec.byteslist import CodecError, decode_list, encode_list, u64s


@unique
class RecordKind(IntEnum):
    """The kinds of records. The numbers stand on disk: never renumber."""

    ENTRIES = 1
    HARD_STATE = 2
    BOUNDS = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is before a group's log: the last entry that was compacted, or that a snapshot covers.
    Both 0: nothing."""

    index: Index = Index(0)
    term: Term = Term(0)


STICKY_KINDS: Final = frozenset({int(RecordKind.HARD_STATE), int(RecordKind.BOUNDS)})
"""Kinds of which the latest per group is all that counts."""

_ENTRIES: Final = Struct("<QI")
_ONE_ENTRY: Final = Struct("<QIQBII")
"""All that comes before the payload of a single entry."""
_HARD_STATE: Final = Struct("<QQQ")
_BOUNDS: Final = Struct("<QQ")
_ENTRY_KINDS: Final = {int(kind): kind for kind in EntryKind}


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """One record's payload for consecutive `entries`, at least one; most records have one."""
    count = len(entries)
    first = entries[0]
    if count == 1:
        data = first.data
        return _ONE_ENTRY.pack(first.index, 1, first.term, first.kind, 1, len(data)) + data
    return b"".join(
        (
            _ENTRIES.pack(first.index, count),
            u64s(count).pack(*[entry.term for entry in entries]),
            bytes([entry.kind for entry in entries]),
            encode_list([entry.data for entry in entries]),
        )
    )


def decode_entries(payload: bytes) -> list[Entry]:
    """The entries of a record's payload."""
    first, count = _header(payload)
    kinds_at = _ENTRIES.size + 8 * count
    terms = u64s(count).unpack_from(payload, _ENTRIES.size)
    kinds = payload[kinds_at : kinds_at + count]
    data, end = decode_list(payload, kinds_at + count)
    if len(data) != count or end != len(payload) or not _ENTRY_KINDS.keys() >= set(kinds):
        raise CodecError("an entries record's lists differ in length or have unknown kinds")
    return [
        Entry(Index(first + offset), Term(term), _ENTRY_KINDS[kind], each)
        for offset, (term, kind, each) in enumerate(zip(terms, kinds, data, strict=True))
    ]


def decode_entry_heads(payload: bytes) -> tuple[Index, Sequence[int], bytes]:
    """Only the first index, the terms and the kinds of a record's payload: what recovery needs."""
    first, count = _header(payload)
    kinds_at = _ENTRIES.size + 8 * count
    terms = u64s(count).unpack_from(payload, _ENTRIES.size)
    return Index(first), terms, payload[kinds_at : kinds_at + count]


def entry_range(payload: bytes) -> tuple[Index, Index]:
    """Only the first and the last index of a record's payload."""
    first, count = _header(payload)
    return Index(first), Index(first + count - 1)


def encode_hard_state(state: HardState) -> bytes:
    """A record's payload for `state`."""
    return _HARD_STATE.pack(state.term, state.vote or 0, state.commit)


def decode_hard_state(payload: bytes) -> HardState:
    """The hard state in a record's payload."""
    if len(payload) != _HARD_STATE.size:
        raise CodecError(f"a hard state has {_HARD_STATE.size} bytes, not {len(payload)}")
    term, vote, commit = _HARD_STATE.unpack(payload)
    return HardState(Term(term), ReplicaId(vote) if vote else None, Index(commit))


def encode_bounds(bounds: Bounds) -> bytes:
    """A record's payload for `bounds`."""
    return _BOUNDS.pack(bounds.index, bounds.term)


def decode_bounds(payload: bytes) -> Bounds:
    """The bounds in a record's payload."""
    if len(payload) != _BOUNDS.size:
        raise CodecError(f"bounds have {_BOUNDS.size} bytes, not {len(payload)}")
    index, term = _BOUNDS.unpack(payload)
    return Bounds(Index(index), Term(term))


def _header(payload: bytes) -> tuple[int, int]:
    if len(payload) < _ENTRIES.size:
        raise CodecError(f"an entries record of {len(payload)} bytes is shorter than its header")
    first, count = _ENTRIES.unpack_from(payload)
    if count < 1 or len(payload) < _ENTRIES.size + 9 * count:
        raise CodecError(f"an entries record of {len(payload)} bytes cannot hold {count} entries")
    return first, count
