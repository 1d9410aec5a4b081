"""Keeps the commit log from growing for ever.

```
 engine.flush ──▶ logs compacted in memory, their bounds appended ──▶ release of segments
 flush worker     event loop, then in order with all else that is     log worker
                  persisted
```

One step at a time, each begun when the one before is done: whatever was applied when the flush
began is on stable storage when it ends, and so are the bounds that say so when the segments go. A
crash in between leaves more than is needed. What to do is decided in `compaction`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cluster.ids import GroupId, Index
from kvstore.environment import Worker
from kvstore.errors import ResourceExhausted
from kvstore.replica.compaction import CompactionPolicy, compact_through, lowest_needed
from kvstore.replica.host import Host
from kvstore.replica.log_records import Bounds
from kvstore.replica.space import Space


class SegmentedLog(Protocol):
    """The part of the commit log that is used here."""

    @property
    def oldest_segment(self) -> int:
        """The lowest that is there."""
        ...

    @property
    def active_segment(self) -> int:
        """The one that is written to."""
        ...

    def release(self, before: int) -> None:
        """The segments before that one are not needed any more."""
        ...

    def let_go(self) -> None:
        """Gives the space of what was released back at once; by the thread that appends."""
        ...


class Compactor:
    """See the module. Works by ticks."""

    __slots__ = (
        "_durable",
        "_flush",
        "_flush_worker",
        "_host",
        "_is_busy",
        "_is_hastened",
        "_last_active",
        "_log",
        "_log_worker",
        "_policy",
        "_released",
        "_unclaimed",
        "_waited_ticks",
    )

    def __init__(
        self,
        host: Host,
        *,
        policy: CompactionPolicy,
        log: SegmentedLog,
        log_worker: Worker,
        flush: Callable[[], None],
        flush_worker: Worker,
        unclaimed: Callable[[], int | None],
    ) -> None:
        """`flush` is the engine's. `unclaimed` says what the first segment is that holds something
        of a group that the host does not have yet; None: nothing."""
        self._host = host
        self._policy = policy
        self._log = log
        self._log_worker = log_worker
        self._flush = flush
        self._flush_worker = flush_worker
        self._unclaimed = unclaimed
        self._is_busy = False
        self._is_hastened = False
        self._durable: dict[GroupId, Index] = {}
        self._released = log.oldest_segment
        self._last_active = 0
        self._waited_ticks = 0

    def tick(self) -> None:
        """To be called after the host's own tick."""
        if self._is_busy or self._host.is_stopped or self._host.space.is_full:
            # On a full disk a flush fails, and the engine takes nothing more until there is room.
            return
        self._waited_ticks += 1
        active = self._log.active_segment
        if self._is_hastened or self._policy.is_due(
            active=active,
            released=self._released,
            last_active=self._last_active,
            waited_ticks=self._waited_ticks,
        ):
            self._begin(active)

    def hasten(self) -> None:
        """Begins as soon as it can, due or not: room runs short. What the engine writes down now,
        it need not find room for after a restart; and what may go, goes."""
        self._is_hastened = True

    def _begin(self, active: int) -> None:
        self._is_busy = True
        self._is_hastened = False
        self._last_active = active
        self._waited_ticks = 0
        self._durable = {g: replica.core.applied for g, replica in self._host.replicas.items()}
        self._flush_worker.submit(self._flush, self._on_flushed)

    def _on_flushed(self, outcome: BaseException | None) -> None:
        if isinstance(outcome, ResourceExhausted):
            # A full disk: the log is not needed less for it. There may be room later.
            self._is_busy = False
        elif self._check(outcome):
            with self._host.guard:
                self._compact()

    def _compact(self) -> None:
        kept = self._policy.lowest_kept(self._last_active)
        waited_for = self._policy.lowest_waited_for(self._last_active, is_short=self._is_short)
        bounds: list[tuple[GroupId, Bounds]] = []
        for group, durable in self._durable.items():
            replica = self._host.replicas[group]
            log = replica.log
            peers = replica.core.status().peers
            last_lost = log.last_before(waited_for)
            through = compact_through(durable, log.last_before(kept), last_lost, peers)
            if through > log.bounds.index:
                log.compact(through)
                bounds.append((group, log.bounds))
        pipeline = self._host.pipeline
        pipeline.add_bounds(bounds, self._release)
        pipeline.flush()

    def _release(self) -> None:
        """The bounds are persisted."""
        if self._host.is_stopped:
            return
        if self._host.states.are_installing:
            # Their logs are empty in memory, and on disk they are not.
            self._is_busy = False
            return
        firsts = [replica.log.first_segment for replica in self._host.replicas.values()]
        active = self._log.active_segment
        self._released = lowest_needed(active, [*firsts, self._unclaimed()])
        before = self._released
        at_once = self._is_short

        def release() -> None:
            self._log.release(before)
            if at_once:
                self._log.let_go()

        self._log_worker.submit(release, self._on_released)

    def _on_released(self, outcome: BaseException | None) -> None:
        self._is_busy = False
        self._check(outcome)

    @property
    def _is_short(self) -> bool:
        """Nothing new is taken then, so no new segment would let go of the old ones."""
        return self._host.space.space is not Space.ENOUGH

    def _check(self, outcome: BaseException | None) -> bool:
        """Whether to go on; a failure stops the node."""
        if isinstance(outcome, BaseException):
            self._host.fail(outcome)
        return not self._host.is_stopped
