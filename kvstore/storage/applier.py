"""Applies committed entries: a whole round, over all groups, as one engine write.

Apply is a function of the log and the state alone, so that every replica comes to the same bytes.
Data, sessions, applied index and the group's configuration as of it are in the same batch: after a
crash they fit together, and replay goes on after the applied index.

Puts and deletes, by far the most, and the ends of keys, of which there may be many at once, need to
know of a record no more than its head. A partition to which something else is done in a round takes
the longer way, by `changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Protocol

from cluster.ids import Index
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.byteslist import CodecError
from kvstore.codec.command import HEAD_KINDS, Command, OperationKind, decode_command
from kvstore.codec.record import HEADER, HEADER_BYTES, RECORD_FORMAT
from kvstore.codec.results import encode_results
from kvstore.codec.scrub import is_mark
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.storage.changes import PartitionChanges
from kvstore.storage.engine import Engine, WriteBatch
from kvstore.storage.expiry import expiry_key
from kvstore.storage.heads import ABSENT, Head, HeadCache, head_of, parts_of
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import encode_position

RoundWork = Sequence[tuple[PartitionState, Sequence[Entry]]]
"""Each partition at most once, with its committed entries in order."""

_PUT: Final = int(OperationKind.PUT)
_EXPIRE: Final = int(OperationKind.EXPIRE)
_U64: Final = Struct("<Q")


class _Way(Protocol):
    """How the commands of one partition are done in one round."""

    revision: int
    clock_ms: int

    def apply(self, command: Command) -> bytes:
        """Does `command`; returns its result."""
        ...

    def write(self, batch: WriteBatch) -> list[bytes]:
        """Puts into `batch` what is not there yet; returns the user's keys that it concerns."""
        ...


@dataclass(init=False, slots=True)  # as in cluster.raft.messages
class _Part:
    """What one partition does in this round."""

    state: PartitionState
    entries: Sequence[Entry]
    commands: list[Command | None]
    """Parallel to the entries; None for one without a command."""
    is_simple: bool
    """HEAD_KINDS alone."""

    def __init__(
        self,
        state: PartitionState,
        entries: Sequence[Entry],
        commands: list[Command | None],
        is_simple: bool,
    ) -> None:
        self.state = state
        self.entries = entries
        self.commands = commands
        self.is_simple = is_simple


def apply_round(
    engine: Engine, work: RoundWork, heads: HeadCache | None = None
) -> list[list[bytes]]:
    """Applies `work` with one write; returns the results, entry by entry.

    A result is what codec/results.py encodes, or empty for an empty command, a change of
    membership or a mark, which change nothing in the data. `heads` saves reads: one cache per
    engine, handed in with every call or with none.

    Raises InvariantViolation when an index does not follow the applied one or a command does not
    decode (the leader proposes none such), and what the engine raises. Then nothing was applied:
    the partitions stand where they stood.
    """
    if heads is None:
        heads = HeadCache(0)
    parts = _plan(work)
    try:
        return _apply(engine, parts, heads)
    except BaseException:
        heads.clear()
        for part in parts:
            part.state.roll_back_sessions()
        raise


def _apply(engine: Engine, parts: Sequence[_Part], heads: HeadCache) -> list[list[bytes]]:
    simple = [part for part in parts if part.is_simple]
    known = _read_heads(engine, simple, heads)
    batch = engine.new_batch()
    results: list[list[bytes]] = []
    ways: list[_Way] = []
    changed: list[bytes] = []
    for part in parts:
        state = part.state
        way: _Way = (
            _SimpleWrites(batch, state, known) if part.is_simple else PartitionChanges(state)
        )
        results.append(_apply_entries(part, way))
        changed += [state.data_prefix + key for key in way.write(batch)]
        if state.sessions_read is not None:
            state.sessions_read.write(batch)
        batch.put(state.state_key, _position_after(part, way))
        configuration = latest_configuration(part.entries)
        if configuration is not None:
            batch.put(state.configuration_key, configuration)
        ways.append(way)
    engine.write(batch)
    heads.remember(known)
    heads.forget(changed)
    for place, part in enumerate(parts):
        _advance(part, ways[place])
    return results


def latest_configuration(entries: Sequence[Entry]) -> bytes | None:
    """The last configuration among `entries`, as it is stored; None where there is none."""
    configuration = None
    for entry in entries:
        if entry.kind is EntryKind.MEMBERSHIP:
            configuration = entry.data
    return configuration


