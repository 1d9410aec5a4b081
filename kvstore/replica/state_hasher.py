"""Reads states page by page for their hashes, at a pace that leaves the node to its users.

A page holds the event loop while it is read, so it is small. One state is read at a time; those
that are asked for at full pace come first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import xxhash

from cluster.ids import GroupId, Index, Term
from kvstore.codec.state_transfer import encode_records
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, replica_end, replica_prefix, section_prefix
from kvstore.storage.view_pages import ViewPages

PAGE_BYTES: Final = 64 << 10
_PAGE_KEYS_MAX: Final = 1024
_SINGLE_RECORDS: Final = 2
"""Sections of a state that come before its data."""


class StateHasher:
    """The hash of one replica's state as it is when this is made.

    XXH3 over the records of the state in key order (codec/state_transfer.py), so without the
    generation, which is each replica's own affair. Without the configuration, too: a replica that
    installed a snapshot has it on record, one that never saw it change has not.
    """

    __slots__ = ("_configuration_key", "_digest", "_pages", "hash")

    def __init__(self, engine: Engine, group: GroupId, generation: int) -> None:
        prefix = replica_prefix(group, generation)
        view = engine.view(prefix, replica_end(group, generation))
        self._pages = ViewPages(view, prefix, _PAGE_KEYS_MAX)
        self._configuration_key = section_prefix(group, generation, Section.CONFIGURATION)
        self._digest = xxhash.xxh3_64()
        self.hash: int | None = None
        """None until all is read."""

    def read(self, bytes_max: int) -> int:
        """Reads a page; returns its bytes. Raises what the engine raises."""
        page = self._pages.next(bytes_max)
        keys, values = page.keys, page.values
        if self._configuration_key in keys[:_SINGLE_RECORDS]:
            place = keys.index(self._configuration_key)
            del keys[place], values[place]
        data = encode_records(len(self._pages.prefix), keys, values)
        self._digest.update(data)
        if self._pages.is_read:
            self.hash = self._digest.intdigest()
            self.close()
        return len(data)

    def close(self) -> None:
        """Lets go of the view."""
        self._pages.close()


@dataclass(slots=True)
class Reading:
    """What one replica has to say at one mark."""

    term: Term
    index: Index
    at_full_pace: bool
    hasher: StateHasher
    age_ticks: int = 0
    """Since the mark was applied."""
    silent_ticks: int = 0
    """Since all was read, or the leader was heard of last."""
    is_heard: bool = False
    """Whether the leader has said that it knows."""

    @property
    def hash(self) -> int | None:
        """None until all is read."""
        return self.hasher.hash


class Pace:
    """How much may be read, in bytes a tick.

    How large a state is nobody knows before it is read, and its view keeps old files of the engine:
    so one that takes long is read faster and faster, up to the full pace.
    """

    __slots__ = ("_bytes_per_tick", "_credit_bytes", "_full_bytes_per_tick", "_hurry_ticks")

    def __init__(self, bytes_per_tick: int, full_bytes_per_tick: int, hurry_ticks: int) -> None:
        """The pace of a reading doubles every `hurry_ticks` of its age."""
        self._bytes_per_tick = bytes_per_tick
        self._full_bytes_per_tick = max(full_bytes_per_tick, bytes_per_tick)
        self._hurry_ticks = hurry_ticks
        # Below 0 after a page that was larger than what was left.
        self._credit_bytes = 0

    def tick(self, readings: Iterable[Reading]) -> list[Reading]:
        """Reads on; returns those that are whole now. Raises what the engine raises."""
        left = [reading for reading in readings if reading.hash is None]
        hurried = [reading for reading in left if reading.at_full_pace]
        allowed = self._full_bytes_per_tick
        if left and not hurried:
            # Beyond 32 doublings it has long been the full pace.
            doublings = min(left[0].age_ticks // self._hurry_ticks, 32)
            allowed = min(allowed, self._bytes_per_tick << doublings)
        self._credit_bytes = min(0, self._credit_bytes) + allowed
        whole: list[Reading] = []
        for reading in hurried or left:
            while self._credit_bytes > 0 and reading.hash is None:
                self._credit_bytes -= reading.hasher.read(PAGE_BYTES)
            if reading.hash is None:
                break
            whole.append(reading)
        return whole
