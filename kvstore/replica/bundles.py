"""What the cores want done, bundle by bundle: sent, persisted, applied, and what comes of it.

```
 core.ready() ─┬─▶ peers                                     (Outbox)
               ├─▶ commit log ──▶ peers, core.on_persisted   (LogPipeline)
               ├─▶ engine ──▶ core.on_applied                (ApplyQueue)
               └─▶ a whole state ──▶ engine and commit log   (StateTransfers)
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from cluster.ids import META_GROUP, GroupId, ReplicaId
from cluster.raft.messages import Entry, Message, SnapshotRequest
from cluster.raft.ready import Ready
from kvstore.environment import Worker
from kvstore.replica.agenda import Agenda
from kvstore.replica.apply_queue import ApplyQueue
from kvstore.replica.log_pipeline import AppendLog, LogPipeline, Pending
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.outbox import Outbox
from kvstore.replica.participation import Participation
from kvstore.replica.replica import Replica
from kvstore.replica.state_transfers import StateTransfers
from kvstore.storage.applier import RoundWork
from kvstore.storage.engine import Engine


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the replicas of a node are kept, and who writes there."""

    log: AppendLog
    log_worker: Worker
    engine: Engine
    flush_worker: Worker
    apply_round: Callable[[RoundWork], list[list[bytes]]]
    meta: MetaMachine
    snapshot_chunk_bytes: int


class Bundles:
    """See the module."""

    __slots__ = (
        "_agenda",
        "_meta",
        "_on_applied",
        "_on_map",
        "_on_replaced",
        "_outbox",
        "_participation",
        "_replicas",
        "applies",
        "pipeline",
        "states",
    )

    def __init__(
        self,
        *,
        me: ReplicaId,
        stores: Stores,
        random: Random,
        replicas: Mapping[GroupId, Replica],
        participation: Participation,
        agenda: Agenda,
        outbox: Outbox,
        has_room: Callable[[], bool],
        is_awaited: Callable[[Replica], bool],
        on_applied: Callable[[Replica, Entry], None],
        on_replaced: Callable[[Replica], None],
        on_map: Callable[[], None],
    ) -> None:
        """`on_applied` is told of the last entry that a replica has applied, `on_replaced` that its
        state is another one, `on_map` of a new map; `has_room` says whether a state may be taken
        in, `is_awaited` whether somebody waits for what a replica is to apply."""
        self._replicas = replicas
        self._participation = participation
        self._agenda = agenda
        self._outbox = outbox
        self._meta = stores.meta
        self._on_applied = on_applied
        self._on_replaced = on_replaced
        self._on_map = on_map
        self.pipeline: Final = LogPipeline(
            stores.log, stores.log_worker, self._have_persisted, participation.fail
        )
        self.applies: Final = ApplyQueue(
            replicas, stores.apply_round, stores.meta, is_awaited, self._have_applied, on_map
        )
        self.states: Final = StateTransfers(
            me=me,
            engine=stores.engine,
            chunk_bytes=stores.snapshot_chunk_bytes,
            flush_worker=stores.flush_worker,
            random=random,
            replicas=replicas,
            pipeline=self.pipeline,
            send=outbox.say,
            arrived=self._state_has_arrived,
            switched=self._state_was_switched,
            has_room=has_room,
            guard=participation.guard,
            fail=participation.fail,
        )

    @property
    def are_keeping_up(self) -> bool:
        """Whether log and engine keep up, so that more should be proposed."""
        return not self.pipeline.is_busy and not self.applies.is_refused

    def complete_installation(self, replica: Replica) -> None:
        """Persists where the log of `replica` begins: a crash came before that was done."""
        self.pipeline.add_bounds([(replica.group, replica.log.bounds)], lambda: None)
        self.pipeline.flush()

    def take(self, replica: Replica, ready: Ready) -> None:
        """Takes a bundle of `replica`; what may go out now is in the outbox. The core may have
        more then."""
        group = replica.group
        if ready.snapshot is not None:
            self.states.install(replica, ready)
        elif self.states.are_arriving:
            self.states.not_asked_for(group)
        if ready.entries:
            replica.log.append(ready.entries)
        for message in ready.messages:
            self._send(replica, message)
        settled = self.pipeline.add(group, ready)
        if settled is not None:
            self._settle(replica, settled)
        if ready.committed:
            self.applies.add(group, ready.committed)

    def tick(self) -> None:
        """Time passes: what was refused or lost is tried again."""
        self.states.tick()
        self.pipeline.tick()
        self.applies.tick()

    def _send(self, replica: Replica, message: Message) -> None:
        if isinstance(message, SnapshotRequest):
            self.states.send(replica, message)
        else:
            self._outbox.add(replica.group, message)

    def _have_persisted(self, persisted: Sequence[Pending]) -> None:
        if self._participation.is_over:
            return
        with self._participation.guard:
            for pending in persisted:
                replica = self._replicas[pending.group]
                self._settle(replica, pending)
                if replica.core.has_ready:
                    self._agenda.touch(replica)
            self.pipeline.flush()
            self._agenda.schedule()

    def _settle(self, replica: Replica, pending: Pending) -> None:
        """What waited for the disk, if for anything, is done."""
        if pending.runs:
            positions = pending.positions
            for place, run in enumerate(pending.runs):
                if run is not None:
                    replica.log.persisted(run, positions[place])
        for message in pending.messages:
            self._send(replica, message)
        replica.core.on_persisted(pending.number)

    def _have_applied(self, replica: Replica, last: Entry) -> None:
        replica.core.on_applied(last.index)
        replica.log.trim(last.index)
        self._on_applied(replica, last)
        if replica.core.has_ready:
            self._agenda.touch(replica)

    def _state_has_arrived(self, replica: Replica, request: SnapshotRequest) -> None:
        replica.core.step(request)
        self._agenda.touch(replica)

    def _state_was_switched(self, replica: Replica) -> None:
        # The new state covers what waited to be applied to the old one.
        self.applies.drop(replica.group)
        self._on_replaced(replica)
        if replica.group == META_GROUP:
            before = self._meta.map
            self._meta.reload()
            if self._meta.map != before:
                self._on_map()