def _plan(work: RoundWork) -> list[_Part]:
    """The commands of every entry, decoded."""
    if len({state.group for state, _ in work}) != len(work):
        raise InvariantViolation("a partition has two places in one round")
    parts: list[_Part] = []
    for state, entries in work:
        expected = state.applied_index
        commands: list[Command | None] = []
        is_simple = True
        for entry in entries:
            index, data = entry.index, entry.data
            expected = Index(expected + 1)
            if index != expected:
                raise InvariantViolation(
                    f"group {state.group}: entry {index} to be applied where {expected} is next"
                )
            if not data or entry.kind is not EntryKind.NORMAL or is_mark(entry):
                commands.append(None)
                continue
            try:
                command = decode_command(data)
            except CodecError as problem:
                raise InvariantViolation(
                    f"group {state.group}: the command at {index} does not decode: {problem}"
                ) from problem
            commands.append(command)
            is_simple = is_simple and not command.kinds.translate(None, HEAD_KINDS)
        parts.append(_Part(state, entries, commands, is_simple))
    return parts


def _read_heads(engine: Engine, parts: Sequence[_Part], heads: HeadCache) -> dict[bytes, Head]:
    """The heads of all keys in `parts`. What the cache does not have takes one read for all."""
    known: dict[bytes, Head] = {}
    unknown: list[bytes] = []
    for part in parts:
        prefix = part.state.data_prefix
        for command in part.commands:
            if command is not None:
                unknown += heads.look_up([prefix + key for key in command.keys], known)
    if unknown:
        for key, record in zip(unknown, engine.get_many(unknown), strict=True):
            if record is None:
                continue
            if len(record) < HEADER_BYTES or record[0] != RECORD_FORMAT:
                raise CorruptionError(f"the record under engine key {key!r} is unreadable")
            _, version, create_revision, _, expiry_ms = HEADER.unpack_from(record)
            known[key] = head_of(version, create_revision, expiry_ms)
    return known


def _apply_entries(part: _Part, way: _Way) -> list[bytes]:
    """Does what `part` has to do, each command of a session once; a result per entry."""
    state, entries = part.state, part.entries
    results: list[bytes] = []
    for place, command in enumerate(part.commands):
        if command is None:
            results.append(b"")
            continue
        stamp = command.stamp
        if stamp is None:
            results.append(way.apply(command))
            continue
        index = entries[place].index
        result = state.sessions.answer(stamp, Index(index - 1))
        if result is None:
            result = way.apply(command)
            state.sessions.keep(stamp, index, result)
        results.append(result)
    return results


def _position_after(part: _Part, way: _Way) -> bytes:
    state, entries = part.state, part.entries
    return encode_position(
        state.applied_index + len(entries),
        way.revision,
        entries[-1].term if entries else state.term,
        way.clock_ms,
        state.forgotten_through,
    )


def _advance(part: _Part, way: _Way) -> None:
    """The engine has it: the partition stands there now."""
    state, entries = part.state, part.entries
    state.applied_index = Index(state.applied_index + len(entries))
    state.revision, state.clock_ms = way.revision, way.clock_ms
    state.term = entries[-1].term if entries else state.term
    state.commit_sessions()
    if isinstance(way, PartitionChanges):
        for expiry_ms in way.expiries():
            state.expiries.note(expiry_ms)


class _SimpleWrites:
    """HEAD_KINDS, straight into the batch, by the heads of the records that they replace."""

    __slots__ = ("_batch", "_known", "_state", "clock_ms", "revision")

    def __init__(self, batch: WriteBatch, state: PartitionState, known: dict[bytes, Head]) -> None:
        """`known` is changed for what follows."""
        self._batch = batch
        self._known = known
        self._state = state
        self.revision = state.revision
        self.clock_ms = state.clock_ms

    def apply(self, command: Command) -> bytes:
        """Does `command`, which has nothing but HEAD_KINDS."""
        if command.is_timed:
            self.clock_ms = max(self.clock_ms, command.clock_ms)
        put, delete, pack = self._batch.put, self._batch.delete, HEADER.pack
        known, prefix, revision = self._known, self._state.data_prefix, self.revision
        keys, arguments = command.keys, command.arguments
        revisions: list[int] = []
        for place, kind in enumerate(command.kinds):
            user_key, value = keys[place], arguments[place]
            key = prefix + user_key
            version, create_revision, expiry_ms = parts_of(known[key])
            if kind == _EXPIRE and not (expiry_ms == _U64.unpack(value)[0] <= self.clock_ms):
                revisions.append(0)  # it was given another lifetime since, or is gone
                continue
            if expiry_ms:
                delete(expiry_key(self._state.expiries.prefix, expiry_ms, user_key))
            if kind == _PUT:
                revision += 1
                if not version:
                    create_revision = revision
                version += 1
                known[key] = head_of(version, create_revision, 0)
                put(key, pack(RECORD_FORMAT, version, create_revision, revision, 0) + value)
                revisions.append(revision)
            elif version:
                revision += 1
                known[key] = ABSENT
                delete(key)
                revisions.append(revision)
            else:
                revisions.append(0)
        self.revision = revision
        return encode_results(revisions)

    def write(self, batch: WriteBatch) -> list[bytes]:
        """Nothing is left to be written."""
        return []
