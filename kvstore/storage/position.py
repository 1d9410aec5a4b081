"""How far a group's state has come: the records beside its data, and the group's generation.

```
position       u8 format = 2 | u64 applied index | u64 revision | u64 term      little-endian
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

_POSITION_FORMAT: Final = 2
_POSITION: Final = Struct("<BQQQ")
_POSITION_FORMAT_1: Final = 1
_POSITION_1: Final = Struct("<BQQ")
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


def encode_position(applied_index: int, revision: int, term: int) -> bytes:
    """The value of the STATE section."""
    return _POSITION.pack(_POSITION_FORMAT, applied_index, revision, term)


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
        applied_index, revision, term = (0, 0, 0) if state is None else _decode(state)
        return Position(
            generation,
            Index(applied_index),
            revision,
            Term(term),
            None if configuration is None else decode_configuration(configuration),
        )
    except (error, ValueError) as problem:
        raise CorruptionError(f"the position of group {group} is unreadable: {problem}") from None


def _decode(stored: bytes) -> tuple[int, int, int]:
    """Applied index, revision and term; raises struct.error or ValueError."""
    if stored[:1] == bytes([_POSITION_FORMAT_1]):
        _, applied_index, revision = _POSITION_1.unpack(stored)
        return applied_index, revision, 0
    position_format, applied_index, revision, term = _POSITION.unpack(stored)
    if position_format != _POSITION_FORMAT:
        raise ValueError(f"it has format {position_format}")
    return applied_index, revision, term
