"""How far a group's state has come: the record beside its data, and the group's generation.

```
position     u8 format = 1 | u64 applied index | u64 revision        little-endian
generation   u32                                                     little-endian
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from cluster.ids import GroupId, Index
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, section_prefix

_POSITION_FORMAT: Final = 1
_POSITION: Final = Struct("<BQQ")
_GENERATION: Final = Struct("<I")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a group's state stands; all 0 before its first entry."""

    generation: int
    applied_index: Index
    revision: int


def encode_position(applied_index: int, revision: int) -> bytes:
    """The value of the STATE section."""
    return _POSITION.pack(_POSITION_FORMAT, applied_index, revision)


def load_position(engine: Engine, group: GroupId) -> Position:
    """Where `group` stands in `engine`; raises CorruptionError when its records make no sense."""
    try:
        (stored,) = engine.get_many([generation_key(group)])
        generation = 0 if stored is None else int(_GENERATION.unpack(stored)[0])
        (stored,) = engine.get_many([section_prefix(group, generation, Section.STATE)])
        if stored is None:
            return Position(generation, Index(0), 0)
        position_format, applied_index, revision = _POSITION.unpack(stored)
    except error as problem:
        raise CorruptionError(f"the position of group {group} is unreadable") from problem
    if position_format != _POSITION_FORMAT:
        raise CorruptionError(f"the position of group {group} has format {position_format}")
    return Position(generation, Index(applied_index), revision)
