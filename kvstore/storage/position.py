"""How far a group's state has come: the records beside its data, and the group's generation.

```
position       u8 format = 3 | u64 applied index | u64 revision | u64 term
               | u64 clock ms | u64 forgotten through                           little-endian
               u8 format = 2 | u64 applied index | u64 revision | u64 term      read, not written
               u8 format = 1 | u64 applied index | u64 revision                 read, not written
configuration  cluster/raft/configuration_format.py
generation     u32 generation | u64 index | u64 term                            little-endian
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from cluster.ids import GroupId, Index, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import decode_configuration
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, section_prefix

_POSITION_FORMAT: Final = 3
_POSITION: Final = Struct("<BQQQQQ")
_OLDER_POSITIONS: Final = {1: Struct("<BQQ"), 2: Struct("<BQQQ")}
_GENERATION: Final = Struct("<IQQ")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a group's state stands; all 0 before its first entry."""

    generation: int
    applied_index: Index
    revision: int
    term: Term
    """Of the entry at the applied index; 0 where the state was written by a version that did not
    keep it."""
    configuration: Configuration | None
    """As of the applied index; None: the one that the group began with, or that version again."""
    clock_ms: int = 0
    """The latest time that stood in an applied entry; see storage/expiry.py."""
    forgotten_through: Index = Index(0)
    """No session that was forgotten has written after this entry; see storage/sessions.py."""


def encode_position(
    applied_index: int, revision: int, term: int, clock_ms: int = 0, forgotten_through: int = 0
) -> bytes:
    """The value of the STATE section."""
    return _POSITION.pack(
        _POSITION_FORMAT, applied_index, revision, term, clock_ms, forgotten_through
    )


@dataclass(frozen=True, slots=True)
class Generation:
    """Which copy of a group's state is the current one."""

    number: int = 0
    index: Index = Index(0)
    """Of the last entry that the snapshot covered from which it was made; 0: it was made from the
    log alone."""
    term: Term = Term(0)


def encode_generation(generation: Generation) -> bytes:
    """The value of the record that says which generation is the current one."""
    return _GENERATION.pack(generation.number, generation.index, generation.term)


def load_generation(engine: Engine, group: GroupId) -> Generation:
    """The current generation of `group`; raises CorruptionError when it makes no sense."""
    (stored,) = engine.get_many([generation_key(group)])
    if stored is None:
        return Generation()
    if len(stored) != _GENERATION.size:
        raise CorruptionError(f"the generation of group {group} is unreadable")
    number, index, term = _GENERATION.unpack(stored)
    return Generation(number, Index(index), Term(term))


def load_position(engine: Engine, group: GroupId) -> Position:
    """Where `group` stands in `engine`; raises CorruptionError when its records make no sense."""
    return load_position_of(engine, group, load_generation(engine, group).number)


def load_position_of(engine: Engine, group: GroupId, generation: int) -> Position:
    """Where `generation` of `group` stands, current or not."""
    try:
        state, configuration = engine.get_many(
            [
                section_prefix(group, generation, Section.STATE),
                section_prefix(group, generation, Section.CONFIGURATION),
            ]
        )
        numbers = (0,) * 5 if state is None else _decode(state)
        applied_index, revision, term, clock_ms, forgotten_through = numbers
        return Position(
            generation,
            Index(applied_index),
            revision,
            Term(term),
            None if configuration is None else decode_configuration(configuration),
            clock_ms,
            Index(forgotten_through),
        )
    except (error, ValueError) as problem:
        raise CorruptionError(f"the position of group {group} is unreadable: {problem}") from None


def _decode(stored: bytes) -> tuple[int, ...]:
    """All five numbers; raises struct.error or ValueError."""
    older = _OLDER_POSITIONS.get(stored[0]) if stored else None
    if older is not None:
        known = older.unpack(stored)[1:]
        return known + (0,) * (5 - len(known))
    numbers = _POSITION.unpack(stored)
    if numbers[0] != _POSITION_FORMAT:
        raise ValueError(f"it has format {numbers[0]}")
    return numbers[1:]
