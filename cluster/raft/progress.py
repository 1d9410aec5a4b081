"""What a leader knows of one follower's log, and how much it has under way to it.

```
            accepted at or above `match`
   PROBE ───────────────────────────────▶ REPLICATE
     ▲ ▲                                    │   ▲
     │ └────── rejected above `match` ──────┘   │ accepted at or above
     │                                          │ the snapshot
     │ failed, or      SNAPSHOT ────────────────┘
     └─ not answered ─────┘ ▲
        for long            └──── from either: it needs what was compacted
```

PROBE: it is not known where the logs part. One request at a time, `next` does not move until it is
answered; a heartbeat's answer allows another (the request or its answer may be lost).
REPLICATE: `next` runs ahead of `match` (pipelining, dissertation 10.2.1) within a window that is
bounded by messages and by bytes. Where nothing was acknowledged between the answers to two
heartbeats, an empty request asks whether something was lost.
SNAPSHOT: a snapshot is under way (5.3), one at a time, and no entries are. What follows it is
`next`; after a heartbeat's answer an empty request asks whether it has arrived (the answer to it
may be lost). Rejections are of requests from before, or say that it has not.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum, unique


@unique
class ProgressState(IntEnum):
    """How entries are sent."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """One follower, as its leader sees it. `match` never moves back."""

    __slots__ = (
        "_is_moving",
        "_spoke_at",
        "_window",
        "_window_bytes",
        "bytes_max",
        "heard_at",
        "match",
        "messages_max",
        "next",
        "owes_request",
        "read_round",
        "snapshot_at",
        "snapshot_index",
        "spoken_ticks",
        "state",
    )

    def __init__(
        self, *, next_index: int, heard_at: int, messages_max: int, bytes_max: int
    ) -> None:
        self.state = ProgressState.PROBE
        self.match = 0
        """The highest index known to match, persisted there."""
        self.next = next_index
        """The next index to send."""
        self.owes_request = True
        """One request is to be sent even if there is nothing to put in it: the next probe, or one
        that finds out whether what is under way was lost."""
        self.heard_at = heard_at
        """The leader's tick at which the follower was last heard."""
        self.read_round = 0
        """The highest round of ReadIndex that it has confirmed."""
        self.snapshot_index = 0
        """What the snapshot that is under way covers; 0 without one."""
        self.snapshot_at = 0
        """The leader's tick at which it was sent."""
        self.spoken_ticks = 0
        """In how many ticks of the leader it was sent a request, since heartbeats last came due."""
        self._spoke_at = -1
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self._window: deque[tuple[int, int]] = deque()
        """Requests under way: (last index, bytes of payload), rising."""
        self._window_bytes = 0
        self._is_moving = False
        """What was under way was acknowledged, or a part, since a heartbeat was last answered."""

    @property
    def inflight_messages(self) -> int:
        """Requests with entries that are under way."""
        return len(self._window)

    @property
    def inflight_bytes(self) -> int:
        """Payload that is under way."""
        return self._window_bytes

    def room(self) -> int:
        """Bytes of payload that may be sent now; 0 or less: none."""
        if self.state is not ProgressState.REPLICATE:
            is_probe_due = self.state is ProgressState.PROBE and self.owes_request
            return self.bytes_max if is_probe_due else 0
        if len(self._window) >= self.messages_max:
            return 0
        return self.bytes_max - self._window_bytes

    def wants(self, last_index: int) -> bool:
        """Whether a request may be sent now, and there is something to say in it."""
        return self.owes_request or (self.next <= last_index and self.room() > 0)

    def fits(self, size: int) -> bool:
        """Whether a request of `size` bytes may be sent now, given that there is `room`."""
        # What is larger than the whole window goes when nothing else is under way: it would
        # never go otherwise.
        return not self._window or size <= self.bytes_max - self._window_bytes

    def sent(self, count: int, size: int, now: int) -> None:
        """A request with `count` entries from `next` on, `size` bytes, was sent at tick `now`."""
        self.owes_request = False
        if now != self._spoke_at:
            self._spoke_at = now
            self.spoken_ticks += 1
        if count and self.state is ProgressState.REPLICATE:
            self.next += count
            self._window.append((self.next - 1, size))
            self._window_bytes += size

    def snapshot_sent(self, index: int, now: int) -> None:
        """A snapshot that covers all up to `index`, above `match`, was sent at tick `now`."""
        self._leave_for(ProgressState.SNAPSHOT, index + 1)
        self.owes_request = False
        self.snapshot_index = index
        self.snapshot_at = now

    def snapshot_failed(self) -> None:
        """The snapshot that is under way will not arrive. What comes next waits until the follower
        is heard, so that failing does not become a loop."""
        self._leave_for(ProgressState.PROBE, self.match + 1)
        self.owes_request = False

    def accepted(self, index: int) -> bool:
        """The follower has persisted all up to `index`. Whether `match` moved."""
        window = self._window
        while window and window[0][0] <= index:
            self._window_bytes -= window.popleft()[1]
            self._is_moving = True
        if index < self.match:
            return False  # a late answer
        moved = index > self.match
        self.match = index
        if self.state is ProgressState.REPLICATE:
            if self.next <= index:
                self.next = index + 1
        elif index >= self.snapshot_index:
            self._leave_for(ProgressState.REPLICATE, index + 1)
            self.owes_request = False
        return moved

    def rejected(self, index: int, could_match: int) -> bool:
        """The entry at `index` does not match, and none above `could_match` does.

        Returns whether this was news, and not an answer that other answers have overtaken.
        """
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
        elif self.state is ProgressState.SNAPSHOT or index != self.next - 1:
            return False
        self._leave_for(ProgressState.PROBE, max(self.match + 1, min(index, could_match + 1)))
        self.owes_request = True
        return True

    def heartbeat_answered(self, last_index: int) -> None:
        """The follower is there: a request has to find out what was lost, unless it has all, or
        acknowledges what is under way."""
        is_moving, self._is_moving = self._is_moving, False
        if is_moving and self.state is ProgressState.REPLICATE:
            return
        if self.match < last_index:  # always so while probing
            self.owes_request = True

    def _leave_for(self, state: ProgressState, next_index: int) -> None:
        """Nothing counts as under way any more."""
        self.state = state
        self.next = next_index
        self.snapshot_index = 0
        self._window.clear()
        self._window_bytes = 0
