"""Sessions of clients: the results that make a write that is sent again apply once.

```
key      section prefix | 16 bytes client id | u64 sequence, big-endian
value    u64 index | u64 lowest | result                                        little-endian
```

A session is all records of one client (Raft dissertation 6.3; docs/exactly-once.md). Everything is
decided by the log: a new result is kept, results below the lowest sequence that its client may
still ask for go, and when there is one session too many, the one that has not written for longest
is forgotten. Only what is on disk counts, so that a replica that starts anew decides the same.

A command of a session that is not there may be its first one, or one that was applied before the
session was forgotten. `forgotten_through` tells them apart: no forgotten session has written after
that entry. If the client knew of a later one, or of that one, when it opened its session, then it
was not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from cluster.ids import GroupId, Index
from kvstore.codec.command import CLIENT_ID_BYTES, Stamp
from kvstore.codec.results import CommandOutcome, encode_refusal
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine, WriteBatch
from kvstore.storage.keys import Section, section_end, section_prefix

SESSIONS_MAX: Final = 2048
"""Of one partition, unless its table is made with another number: a replica that counts otherwise
than the others comes to another state, so that one cluster has one number for good."""
WINDOW: Final = 256
"""Sequences of one session whose results are kept, at most."""

_SEQUENCE: Final = Struct(">Q")
_VALUE: Final = Struct("<QQ")
_KEY_BYTES: Final = CLIENT_ID_BYTES + _SEQUENCE.size
_PAGE_KEYS: Final = 4096
_PAGE_BYTES: Final = 4 << 20


@dataclass(slots=True)
class _Session:
    lowest: int = 1
    last_index: int = 0
    kept: list[int] = field(default_factory=list)
    """Sequences, in the order in which they were applied."""

    def copy(self) -> _Session:
        return _Session(self.lowest, self.last_index, list(self.kept))


class SessionTable:
    """The sessions of one partition, as of what was applied to the engine.

    What is kept belongs to one round until `commit` ends it, when the engine took the batch, or
    `rollback`, when it did not.
    Results are read from the engine, and only when they are asked for again.
    """

    __slots__ = (
        "_engine",
        "_fresh",
        "_gone",
        "_prefix",
        "_sessions",
        "_sessions_max",
        "_undo",
        "_undo_forgotten",
        "forgotten_through",
    )

    def __init__(
        self,
        engine: Engine,
        group: GroupId,
        generation: int,
        forgotten_through: Index,
        sessions_max: int = SESSIONS_MAX,
    ) -> None:
        """Reads what there is; raises CorruptionError where it makes no sense."""
        self._engine = engine
        self._sessions_max = sessions_max
        self._prefix = section_prefix(group, generation, Section.SESSIONS)
        self._sessions: dict[bytes, _Session] = {}
        """The one that has not written for longest comes first."""
        self._fresh: dict[tuple[bytes, int], bytes] = {}
        """Records of this round, which the engine does not have yet, by client and sequence."""
        self._gone: list[tuple[bytes, int]] = []
        """Those that it has, and is not to have any more."""
        self._undo: dict[bytes, _Session | None] = {}
        self._undo_forgotten = self.forgotten_through = forgotten_through
        self._load(section_end(group, generation, Section.SESSIONS))

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def results_max(self) -> int:
        """Of the session that has most. Looks at all: for checks."""
        return max((len(session.kept) for session in self._sessions.values()), default=0)

    # --- a round

    def commit(self) -> None:
        """The engine took the batch: what follows belongs to the next one."""
        self._undo = {}
        self._undo_forgotten = self.forgotten_through
        self._fresh = {}
        self._gone = []

    def rollback(self) -> None:
        """It did not: nothing has happened since the last `commit`."""
        if not self._undo:
            return
        for client, session in self._undo.items():
            self._sessions.pop(client, None)
            if session is not None:
                self._sessions[client] = session
        self._in_order()
        self.forgotten_through = self._undo_forgotten
        self.commit()

    def answer(self, stamp: Stamp, applied: Index) -> bytes | None:
        """The result of a command that is not to be applied (again); None: it is to be.

        `applied` is the index before the command. Changes nothing: a command that is not applied
        leaves no trace that a replica which starts anew would find.
        """
        session = self._sessions.get(stamp.client)
        if session is None:
            if stamp.opened_after < self.forgotten_through:
                return encode_refusal(CommandOutcome.SESSION_UNKNOWN, applied)
            session = _NOBODY
        if stamp.sequence in session.kept:
            return self._kept(stamp.client, stamp.sequence)
        if stamp.sequence < session.lowest:
            return encode_refusal(CommandOutcome.FORGOTTEN, applied)
        if stamp.sequence >= max(session.lowest, stamp.lowest) + WINDOW:
            return encode_refusal(CommandOutcome.WINDOW_FULL, applied)
        return None

    def keep(self, stamp: Stamp, index: Index, result: bytes) -> None:
        """Notes that the command at `index`, for which `answer` was None, came to `result`."""
        client = stamp.client
        session = self._sessions.pop(client, None)
        self._note(client, session)
        if session is None:
            session = _Session()
            if len(self._sessions) >= self._sessions_max:
                self._forget_oldest()
        session.lowest = max(session.lowest, stamp.lowest)
        session.last_index = index
        self._drop(client, [each for each in session.kept if each < session.lowest])
        session.kept = [each for each in session.kept if each >= session.lowest]
        session.kept.append(stamp.sequence)
        self._sessions[client] = session  # behind all others
        self._fresh[client, stamp.sequence] = _VALUE.pack(index, session.lowest) + result

    def write(self, batch: WriteBatch) -> None:
        """Puts into `batch` what `keep` has come to since the last `commit`: what came and went in
        between leaves no trace."""
        for client, sequence in self._gone:
            batch.delete(self._key(client, sequence))
        for (client, sequence), record in self._fresh.items():
            batch.put(self._key(client, sequence), record)

    def _drop(self, client: bytes, sequences: Sequence[int]) -> None:
        for sequence in sequences:
            if self._fresh.pop((client, sequence), None) is None:
                self._gone.append((client, sequence))

    def _forget_oldest(self) -> None:
        client = next(iter(self._sessions))
        session = self._sessions.pop(client)
        self._note(client, session)
        self._drop(client, session.kept)
        self.forgotten_through = Index(max(self.forgotten_through, session.last_index))

    def _note(self, client: bytes, session: _Session | None) -> None:
        if client not in self._undo:
            self._undo[client] = None if session is None else session.copy()

    def _key(self, client: bytes, sequence: int) -> bytes:
        return self._prefix + client + _SEQUENCE.pack(sequence)

    def _kept(self, client: bytes, sequence: int) -> bytes:
        value = self._fresh.get((client, sequence))
        if value is None:
            (value,) = self._engine.get_many([self._key(client, sequence)])
        if value is None or len(value) < _VALUE.size:
            raise CorruptionError(f"the result of sequence {sequence} is not where it was put")
        return value[_VALUE.size :]

    # --- what is on disk

    def _load(self, end: bytes) -> None:
        cut = len(self._prefix)
        start, more = self._prefix, True
        while more:
            page = self._engine.scan(start, end, limit=_PAGE_KEYS, bytes_max=_PAGE_BYTES)
            for key, value in zip(page.keys, page.values, strict=True):
                if len(key) != cut + _KEY_BYTES or len(value) < _VALUE.size:
                    raise CorruptionError(f"the session record under {key!r} is unreadable")
                index, lowest = _VALUE.unpack_from(value)
                client = key[cut : cut + CLIENT_ID_BYTES]
                session = self._sessions.setdefault(client, _Session())
                session.lowest = max(session.lowest, lowest)
                session.last_index = max(session.last_index, index)
                session.kept.append(_SEQUENCE.unpack_from(key, cut + CLIENT_ID_BYTES)[0])
            more = page.more
            start = page.keys[-1] + b"\0" if page.keys else end
        self._in_order()

    def _in_order(self) -> None:
        by_use = sorted(self._sessions.items(), key=lambda each: each[1].last_index)
        self._sessions = dict(by_use)


_NOBODY: Final = _Session()
"""A session that has not written yet; never changed."""
