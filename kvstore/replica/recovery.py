"""What the commit log remembers of each group, and the replicas made from it."""

from __future__ import annotations

from random import Random
from typing import Final

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId
from cluster.raft import Configuration, Raft, RaftConfig, decode_configuration
from cluster.raft.ready import HardState
from kvstore.commitlog.commit_log import Position, Record
from kvstore.errors import ConfigurationError, CorruptionError
from kvstore.replica.log_records import Bounds, RecordKind, decode_bounds, decode_hard_state
from kvstore.replica.log_store import LogStore, RecordReader
from kvstore.replica.replica import Replica
from kvstore.replica.state_installer import drop_other_generations
from kvstore.storage.engine import Engine
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import load_generation, load_position
from kvstore.storage.quarantine import check_not_quarantined
from kvstore.storage.sessions import SESSIONS_MAX

LOG_CACHE_BYTES_PER_GROUP: Final = 1 << 20
"""Of entries kept in memory after they are applied, for followers a little behind."""


class RecoveredLogs:
    """Takes the commit log's records in the order of writing, and keeps what they add up to."""

    __slots__ = ("_hard_states", "_logs")

    def __init__(self) -> None:
        self._logs: dict[GroupId, LogStore] = {}
        self._hard_states: dict[GroupId, HardState] = {}

    def visit(self, record: Record, position: Position) -> None:
        """Takes one record; raises CorruptionError when it does not fit the ones before,
        ConfigurationError when it is of a newer version."""
        group = GroupId(record.group)
        if record.kind == RecordKind.ENTRIES:
            self._log_of(group).recover(record.payload, position)
        elif record.kind == RecordKind.BOUNDS:
            self._log_of(group).recover_bounds(decode_bounds(record.payload))
        elif record.kind == RecordKind.HARD_STATE:
            self._hard_states[group] = decode_hard_state(record.payload)
        else:
            raise ConfigurationError(
                f"the commit log has a record of kind {record.kind}, which this version does not"
                " know: it was written by a newer one"
            )

    def take(self, group: GroupId) -> tuple[LogStore, HardState]:
        """Hands over what is known of `group`; an empty log when nothing is.

        Raises CorruptionError when the beginning of its log is missing.
        """
        log = self._log_of(group)
        try:
            log.end_recovery()
        except CorruptionError as problem:
            raise CorruptionError(f"group {group}: {problem}") from None
        del self._logs[group]
        return log, self._hard_states.pop(group, HardState())

    @property
    def first_segment(self) -> int | None:
        """The first segment that holds an entry of a group that was not handed over; None when
        none does."""
        firsts = [log.first_segment for log in self._logs.values()]
        return min((first for first in firsts if first is not None), default=None)

    def _log_of(self, group: GroupId) -> LogStore:
        log = self._logs.get(group)
        if log is None:
            log = self._logs[group] = LogStore(LOG_CACHE_BYTES_PER_GROUP)
        return log


class ReplicaMaker:
    """Makes this node's replicas from what the disk holds of them."""

    __slots__ = ("_config", "_engine", "_me", "_random", "_reader", "_recovered", "_sessions_max")

    def __init__(
        self,
        *,
        me: ReplicaId,
        config: RaftConfig,
        engine: Engine,
        reader: RecordReader,
        recovered: RecoveredLogs,
        random: Random,
        sessions_max: int = SESSIONS_MAX,
    ) -> None:
        """`sessions_max` of each partition has to be the same on all nodes, for good."""
        self._me = me
        self._config = config
        self._engine = engine
        self._reader = reader
        self._recovered = recovered
        self._random = random
        self._sessions_max = sessions_max

    def make(self, group: GroupId, voters: frozenset[ReplicaId]) -> Replica:
        """The replica of `group`, as it was persisted or new; `voters` are those it began with.

        Raises CorruptionError when the state is ahead of the log it was made from, or so far behind
        that the entries it needs next were compacted, or must not be used any more.
        """
        check_not_quarantined(self._engine, group)
        log, hard_state = self._recovered.take(group)
        log.attach(self._reader)
        state = (
            None if group == META_GROUP else PartitionState(self._engine, group, self._sessions_max)
        )
        generation = load_generation(self._engine, group)
        position = load_position(self._engine, group)
        drop_other_generations(self._engine, group, generation.number)
        applied = position.applied_index
        installed = Bounds(generation.index, generation.term)
        completes = log.bounds.index < applied == installed.index and not log.holds(installed)
        if completes:
            # The state was switched, and a crash came before the log was.
            log.install(installed)
        if applied < log.first_index() - 1:
            raise CorruptionError(
                f"group {group} has applied {applied} entries, but its log begins at"
                f" {log.first_index()}: part of the engine's data is missing"
            )
        if applied > log.last_index():
            raise CorruptionError(
                f"group {group} has applied {applied} entries, but its log ends at"
                f" {log.last_index()}: part of the commit log is missing"
            )
        core = Raft(
            replica=self._me,
            config=self._config,
            configuration=position.configuration or _configuration_at(applied, log, voters),
            hard_state=hard_state,
            storage=log,
            applied=applied,
            random=self._random,
        )
        return Replica(group, core, log, state, completes_installation=completes)


def _configuration_at(applied: Index, log: LogStore, voters: frozenset[ReplicaId]) -> Configuration:
    """The configuration as of `applied` where the state does not have it: it never changed, or a
    version that did not keep it has written state and log, which then has its beginning."""
    changes = log.membership_entries(log.first_index(), Index(applied + 1))
    return decode_configuration(changes[-1].data) if changes else Configuration(voters)
