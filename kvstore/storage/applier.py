"""Applies committed entries: a whole round, over all groups, as one engine write.

Apply is a function of the log and the state alone, so that every replica comes to the same bytes.
Data, applied index and the group's configuration as of it are in the same batch: after a crash they
fit together, and replay goes on after the applied index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.byteslist import CodecError
from kvstore.codec.command import OperationKind, decode_command
from kvstore.codec.record import HEADER, HEADER_BYTES, RECORD_FORMAT
from kvstore.codec.results import encode_results
from kvstore.codec.scrub import is_mark
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.storage.engine import Engine, WriteBatch
from kvstore.storage.heads import ABSENT, Head, HeadCache
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import encode_position

RoundWork = Sequence[tuple[PartitionState, Sequence[Entry]]]
"""Each partition at most once, with its committed entries in order."""

_PUT: Final = int(OperationKind.PUT)

_Operations = tuple[bytes, list[bytes], Sequence[bytes]]
"""Parallel: kinds, whole engine keys, arguments."""
_Plan = list[tuple[PartitionState, list[_Operations | None]]]
"""Parallel to the work."""


def apply_round(
    engine: Engine, work: RoundWork, heads: HeadCache | None = None
) -> list[list[bytes]]:
    """Applies `work` with one read and one write; returns the results, entry by entry.

    A result is what codec/results.py encodes, or empty for an empty command, a change of
    membership or a mark, which change nothing in the data. `heads` saves reads: one cache per
    engine, handed in with every call or with none.

    Raises InvariantViolation when an index does not follow the applied one or a command does not
    decode (the leader proposes none such), and what the engine raises. Then nothing was applied:
    the partitions stand where they stood.
    """
    if heads is None:
        heads = HeadCache(0)
    try:
        plan = _plan(work)
        known, created = _read_heads(engine, plan, heads)
        batch = engine.new_batch()
        results: list[list[bytes]] = []
        positions: list[tuple[PartitionState, Index, int, Term]] = []
        for (state, entries), (_, operations) in zip(work, plan, strict=True):
            answers, revision = _apply_entries(batch, operations, known, state.revision)
            applied = Index(state.applied_index + len(entries))
            term = entries[-1].term if entries else state.term
            batch.put(state.state_key, encode_position(applied, revision, term))
            configuration = latest_configuration(entries)
            if configuration is not None:
                batch.put(state.configuration_key, configuration)
            positions.append((state, applied, revision, term))
            results.append(answers)
        engine.write(batch)
    except BaseException:
        heads.clear()
        raise
    heads.remember(known, created)
    for state, applied, revision, term in positions:
        state.applied_index, state.revision, state.term = applied, revision, term
    return results


def latest_configuration(entries: Sequence[Entry]) -> bytes | None:
    """The last configuration among `entries`, as it is stored; None where there is none."""
    configuration = None
    for entry in entries:
        if entry.kind is EntryKind.MEMBERSHIP:
            configuration = entry.data
    return configuration


def _plan(work: RoundWork) -> _Plan:
    """The operations of every entry, decoded; None for one without a command."""
    if len({state.group for state, _ in work}) != len(work):
        raise InvariantViolation("a partition has two places in one round")
    plan: _Plan = []
    for state, entries in work:
        prefix = state.data_prefix
        expected = state.applied_index
        decoded: list[_Operations | None] = []
        for entry in entries:
            index, data = entry.index, entry.data
            expected = Index(expected + 1)
            if index != expected:
                raise InvariantViolation(
                    f"group {state.group}: entry {index} to be applied where {expected} is next"
                )
            if not data or entry.kind is not EntryKind.NORMAL or is_mark(entry):
                decoded.append(None)
                continue
            try:
                command = decode_command(data)
            except CodecError as problem:
                raise InvariantViolation(
                    f"group {state.group}: the command at {index} does not decode: {problem}"
                ) from problem
            keys = [prefix + key for key in command.keys]
            decoded.append((command.kinds, keys, command.arguments))
        plan.append((state, decoded))
    return plan


def _read_heads(
    engine: Engine, plan: _Plan, heads: HeadCache
) -> tuple[dict[bytes, Head], list[bytes]]:
    """The heads of all keys in `plan`, and which of them the engine does not have yet.

    What the cache does not have takes one read for all.
    """
    known: dict[bytes, Head] = {}
    unknown: list[bytes] = []
    for _, entries in plan:
        for operations in entries:
            if operations is not None:
                unknown += heads.look_up(operations[1], known)
    created: list[bytes] = []
    if unknown:
        for key, record in zip(unknown, engine.get_many(unknown), strict=True):
            if record is None:
                created.append(key)
                continue
            if len(record) < HEADER_BYTES or record[0] != RECORD_FORMAT:
                raise CorruptionError(f"the record under engine key {key!r} is unreadable")
            _, version, create_revision, _, _ = HEADER.unpack_from(record)
            known[key] = (version, create_revision)
    return known, created


def _apply_entries(
    batch: WriteBatch,
    entries: Sequence[_Operations | None],
    known: dict[bytes, Head],
    revision: int,
) -> tuple[list[bytes], int]:
    """Adds the changes of one partition's `entries` to `batch`, and to `known` for what follows.

    Returns a result per entry, and the partition's revision after them.
    """
    put, delete, pack = batch.put, batch.delete, HEADER.pack
    results: list[bytes] = []
    for operations in entries:
        if operations is None:
            results.append(b"")
            continue
        revisions: list[int] = []
        for kind, key, value in zip(*operations, strict=True):
            version, create_revision = known[key]
            if kind == _PUT:
                revision += 1
                if not version:
                    create_revision = revision
                version += 1
                known[key] = (version, create_revision)
                put(key, pack(RECORD_FORMAT, version, create_revision, revision, 0) + value)
                revisions.append(revision)
            elif version:
                revision += 1
                known[key] = ABSENT
                delete(key)
                revisions.append(revision)
            else:
                revisions.append(0)
        results.append(encode_results(revisions))
    return results, revision
