"""Committed entries on their way into the engine: applied in the round that brings them.

Except that what nobody here waits for is left until the write to the log that is under way has
ended: for the entries in that one a leader waits, and with it the callers of a whole round. So a
follower applies while the others work for the next round, and not in their way.

What the engine has no room for, or cannot keep up with, waits in order, and is tried again with
every tick: it is committed, so it has to be applied, and nothing after it can be.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from cluster.ids import META_GROUP, GroupId
from cluster.raft.messages import Entry
from kvstore.codec.scrub import split_after_marks
from kvstore.errors import ResourceExhausted
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.replica import Replica
from kvstore.storage.applier import RoundWork


class ApplyQueue:
    """See the module. One engine write for what all groups have committed; bundles are small."""

    __slots__ = (
        "_applied",
        "_apply_round",
        "_left_at",
        "_meta",
        "_on_map",
        "_replicas",
        "_waiting",
        "refused_ticks",
    )

    def __init__(
        self,
        replicas: Mapping[GroupId, Replica],
        apply_round: Callable[[RoundWork], list[list[bytes]]],
        meta: MetaMachine,
        applied: Callable[[Replica, Entry], None],
        on_map: Callable[[], None],
    ) -> None:
        """`applied` is told of the last entry that a replica has applied, `on_map` of a new map."""
        self._replicas = replicas
        self._apply_round = apply_round
        self._meta = meta
        self._applied = applied
        self._on_map = on_map
        # By group, bundles in order: one each, as a rule.
        self._waiting: dict[GroupId, deque[Sequence[Entry]]] = {}
        # The write to the log that was under way when something was left; None: nothing is.
        self._left_at: int | None = None
        self.refused_ticks = 0
        """For how long the engine has refused what is to be applied; 0: it does not."""

    @property
    def is_refused(self) -> bool:
        """Whether something waits that the engine has refused."""
        return self.refused_ticks > 0

    def add(self, group: GroupId, entries: Sequence[Entry]) -> None:
        """Takes committed entries, at least one, that follow those taken before. What follows a
        mark is applied after it was seen."""
        self._waiting.setdefault(group, deque()).extend(split_after_marks(entries))

    def drop(self, group: GroupId) -> None:
        """Forgets what waits for `group`: another state has taken the place of its own."""
        self._waiting.pop(group, None)

    def tick(self) -> None:
        """Time passes: tries again what was refused, and does what was left for too long."""
        if self.refused_ticks:
            self.refused_ticks += 1
            self._run()
        elif self._left_at is not None:
            self._run()

    def run(self, write_under_way: int | None = None) -> None:
        """Applies what was added, unless something waits before it that was refused.

        `write_under_way`: the number of the write to the log; None without one."""
        if not self._waiting or self.refused_ticks:
            return
        if write_under_way is None or self._left_at not in (None, write_under_way):
            self._run()
        else:
            self._run(only_awaited=True)
            self._left_at = write_under_way if self._waiting else None

    def _run(self, *, only_awaited: bool = False) -> None:
        self._left_at = None
        try:
            while self._waiting:
                while META_GROUP in self._waiting:
                    self._apply_meta()
                groups = self._awaited() if only_awaited else list(self._waiting)
                if not groups:
                    break
                self._apply_partitions(groups)
            self.refused_ticks = 0
        except EngineRefused:
            self.refused_ticks = max(1, self.refused_ticks)

    def _awaited(self) -> list[GroupId]:
        return [group for group in self._waiting if self._replicas[group].is_awaited]

    def _apply_partitions(self, groups: list[GroupId]) -> None:
        work = {group: self._waiting[group][0] for group in groups}
        replicas = [self._replicas[group] for group in work]
        with _refusing():
            results = self._apply_round(
                [
                    (replica.state, entries)
                    for replica, entries in zip(replicas, work.values(), strict=True)
                    if replica.state is not None
                ]
            )
        for replica, entries, of_replica in zip(replicas, work.values(), results, strict=True):
            for entry, result in zip(entries, of_replica, strict=True):
                replica.settle_applied(entry, result)
            self._have_applied(replica, entries[-1])

    def _apply_meta(self) -> None:
        entries = self._waiting[META_GROUP][0]
        with _refusing():
            changed = self._meta.apply(entries)
        self._have_applied(self._replicas[META_GROUP], entries[-1])
        if changed:
            self._on_map()

    def _have_applied(self, replica: Replica, last: Entry) -> None:
        bundles = self._waiting[replica.group]
        bundles.popleft()
        if not bundles:
            del self._waiting[replica.group]
        self._applied(replica, last)


class EngineRefused(Exception):
    """The engine has no room, or cannot keep up; nothing was applied."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """For what the engine alone does: that it has no room there is no reason to stop."""
    try:
        yield
    except ResourceExhausted as problem:
        raise EngineRefused from problem
