"""Committed entries on their way into the engine: applied in the round that brings them.

Except that what nobody here waits for is left until there is enough of it, or some ticks have
passed: a follower's entries of many rounds go in together, with one position of each partition and
the last results of each session, the oldest first and a few partitions at a time. Nor is that done
during a write to the log: for the entries in that one a leader waits, and with it the callers of a
whole round.

What the engine has no room for, or cannot keep up with, waits in order, and is tried again with
every tick: it is committed, so it has to be applied, and nothing after it can be.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from cluster.ids import META_GROUP, GroupId
from cluster.raft.messages import Entry
from kvstore.codec.scrub import is_mark, split_after_marks
from kvstore.errors import ResourceExhausted
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.replica import Replica
from kvstore.storage.applier import RoundWork

BUNDLE_BYTES_AIM: Final = 64 << 10
"""Of commands in one bundle, and of what is applied in one go of what was left."""
LEFT_BYTES_MAX: Final = 256 << 10
"""Of commands that nobody waits for, over all groups."""
LEFT_TICKS: Final = 4
"""So long is left what nobody waits for, where there is not more of it."""


class _Bundle:
    """Entries of one group that are applied together."""

    __slots__ = ("entries", "size", "tick")

    def __init__(self, entries: list[Entry], size: int, tick: int) -> None:
        self.entries = entries
        self.size = size
        """Of their commands, in bytes."""
        self.tick = tick
        """When the first of them came."""


class ApplyQueue:
    """See the module. One engine write takes a bundle of each of several groups."""

    __slots__ = (
        "_applied",
        "_apply_round",
        "_bytes",
        "_is_awaited",
        "_left_at",
        "_meta",
        "_new",
        "_on_map",
        "_replicas",
        "_ticks",
        "_waiting",
        "refused_ticks",
    )

    def __init__(
        self,
        replicas: Mapping[GroupId, Replica],
        apply_round: Callable[[RoundWork], list[list[bytes]]],
        meta: MetaMachine,
        is_awaited: Callable[[Replica], bool],
        applied: Callable[[Replica, Entry], None],
        on_map: Callable[[], None],
    ) -> None:
        """`is_awaited`: whether somebody waits for what a replica is to apply. `applied` is told of
        the last entry that it has applied, `on_map` of a new map."""
        self._replicas = replicas
        self._apply_round = apply_round
        self._meta = meta
        self._is_awaited = is_awaited
        self._applied = applied
        self._on_map = on_map
        # By group, bundles in order; the group that has waited for longest comes first.
        self._waiting: dict[GroupId, deque[_Bundle]] = {}
        self._bytes = 0
        # The groups that were given something since the last run.
        self._new: dict[GroupId, None] = {}
        # The write to the log that was under way when there was too much; None: there is not.
        self._left_at: int | None = None
        self._ticks = 0
        self.refused_ticks = 0
        """For how long the engine has refused what is to be applied; 0: it does not."""

    @property
    def is_refused(self) -> bool:
        """Whether something waits that the engine has refused."""
        return self.refused_ticks > 0

    def add(self, group: GroupId, entries: Sequence[Entry]) -> None:
        """Takes committed entries, at least one, that follow those taken before. What follows a
        mark is applied after it was seen."""
        self._new[group] = None
        bundles = self._waiting.get(group)
        if bundles is None:
            bundles = self._waiting[group] = deque()
        for part in split_after_marks(entries):
            size = sum([len(entry.data) for entry in part])
            self._bytes += size
            last = bundles[-1] if bundles else None
            if last is None or last.size + size > BUNDLE_BYTES_AIM or is_mark(last.entries[-1]):
                bundles.append(_Bundle(list(part), size, self._ticks))
            else:
                last.entries.extend(part)
                last.size += size

    def drop(self, group: GroupId) -> None:
        """Forgets what waits for `group`: another state has taken the place of its own."""
        for bundle in self._waiting.pop(group, ()):
            self._bytes -= bundle.size

    def tick(self) -> None:
        """Time passes: tries again what was refused, and does what was left for long."""
        self._ticks += 1
        if self.refused_ticks:
            self.refused_ticks += 1
            self._run(self._all)
        else:
            self._run(self._overdue)

    def run(self, write_under_way: int | None = None) -> None:
        """Applies what was added, or leaves it, unless something waits before it that was refused.

        `write_under_way`: the number of the write to the log; None without one."""
        if self.refused_ticks:
            return
        if self._new:
            self._run(self._awaited)
            self._new.clear()
        if self._bytes < LEFT_BYTES_MAX:
            self._left_at = None
        elif self._is_time(write_under_way):
            self._run(self._surplus)

    def catch_up(self, group: GroupId) -> None:
        """Applies what waits for `group`: somebody wants to read it."""
        if group in self._waiting and not self.refused_ticks:
            self._run(lambda: [group] if group in self._waiting else [])

    # Which groups are applied next

    def _all(self) -> list[GroupId]:
        return list(self._waiting)

    def _awaited(self) -> list[GroupId]:
        waiting, replicas = self._waiting, self._replicas
        return [each for each in self._new if each in waiting and self._is_awaited(replicas[each])]

    def _overdue(self) -> list[GroupId]:
        before = self._ticks - LEFT_TICKS
        return [group for group, bundles in self._waiting.items() if bundles[0].tick <= before]

    def _surplus(self) -> list[GroupId]:
        groups: list[GroupId] = []
        left = self._bytes
        for group, bundles in self._waiting.items():
            if left <= LEFT_BYTES_MAX - BUNDLE_BYTES_AIM:
                break
            groups.append(group)
            left -= bundles[0].size
        return groups

    def _is_time(self, write_under_way: int | None) -> bool:
        """Whether it is time to do some of what nobody waits for: there is too much."""
        if self._left_at is None:
            self._left_at = write_under_way
        return write_under_way is None or write_under_way != self._left_at

    # How

    def _run(self, next_groups: Callable[[], list[GroupId]]) -> None:
        try:
            while self._waiting:
                while META_GROUP in self._waiting:
                    self._apply_meta()
                groups = next_groups()
                if not groups:
                    break
                self._apply_partitions(groups)
            self.refused_ticks = 0
        except EngineRefused:
            self.refused_ticks = max(1, self.refused_ticks)

    def _apply_partitions(self, groups: list[GroupId]) -> None:
        work = [(self._replicas[group], self._waiting[group][0].entries) for group in groups]
        with _refusing():
            results = self._apply_round(
                [(replica.state, entries) for replica, entries in work if replica.state is not None]
            )
        for place, (replica, entries) in enumerate(work):
            of_replica = results[place]
            for position, entry in enumerate(entries):
                replica.settle_applied(entry, of_replica[position])
            self._have_applied(replica, entries[-1])

    def _apply_meta(self) -> None:
        entries = self._waiting[META_GROUP][0].entries
        with _refusing():
            changed = self._meta.apply(entries)
        self._have_applied(self._replicas[META_GROUP], entries[-1])
        if changed:
            self._on_map()

    def _have_applied(self, replica: Replica, last: Entry) -> None:
        bundles = self._waiting[replica.group]
        self._bytes -= bundles.popleft().size
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
