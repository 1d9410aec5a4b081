"""The applied state of one partition: what reads are served from."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

import xxhash

from cluster.ids import GroupId, Index
from kvstore.codec.scan import Page, Scan
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.expiry import ExpiryIndex
from kvstore.storage.keys import Section, replica_end, section_end, section_prefix
from kvstore.storage.partition_view import (
    PAGE_BYTES_MAX,
    PAGE_KEYS_MAX,
    PartitionView,
    page_of,
)
from kvstore.storage.position import load_position
from kvstore.storage.sessions import SESSIONS_MAX, SessionTable

_LENGTHS: Final = Struct("<QQ")
_TOKEN: Final = Struct("<Q")


class PartitionState:
    """Reads of one partition, and how far it is applied.

    `applied_index`, `revision`, `term` and `clock_ms` are what the engine holds beside the data;
    only the applier moves them, after the engine took the write. Opening raises CorruptionError
    when they are unreadable.
    """

    __slots__ = (
        "_data_end",
        "_engine",
        "_fence_prefix",
        "_forgotten_through",
        "_sessions",
        "applied_index",
        "clock_ms",
        "configuration_key",
        "data_prefix",
        "expiries",
        "generation",
        "group",
        "revision",
        "sessions_max",
        "state_key",
        "term",
    )

    def __init__(self, engine: Engine, group: GroupId, sessions_max: int = SESSIONS_MAX) -> None:
        self._engine = engine
        self.sessions_max = sessions_max
        """Sessions that it keeps: the same on all replicas, for good."""
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
        self.clock_ms = position.clock_ms
        """The latest time in an applied entry; see storage/expiry.py."""
        self._forgotten_through = position.forgotten_through
        self._sessions: SessionTable | None = None
        self.expiries = ExpiryIndex(self._engine, group, position.generation)
        self._fence_prefix = section_prefix(group, position.generation, Section.FENCES)
        self.state_key = section_prefix(group, position.generation, Section.STATE)
        self.configuration_key = section_prefix(group, position.generation, Section.CONFIGURATION)
        self.data_prefix = section_prefix(group, position.generation, Section.DATA)
        self._data_end = section_end(group, position.generation, Section.DATA)

    @property
    def sessions(self) -> SessionTable:
        """Those of its clients; read when they are first needed."""
        if self._sessions is None:
            self._sessions = SessionTable(
                self._engine,
                self.group,
                self.generation,
                self._forgotten_through,
                self.sessions_max,
            )
        return self._sessions

    @property
    def sessions_read(self) -> SessionTable | None:
        """The same; None while they are not needed yet."""
        return self._sessions

    @property
    def forgotten_through(self) -> Index:
        """No session that was forgotten has written after this entry, those among them that the
        round forgets which is being applied; see SessionTable."""
        sessions = self._sessions
        return self._forgotten_through if sessions is None else sessions.forgotten_through

    def commit_sessions(self) -> None:
        """The engine took what a round did to the sessions."""
        if self._sessions is not None:
            self._sessions.commit()

    def roll_back_sessions(self) -> None:
        """It did not."""
        if self._sessions is not None:
            self._sessions.rollback()

    def fence_key(self, lock: bytes) -> bytes:
        """Where the highest token seen of `lock` is kept."""
        return self._fence_prefix + lock

    def fence_tokens(self, locks: Sequence[bytes]) -> list[int | None]:
        """The highest token seen of each of `locks`; None: none."""
        stored = self._engine.get_many([self.fence_key(lock) for lock in locks])
        if any(token is not None and len(token) != _TOKEN.size for token in stored):
            raise CorruptionError(f"a token of the locks {locks!r} is unreadable")
        return [None if token is None else _TOKEN.unpack(token)[0] for token in stored]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The stored records of `keys` (codec/record.py), None where there is none."""
        prefix = self.data_prefix
        return self._engine.get_many([prefix + key for key in keys])

    def scan(self, scan: Scan) -> Page:
        """A page of stored records that answers `scan`, or counts them; `more` is exact.

        Ends at PAGE_KEYS_MAX keys or PAGE_BYTES_MAX bytes where `scan` would have more; the bytes
        are counted with some ten per key for the engine's own.
        """
        prefix = self.data_prefix
        page = self._engine.scan(
            prefix + scan.start,
            self._data_end if scan.end is None else prefix + scan.end,
            limit=min(scan.limit or PAGE_KEYS_MAX, PAGE_KEYS_MAX),
            bytes_max=min(scan.bytes_max, PAGE_BYTES_MAX),
            keys_only=scan.keys_only or scan.count,
            reverse=scan.reverse,
        )
        return page_of(page, prefix, count=scan.count)

    def view(self, start: bytes = b"", end: bytes | None = None) -> PartitionView:
        """The keys start ≤ key < end (None: to the last key) as they are now, whatever is applied
        later; to be closed."""
        prefix = self.data_prefix
        last = self._data_end if end is None else max(prefix + start, prefix + end)
        return PartitionView(
            self._engine.view(prefix + start, last),
            prefix,
            applied_index=self.applied_index,
            term=self.term,
            revision=self.revision,
            clock_ms=self.clock_ms,
        )

    def fingerprint(self) -> int:
        """A 64-bit hash of all keys and records, of sessions and all else that the log made: equal
        on replicas that applied the same log.

        Reads everything: for tests and checks, not for a node under load.
        """
        digest = xxhash.xxh3_64()
        start, end = self.data_prefix, replica_end(self.group, self.generation)
        cut = len(start) - 1  # the section belongs to it, the generation does not
        while True:
            page = self._engine.scan(start, end, limit=PAGE_KEYS_MAX, bytes_max=PAGE_BYTES_MAX)
            for key, record in zip(page.keys, page.values, strict=True):
                digest.update(_LENGTHS.pack(len(key) - cut, len(record)))
                digest.update(key[cut:])
                digest.update(record)
            if not page.more:
                return digest.intdigest()
            start = page.keys[-1] + b"\0"
