"""Every key of the engine, in one module (docs/format-engine.md).

```
node       u8 1 | u8 kind | …                                        records of the node itself
partition  u8 2 | u32 group | u32 generation | u8 section | …        big-endian: sorted by number
```

All that belongs to one replica of a group is under its first nine bytes, so that a snapshot is one
range read, dropping a replica is one range delete, and another generation can be written beside the
current one. Generations of a group rise. The numbers stand on disks: never
renumber.
"""

from __future__ import annotations

from enum import IntEnum, unique
from struct import Struct
from typing import Final

from cluster.ids import GroupId

_NODE: Final = 1
_PARTITION: Final = 2
_NODE_KEY: Final = Struct(">BBI")
_PARTITION_KEY: Final = Struct(">BIIB")


@unique
class NodeRecord(IntEnum):
    """Kinds of records of the node itself."""

    GENERATION = 1
    """The current generation of a group; absent: 0."""
    QUARANTINE = 2
    """Why the state of a group must not be used any more, in words; absent: it may."""


@unique
class Section(IntEnum):
    """What there is under the prefix of one generation of a group."""

    STATE = 1
    """One record: applied index, its term, and revision."""
    CONFIGURATION = 2
    """One record: the group's members as of the applied index."""
    DATA = 3
    """One record per user key; the meta group has one, the cluster's state."""
    SESSIONS = 4
    """One record per command whose result its client may still ask for."""
    EXPIRY = 5
    """One record per key that expires, in the order in which they do."""
    EVENTS = 6
    """Kept for the change stream, in order of revision."""
    FENCES = 7
    """One record per lock that writes were made under: the highest token seen."""


def generation_key(group: GroupId) -> bytes:
    """Of the record that says which generation of `group` is the current one."""
    return _NODE_KEY.pack(_NODE, NodeRecord.GENERATION, group)


def quarantine_key(group: GroupId) -> bytes:
    """Of the record that says why the state of `group` must not be used."""
    return _NODE_KEY.pack(_NODE, NodeRecord.QUARANTINE, group)


def section_prefix(group: GroupId, generation: int, section: Section) -> bytes:
    """What all keys of `section` begin with; the whole key where there is only one record."""
    return _PARTITION_KEY.pack(_PARTITION, group, generation, section)


def section_end(group: GroupId, generation: int, section: Section) -> bytes:
    """The first key after `section`."""
    return _PARTITION_KEY.pack(_PARTITION, group, generation, section + 1)


def replica_prefix(group: GroupId, generation: int) -> bytes:
    """What all keys of one generation of `group` begin with."""
    return _PARTITION_KEY.pack(_PARTITION, group, generation, 0)[:-1]


def replica_end(group: GroupId, generation: int) -> bytes:
    """The first key after them."""
    return replica_prefix(group, generation + 1)
