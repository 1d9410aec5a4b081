"""Progress against a twin that remembers every request, with a follower behind a bad network.

The follower's log agrees with the leader's up to some index and has other entries beyond. Requests
and answers are lost, repeated and overtake each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from cluster.raft.progress import Progress, ProgressState
from tests.raft.twins import LIVES

MESSAGES_MAX = 3
BYTES_MAX = 100


@dataclass(frozen=True)
class Request:
    """Entries behind `prev`; or a snapshot of all up to there."""

    prev: int
    count: int = 0
    size: int = 0
    is_snapshot: bool = False

    @property
    def last(self) -> int:
        return self.prev + self.count


@dataclass(frozen=True)
class Answer:
    index: int
    accepted: bool
    could_match: int = 0


class ProgressTwin(RuleBasedStateMachine):
    """A leader's view of one follower, and the truth."""

    @initialize(
        leader=st.integers(1, 12),
        first=st.integers(1, 13),
        same=st.integers(0, 12),
        other=st.integers(0, 5),
    )
    def begin(self, leader: int, first: int, same: int, other: int) -> None:
        self.last = leader
        self.same = min(same, leader)
        """Up to here the follower's log is the leader's, and persisted."""
        self.length = self.same + other
        self.progress = Progress(
            next_index=leader + 1, heard_at=0, messages_max=MESSAGES_MAX, bytes_max=BYTES_MAX
        )
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.under_way: list[Request] = []
        """Sent while replicating, and neither acknowledged nor given up since."""
        self.match = 0
        self.first = min(first, leader + 1)
        """Of the leader's log: what is below was compacted."""
        self.snapshot = 0
        """What the one under way covers."""
        self.now = 0

    # The leader

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        self.last += count

    @rule(count=st.integers(1, 3))
    def compact(self, count: int) -> None:
        self.first = min(self.first + count, self.last + 1)

    @rule(count=st.integers(1, 4), size=st.sampled_from([0, 30, 60, 130]))
    def send(self, count: int, size: int) -> None:
        self._send(count, size)

    def _send(self, count: int, size: int) -> bool:
        """As the leader does: what room and window allow, or an empty request that is owed."""
        made = self.progress
        if made.next < self.first:
            return self._send_snapshot()
        prev = made.next - 1
        count = min(count, self.last - prev)
        if count == 0 or made.room() <= 0 or not made.fits(size):
            if not made.owes_request:
                return False
            count = size = 0
        replicating = made.state is ProgressState.REPLICATE
        made.sent(count, size, self.now)
        request = Request(prev, count, size)
        self.requests.append(request)
        if count and replicating:
            self.under_way.append(request)
        assert not made.owes_request
        return True

    def _send_snapshot(self) -> bool:
        made = self.progress
        if made.state is ProgressState.SNAPSHOT or not made.wants(self.last):
            return False
        self.now += 1
        made.snapshot_sent(self.last, self.now)
        assert made.snapshot_at == self.now
        self.snapshot = self.last
        self.under_way = []
        self.requests.append(Request(self.last, is_snapshot=True))
        return True

    @precondition(lambda self: self.snapshot)
    @rule()
    def report_failed(self) -> None:
        """Even if it may yet arrive."""
        self.progress.snapshot_failed()
        self.snapshot = 0
        assert self.progress.state is ProgressState.PROBE
        assert not self.progress.wants(self.last), "only when the follower is heard"

    # The network

    @precondition(lambda self: self.requests)
    @rule(at=st.integers(0, 20), again=st.booleans())
    def deliver_request(self, at: int, again: bool) -> None:
        request = self.requests[at % len(self.requests)]
        if not again:
            self.requests.remove(request)
        if request.is_snapshot:
            if request.prev > self.same:
                self.same = self.length = request.prev
            self.answers.append(Answer(request.prev, True))
            return
        if request.prev > self.same:
            could_match = max(self.same, min(request.prev - 1, self.length))
            self.answers.append(Answer(request.prev, False, could_match))
            return
        if request.last > self.same:
            self.same = self.length = request.last
        self.answers.append(Answer(request.last, True))

    @precondition(lambda self: self.answers)
    @rule(at=st.integers(0, 20), again=st.booleans())
    def deliver_answer(self, at: int, again: bool) -> None:
        answer = self.answers[at % len(self.answers)]
        if not again:
            self.answers.remove(answer)
        made = self.progress
        if answer.accepted:
            moved = made.accepted(answer.index)
            assert moved is (answer.index > self.match)
            self.match = max(self.match, answer.index)
            self.under_way = [r for r in self.under_way if r.last > answer.index]
            if answer.index >= self.snapshot:
                self.snapshot = 0
        else:
            # A rejection is news of the one probe under way, or of what is not known to match.
            news = {
                ProgressState.PROBE: answer.index == made.next - 1,
                ProgressState.REPLICATE: answer.index > self.match,
                ProgressState.SNAPSHOT: False,
            }[made.state]
            assert made.rejected(answer.index, answer.could_match) is news
            if news:
                assert made.state is ProgressState.PROBE
                self.under_way = []

    @rule(requests=st.integers(0, 3), answers=st.integers(0, 3))
    def lose(self, requests: int, answers: int) -> None:
        """The newest."""
        del self.requests[len(self.requests) - requests :]
        del self.answers[len(self.answers) - answers :]

    @rule(
        counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
        size=st.integers(0, 60),
        ends=st.sampled_from(["sent", "received", "answered"]),
    )
    def exchange(self, counts: list[int], size: int, ends: str) -> None:
        """Some requests and their answers in the order they were sent, as it mostly is; or cut off
        in the middle."""
        self.heartbeat()
        sent = sum([self._send(count, size) for count in counts])
        if ends == "sent":
            return
        before = len(self.answers)
        for _ in range(sent):
            self.deliver_request(len(self.requests) - sent, again=False)
            sent -= 1
        while ends == "answered" and len(self.answers) > before:
            self.deliver_answer(before, again=False)

    @rule()
    def heartbeat(self) -> None:
        self.progress.heartbeat_answered(self.last)

    def teardown(self) -> None:
        """In the end the network is well again: all arrives, and nothing stays under way."""
        self.requests.clear()
        self.answers.clear()
        if self.snapshot:  # it was lost, and the leader waits no longer
            self.report_failed()
        for _ in range(self.last + 3):
            self.heartbeat()
            while self.progress.wants(self.last) and self._send(4, 10):
                pass
            while self.requests:
                self.deliver_request(0, again=False)
            while self.answers:
                self.deliver_answer(0, again=False)
            if self.progress.match == self.last:
                break
        assert self.progress.match == self.same == self.last
        assert self.under_way == []
        assert not self.progress.wants(self.last)

    # What must hold

    @invariant()
    def the_window_holds_what_is_under_way(self) -> None:
        made = self.progress
        assert made.inflight_messages == len(self.under_way) <= MESSAGES_MAX
        size = sum(request.size for request in self.under_way)
        assert made.inflight_bytes == size
        assert size <= BYTES_MAX or len(self.under_way) == 1

    @invariant()
    def one_snapshot_is_under_way_and_then_nothing_else(self) -> None:
        made = self.progress
        assert (made.state is ProgressState.SNAPSHOT) is bool(self.snapshot)
        assert made.snapshot_index == self.snapshot
        assert not (self.snapshot and self.under_way)

    @invariant()
    def nothing_is_believed_that_is_not_so(self) -> None:
        made = self.progress
        assert made.match == self.match <= self.same
        assert made.match < made.next <= self.last + 1


ProgressTwin.TestCase.settings = LIVES
TestProgressTwin = ProgressTwin.TestCase
