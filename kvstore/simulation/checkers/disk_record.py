"""What a node's commit log holds for good, seen from beside it.

The core believes what its host tells it of the disk, and the host what it finds by number. Here the
records themselves are read, as the commit log has written and synced them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.ready import HardState
from kvstore.commitlog.commit_log import Position, Record
from kvstore.replica.log_pipeline import AppendLog
from kvstore.replica.log_records import RecordKind, decode_entry_heads, decode_hard_state
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.observed import HardStates, Log, Node

# Asked with every message; it changes with a vote.
_decode: Final = lru_cache(1024)(decode_hard_state)


def hard_state_on_disk(commit_log: HardStates, group: GroupId) -> HardState:
    """The last that `commit_log` has of `group`."""
    payload = commit_log.latest(group, RecordKind.HARD_STATE)
    return HardState() if payload is None else _decode(payload)


class DiskLog:
    """The terms of one group's entries on one node's disk."""

    __slots__ = ("_first", "_terms")

    def __init__(self, log: Log) -> None:
        self._first = log.first_index()
        self._terms = array("Q")
        for index in range(self._first, log.last_index() + 1):
            self._terms.append(log.term(Index(index)))

    @property
    def last_index(self) -> Index:
        """The last that is there."""
        return Index(self._first + len(self._terms) - 1)

    def term(self, index: Index) -> Term | None:
        """The term at `index`; None where nothing is."""
        if not self._first <= index <= self.last_index:
            return None
        return Term(self._terms[index - self._first])

    def put(self, first: Index, terms: Sequence[int]) -> None:
        """An entries record: it takes the place of all from `first` on."""
        if not self._first <= first <= self.last_index + 1:  # after a snapshot
            self._first = first
        del self._terms[first - self._first :]
        self._terms.extend(terms)


class _Witness:
    """Stands between a node's pipeline and its commit log, and notes what was written."""

    def __init__(self, log: AppendLog, written: list[tuple[GroupId, Index, Sequence[int]]]) -> None:
        self._log = log
        self._written = written

    def append(self, records: Sequence[Record]) -> list[Position]:
        """See AppendLog."""
        positions = self._log.append(records)
        for record in records:
            if record.kind == RecordKind.ENTRIES:
                first, terms, _kinds = decode_entry_heads(record.payload)
                self._written.append((GroupId(record.group), first, terms))
        return positions


class DiskRecord(Checker):
    """Keeps the DiskLog of every replica, also while its node is down, for others to ask."""

    def __init__(self) -> None:
        self._logs: dict[ReplicaId, dict[GroupId, DiskLog]] = {}
        self._seen: dict[ReplicaId, set[GroupId]] = {}
        """The replicas that have been looked at in this life."""
        self._written: dict[ReplicaId, list[tuple[GroupId, Index, Sequence[int]]]] = {}

    def on_start(self, node: Node) -> None:
        """See Checker."""
        me: Final = node.replica_id
        self._logs.setdefault(me, {})
        self._seen[me] = set()
        written = self._written[me] = []
        pipeline = node.host.pipeline
        # The one place where nothing but the log itself is to be trusted.
        pipeline._log = _Witness(pipeline._log, written)
        self.on_round(node)

    def on_round(self, node: Node) -> None:
        """See Checker. A replica that is new here has in its log what was found on disk."""
        seen = self._seen[node.replica_id]
        replicas = node.host.replicas
        if len(seen) != len(replicas):
            for group, replica in replicas.items():
                if group not in seen:
                    seen.add(group)
                    self._logs[node.replica_id][group] = DiskLog(replica.log)

    def log(self, node: ReplicaId, group: GroupId) -> DiskLog | None:
        """What is on the disk of `node` by now; None where it has no such replica."""
        logs = self._logs.get(node)
        if logs is None:
            return None
        written = self._written[node]
        for of_group, first, terms in written:
            if of_group in logs:
                logs[of_group].put(first, terms)
        written.clear()
        return logs.get(group)
