"""A value in one replica's state that is not what was written, and nothing tells.

What changes is when a key without a lifetime is said to end, which only its record says: clients go
on seeing what they wrote, so that whatever else they see is still a fault. Keys that get a lifetime
later are left alone.
"""

from __future__ import annotations

from random import Random
from typing import Final

from cluster.ids import GroupId
from kvstore.codec.record import HEADER
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, section_end, section_prefix
from kvstore.storage.position import load_generation

_EXPIRY: Final = 4
"""Its place in the header."""


class SilentDamage:
    """See the module."""

    __slots__ = ("_key", "group")

    def __init__(self, group: GroupId, key: bytes) -> None:
        self.group: Final = group
        self._key = key

    @classmethod
    def inflict(cls, engine: Engine, group: GroupId, random: Random) -> SilentDamage | None:
        """Changes a record of `group`; None where there is none that it may change."""
        generation = load_generation(engine, group).number
        start = section_prefix(group, generation, Section.DATA)
        end = section_end(group, generation, Section.DATA)
        page = engine.scan(start, end, limit=1000, bytes_max=1 << 20)
        keys = [
            key
            for key, record in zip(page.keys, page.values, strict=True)
            if HEADER.unpack_from(record)[_EXPIRY] == 0
        ]
        if not keys:
            return None
        damage = cls(group, random.choice(keys))
        damage._write(engine, 1 << random.randrange(64))
        return damage

    def is_in(self, engine: Engine) -> bool:
        """Whether it is there: a write, a crash or a snapshot may have put it right."""
        (record,) = engine.get_many([self._key])
        return record is not None and HEADER.unpack_from(record)[_EXPIRY] != 0

    def mend(self, engine: Engine) -> None:
        """Puts it right."""
        if self.is_in(engine):
            self._write(engine, 0)

    def _write(self, engine: Engine, expiry: int) -> None:
        (record,) = engine.get_many([self._key])
        if record is not None:
            header = list(HEADER.unpack_from(record))
            header[_EXPIRY] = expiry
            batch = engine.new_batch()
            batch.put(self._key, HEADER.pack(*header) + record[HEADER.size :])
            engine.write(batch)
