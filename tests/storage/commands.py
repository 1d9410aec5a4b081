"""Commands for tests, and the plainest model of what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from cluster.ids import GroupId, Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.command import OperationKind, encode_command
from kvstore.codec.record import Record
from kvstore.storage.applier import apply_round
from kvstore.storage.engine import Engine
from kvstore.storage.heads import HeadCache
from kvstore.storage.partition_state import PartitionState

PUT, DELETE = OperationKind.PUT, OperationKind.DELETE

Operation = tuple[OperationKind, bytes, bytes]
Log = dict[GroupId, list[list[Operation]]]
"""Per group the operations of each entry; no operations make an empty command."""

AWKWARD_KEYS = [b"\0", b"\0\0", b"a", b"a\0", b"a\xff", b"b", b"\xff", b"\xff\xff", b"\xff" * 12]


def put(key: bytes, value: bytes = b"v") -> Operation:
    return PUT, key, value


def delete(key: bytes) -> Operation:
    return DELETE, key, b""


def command(operations: list[Operation]) -> bytes:
    if not operations:
        return b""
    kinds, keys, arguments = zip(*operations, strict=True)
    return encode_command(bytes(kinds), keys, arguments)


keys = st.sampled_from(AWKWARD_KEYS) | st.binary(min_size=1, max_size=3)
operations = st.builds(put, keys, st.binary(max_size=4)) | st.builds(delete, keys)
entries = st.lists(st.lists(operations, max_size=4), max_size=8)


@dataclass
class Model:
    """A partition as a dict, written for reading and not for speed."""

    records: dict[bytes, Record] = field(default_factory=dict)
    revision: int = 0

    def apply(self, operations: list[Operation]) -> tuple[int, ...]:
        return tuple(self._apply(*operation) for operation in operations)

    def _apply(self, kind: OperationKind, key: bytes, value: bytes) -> int:
        old = self.records.get(key)
        if kind is DELETE and old is None:
            return 0
        self.revision += 1
        if kind is DELETE:
            del self.records[key]
        elif old is None:
            self.records[key] = Record(value, 1, self.revision, self.revision)
        else:
            self.records[key] = Record(value, old.version + 1, old.create_revision, self.revision)
        return self.revision


def log_entries(pairs: Sequence[tuple[int, bytes]], term: int = 1) -> list[Entry]:
    """Entries of a log by index and command."""
    return [Entry(Index(index), Term(term), EntryKind.NORMAL, data) for index, data in pairs]


def apply_commands(
    engine: Engine,
    work: Sequence[tuple[PartitionState, Sequence[tuple[int, bytes]]]],
    heads: HeadCache | None = None,
) -> list[list[bytes]]:
    """A round of commands by index, all of one term."""
    return apply_round(engine, [(state, log_entries(pairs)) for state, pairs in work], heads)
