"""The applied state of one partition: what reads are served from."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

import xxhash

from cluster.ids import GroupId
from kvstore.codec.scan import Page, Scan
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, section_end, section_prefix
from kvstore.storage.partition_view import PartitionView
from kvstore.storage.position import load_position

PAGE_KEYS_MAX: Final = 10_000
PAGE_BYTES_MAX: Final = 4 << 20
"""A page is read in one go on the node's only loop: these bound how long the others wait."""

_LENGTHS: Final = Struct("<QQ")


class PartitionState:
    """Reads of one partition, and how far it is applied.

    `applied_index`, `revision` and `term` are what the engine holds beside the data; only the
    applier moves them, after the engine took the write. Opening raises CorruptionError when they
    are unreadable.
    """

    __slots__ = (
        "_data_end",
        "_engine",
        "applied_index",
        "configuration_key",
        "data_prefix",
        "generation",
        "group",
        "revision",
        "state_key",
        "term",
    )

    def __init__(self, engine: Engine, group: GroupId) -> None:
        self._engine = engine
        self.group = group
        self.reload()

    def reload(self) -> None:
        """Reads anew where it stands: another generation may have become the current one."""
        group = self.group
        position = load_position(self._engine, group)
        self.generation = position.generation
        self.applied_index = position.applied_index
        """The last log entry whose effects are in the engine; 0: none."""
        self.revision = position.revision
        """Of the last write that changed something; 0: none."""
        self.term = position.term
        """Of the entry at `applied_index`; 0: not known (Position)."""
        self.state_key = section_prefix(group, position.generation, Section.STATE)
        self.configuration_key = section_prefix(group, position.generation, Section.CONFIGURATION)
        self.data_prefix = section_prefix(group, position.generation, Section.DATA)
        self._data_end = section_end(group, position.generation, Section.DATA)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The stored records of `keys` (codec/record.py), None where there is none."""
        prefix = self.data_prefix
        return self._engine.get_many([prefix + key for key in keys])

    def scan(self, scan: Scan) -> Page:
        """A page of stored records that answers `scan`; `more` is exact.

        Ends at PAGE_KEYS_MAX keys or PAGE_BYTES_MAX bytes where `scan` would have more; the bytes
        are counted with some ten per key for the engine's own.
        """
        prefix = self.data_prefix
        page = self._engine.scan(
            prefix + scan.start,
            self._data_end if scan.end is None else prefix + scan.end,
            limit=min(scan.limit or PAGE_KEYS_MAX, PAGE_KEYS_MAX),
            bytes_max=min(scan.bytes_max, PAGE_BYTES_MAX),
            keys_only=scan.keys_only,
        )
        cut = len(prefix)
        return Page([key[cut:] for key in page.keys], page.values, page.more)

    def view(self) -> PartitionView:
        """All that there is now, whatever is applied later; to be closed."""
        return PartitionView(
            self._engine.view(self.data_prefix, self._data_end),
            self.data_prefix,
            self.applied_index,
            self.term,
            self.revision,
        )

    def fingerprint(self) -> int:
        """A 64-bit hash of all keys and records: equal on replicas that applied the same log.

        Reads everything: for tests and checks, not for a node under load.
        """
        digest = xxhash.xxh3_64()
        scan = Scan(b"", None, PAGE_KEYS_MAX, PAGE_BYTES_MAX)
        while True:
            page = self.scan(scan)
            for key, record in zip(page.keys, page.records, strict=True):
                digest.update(_LENGTHS.pack(len(key), len(record)))
                digest.update(key)
                digest.update(record)
            if not page.more:
                return digest.intdigest()
            scan = Scan(page.keys[-1] + b"\0", None, PAGE_KEYS_MAX, PAGE_BYTES_MAX)
