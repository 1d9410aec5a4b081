"""Puts a state that has arrived in the place of the one that there is (dissertation 5.3).

```
 term and vote ──▶ generation switched ──▶ engine.flush ──▶ bounds, with all else  ──▶ installed
 persisted         in one engine batch                      of the bundle, persisted
```

Where the engine has no room, or cannot keep up, a step is taken again with a later tick.

What the core wants persisted after the snapshot waits meanwhile. State and log cannot change in one
step, as they are in two places: the generation says from which snapshot it was made, so a start
that finds it switched and the bounds not yet written completes the installation (`recovery`). One
that finds it not switched finds everything as before.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from cluster.errors import InvariantViolation
from cluster.ids import GroupId, Index
from cluster.raft.configuration_format import encode_configuration
from cluster.raft.ready import HardState, Ready
from cluster.raft.snapshot import SnapshotMeta
from kvstore.commitlog.commit_log import Record
from kvstore.environment import Worker
from kvstore.errors import ResourceExhausted
from kvstore.replica.log_pipeline import LogPipeline
from kvstore.replica.log_records import Bounds, RecordKind, encode_hard_state
from kvstore.replica.replica import Replica
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, replica_prefix, section_prefix
from kvstore.storage.position import Generation, encode_generation


class StateInstaller:
    """See the module."""

    __slots__ = (
        "_engine",
        "_fail",
        "_flush_worker",
        "_guard",
        "_pipeline",
        "_refused",
        "_switched",
        "installing",
    )

    def __init__(
        self,
        *,
        engine: Engine,
        flush_worker: Worker,
        pipeline: LogPipeline,
        switched: Callable[[Replica], None],
        guard: AbstractContextManager[None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`switched` is told that the replica's state has become another."""
        self._engine = engine
        self._flush_worker = flush_worker
        self._pipeline = pipeline
        self._switched = switched
        self._guard = guard
        self._fail = fail
        # Steps for which the engine had no room.
        self._refused: list[Callable[[], None]] = []
        self.installing = 0
        """How many installations are under way. Until they are done, the commit log has to keep
        what it has: their groups' bounds are not yet in it."""

    def begin(self, replica: Replica, ready: Ready, generation: int) -> None:
        """Installs the snapshot of `ready`, whose state is in `generation`; to be called before the
        bundle is handed to the pipeline."""
        snapshot = ready.snapshot
        if snapshot is None:
            raise InvariantViolation("a bundle without a snapshot is to be installed")
        group = replica.group
        self.installing += 1
        replica.is_installing = True
        replica.log.install(Bounds(snapshot.index, snapshot.term))
        records: list[Record] = []
        if ready.hard_state is not None:
            # Its commit index is of a log that is not on disk yet.
            state = HardState(ready.hard_state.term, ready.hard_state.vote, Index(0))
            records.append(Record(group, RecordKind.HARD_STATE, encode_hard_state(state)))
        switch = partial(self._switch, replica, snapshot, generation)
        self._pipeline.add_records(records, partial(self._take, switch))
        self._pipeline.hold(group)

    def tick(self) -> None:
        """Takes the steps again that could not be taken."""
        refused, self._refused = self._refused, []
        for step in refused:
            self._take(step)

    def _take(self, step: Callable[[], None]) -> None:
        # The pipeline calls it, too, and what fails here must stop the node there as well.
        with self._guard:
            try:
                step()
            except ResourceExhausted:
                self._refused.append(step)

    def _switch(self, replica: Replica, snapshot: SnapshotMeta, generation: int) -> None:
        group = replica.group
        batch = self._engine.new_batch()
        batch.put(
            section_prefix(group, generation, Section.CONFIGURATION),
            encode_configuration(snapshot.configuration),
        )
        current = Generation(generation, snapshot.index, snapshot.term)
        batch.put(generation_key(group), encode_generation(current))
        self._engine.write(batch)
        replica.on_state_replaced(snapshot.index)
        self._switched(replica)
        self._flush(replica, generation)

    def _flush(self, replica: Replica, generation: int) -> None:
        def flushed(outcome: BaseException | None) -> None:
            if isinstance(outcome, ResourceExhausted):
                self._refused.append(partial(self._flush, replica, generation))
            elif isinstance(outcome, BaseException):
                self._fail(outcome)
            else:
                with self._guard:
                    self._take(partial(self._persist, replica, generation))

        self._flush_worker.submit(self._engine.flush, flushed)

    def _persist(self, replica: Replica, generation: int) -> None:
        group = replica.group
        drop_other_generations(self._engine, group, generation)
        self._pipeline.resume(group)
        self._pipeline.add_records([], lambda: self._end(replica))
        self._pipeline.flush()

    def _end(self, replica: Replica) -> None:
        self.installing -= 1
        replica.is_installing = False


def drop_other_generations(engine: Engine, group: GroupId, current: int) -> None:
    """Deletes what is left of states that were replaced, or did not arrive whole."""
    batch = engine.new_batch()
    for start, end in (
        (replica_prefix(group, 0), replica_prefix(group, current)),
        (replica_prefix(group, current + 1), replica_prefix(GroupId(group + 1), 0)),
    ):
        if engine.scan(start, end, limit=1, bytes_max=0, keys_only=True).keys:
            batch.delete_range(start, end)
    if len(batch):
        engine.write(batch)
