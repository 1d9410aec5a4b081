"""When the commit log may let go of what it holds, and how much of it: only decisions.

```
 segment      released │    kept_segments    │ active
              ─────────┼─────────────────────┼──────────
 one group    ▓▓▓▓▓▓▓▓▓│▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓│▓▓▓▓
                       └ begins here, if the engine has all before it on stable storage, and
                         the followers of a group that is led here have it, too
```

Whole segments go, so that is what is counted in: a group keeps what stands in the last few, however
much or little it is, and one without work lets go of its last entry when the others have moved on.
A replica that does not lead does not know what the others have; it keeps the same few segments, for
the case that it comes to lead (dissertation 5.1, 5.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.ids import Index
from cluster.raft.status import PeerStatus


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """See the module. Raises ValueError where a value is too low."""

    kept_segments: int = 1
    """Before the active one. There are at most so many and two more, unless a group needs older
    ones or the engine's flush takes longer than a segment to fill."""
    lagging_segments: int = 8
    """Before the active one. A leader that has a follower so far behind that it lacks entries below
    them does not wait for it: it will get a snapshot. Where the disk is short of space, it waits
    for none that lacks more than `kept_segments`."""
    retry_ticks: int = 200
    """How long to wait for what holds segments back, before it is looked at again. A new segment
    is a reason to look at once."""

    def __post_init__(self) -> None:
        if self.kept_segments < 0 or self.retry_ticks < 1:
            raise ValueError(f"{self} keeps less than nothing or never waits")

    def lowest_kept(self, active: int) -> int:
        """The lowest segment that is kept for followers that are a little behind."""
        return active - self.kept_segments

    def lowest_waited_for(self, active: int, *, is_short: bool = False) -> int:
        """The lowest segment that is kept for followers that are far behind. `is_short`: there is
        little space left."""
        if is_short:
            return self.lowest_kept(active)
        return active - max(self.lagging_segments, self.kept_segments)

    def is_due(self, *, active: int, released: int, last_active: int, waited_ticks: int) -> bool:
        """Whether to begin, given that the segments before `released` are let go already, and that
        when this began last, `waited_ticks` ago, the active segment was `last_active`."""
        if self.lowest_kept(active) <= released:
            return False
        return active > last_active or waited_ticks >= self.retry_ticks


def compact_through(
    durable: Index, last_old: Index, last_lost: Index, peers: Iterable[PeerStatus]
) -> Index:
    """The last entry that one group's log need not hold any more.

    `durable`: the state is on stable storage up to here. `last_old`: the last entry before the
    segments that are kept; `last_lost`: before those that a follower far behind is waited for.
    `peers`: of a leader; each must get the entries that it lacks, or a snapshot, and after one that
    is under way what follows it.
    """
    through = min(durable, last_old)
    for peer in peers:
        if peer.snapshot_index is not None:
            through = min(through, peer.snapshot_index)
        elif peer.match >= last_lost:
            through = min(through, peer.match)
    return through


def lowest_needed(active: int, firsts: Iterable[int | None]) -> int:
    """The lowest segment that is needed, given where each log begins (None: nothing of it stands
    on disk yet; it will stand in the active segment or later)."""
    return min((first for first in firsts if first is not None), default=active)
