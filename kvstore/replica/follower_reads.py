"""Reads that any replica may serve from what it has applied: session reads and stale ones.

A *session read* names an index, and is served once that is applied. A *stale read* says how old the
state may be, and is served while the replica's point (`read_points`) is recent enough. Both are
served at once where that is possible. Otherwise the leader is asked, all reads that wait share the
question, and what cannot be served within a few ticks is refused as BEHIND: others may do better.

The age of a stale read counts up to the moment when the read came in. So one that waits for an
answer to a question that was asked since has age 0, and there is no bound that cannot be met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from cluster.ids import GroupId, Index
from kvstore.codec.read_level import with_age
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.codec.scan import Scan
from kvstore.replica.admission import STOPPED, Admission
from kvstore.replica.lookups import found
from kvstore.replica.read_points import PointExchange, Points, Read, Say
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Reply, Status
from kvstore.storage.partition_state import PartitionState

WAIT_TICKS_MORE: Final = 1
"""How long a read waits at the most, beside the time between two heartbeats."""


class SessionRead(ReadRequest):
    """Keys to look up, or a range to scan, in a state that has applied `min_index`."""

    __slots__ = ("min_index",)

    def __init__(
        self, reply: Reply, slot: int, question: list[bytes] | Scan, min_index: Index
    ) -> None:
        super().__init__(reply, slot, question)
        self.min_index: Final = min_index


class StaleRead(ReadRequest):
    """Keys to look up, or a range to scan, in a state that lacks only what was committed within
    `max_staleness_s` before the read came in."""

    __slots__ = ("came_s", "max_staleness_s")

    def __init__(
        self, reply: Reply, slot: int, question: list[bytes] | Scan, max_staleness_s: float
    ) -> None:
        super().__init__(reply, slot, question)
        self.max_staleness_s: Final = max_staleness_s
        self.came_s = 0.0
        """By this node's clock; set when it comes in."""


LevelRead = SessionRead | StaleRead


class _Waiting:
    """The reads of one replica that could not be served at once, with the ticks at which they are
    given up, and what is known of its age."""

    __slots__ = ("points", "reads")

    def __init__(self) -> None:
        self.points = Points()
        self.reads: list[tuple[int, LevelRead]] = []


class FollowerReads:
    """See the module. Replicas that nobody reads from in this way cost nothing."""

    __slots__ = (
        "_admission",
        "_catch_up",
        "_closed",
        "_exchange",
        "_groups",
        "_monotonic_s",
        "_replicas",
        "_ticks",
        "_wait_ticks",
    )

    def __init__(
        self,
        *,
        admission: Admission,
        replicas: Mapping[GroupId, Replica],
        heartbeat_ticks: int,
        monotonic_s: Callable[[], float],
        random: Random,
        read: Read,
        say: Say,
        catch_up: Callable[[GroupId], None],
    ) -> None:
        """`read` takes linearizable reads, by which this node answers others; `catch_up` applies
        what is committed here and was left for later."""
        self._admission = admission
        self._catch_up = catch_up
        self._replicas = replicas
        self._wait_ticks = heartbeat_ticks + WAIT_TICKS_MORE
        self._monotonic_s = monotonic_s
        self._exchange = PointExchange(
            admission=admission,
            replicas=replicas,
            random=random,
            read=read,
            answer_ticks=self._wait_ticks,
            say=say,
            on_answer=self._on_answer,
        )
        self._groups: dict[GroupId, _Waiting] = {}
        self._ticks = 0
        self._closed = False

    def read(self, group: GroupId, request: LevelRead, expires_in_ticks: int) -> None:
        """Takes a read; answers it within a few ticks, and at the latest when it expires."""
        replica = self._replicas.get(group)
        refusal = self._refusal(replica)
        if refusal is not None or replica is None or replica.state is None:
            request.settle(refusal or _NO_REPLICA)
            return
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = _Waiting()
        if isinstance(request, StaleRead):
            request.came_s = self._monotonic_s()
        if not self._serve_or_catch_up(replica.state, known.points, request):
            if self._exchange.ask(replica, known.points, self._monotonic_s(), self._ticks):
                within = max(1, min(self._wait_ticks, expires_in_ticks))
                known.reads.append((self._ticks + within, request))
            else:
                request.settle(_behind(replica.state, known.points, request, "knows no leader"))
        elif isinstance(request, StaleRead):
            as_of_s = known.points.asked_s
            if as_of_s is not None and request.came_s - as_of_s > request.max_staleness_s / 2:
                # Others will want a better one soon.
                self._exchange.ask(replica, known.points, self._monotonic_s(), self._ticks)

    def has_waiting(self, group: GroupId) -> bool:
        """Whether there are reads that wait until more is applied."""
        known = self._groups.get(group)
        return known is not None and bool(known.reads)

    def _serve_or_catch_up(self, state: PartitionState, points: Points, request: LevelRead) -> bool:
        """Answers `request`, perhaps from what was committed here and left for later."""
        if self._serve(state, points, request):
            return True
        before = state.applied_index
        self._catch_up(state.group)
        return state.applied_index > before and self._serve(state, points, request)

    def _refusal(self, replica: Replica | None) -> Answer | None:
        if self._closed:
            return STOPPED
        if replica is None:
            return _NO_REPLICA
        if self._admission.me not in replica.members:
            return _LEFT
        return _INSTALLING if replica.is_installing else None

    def receive(self, group: GroupId, message: PointQuestion | PointAnswer) -> None:
        """Takes what another node asks or answers."""
        self._exchange.receive(group, message)

    def on_applied(self, replica: Replica) -> None:
        """More is applied, or the state is another one."""
        known = self._groups.get(replica.group)
        if known is not None and replica.state is not None:
            known.points.advance(Index(replica.state.applied_index))
            if known.reads:
                self._serve_waiting(replica, known)

    def tick(self) -> None:
        """Time passes: what has waited long enough is refused."""
        self._ticks += 1
        for group, known in self._groups.items():
            replica = self._replicas.get(group) if known.reads else None
            if replica is not None:
                self._expire(replica, known)
                self._ask_for_waiting(replica, known)
            elif known.reads:
                _refuse_all(known, _NO_REPLICA)

    def close(self) -> None:
        """Refuses everything from now on."""
        self._closed = True
        for known in self._groups.values():
            _refuse_all(known, STOPPED)

    def _on_answer(self, group: GroupId, answer: PointAnswer) -> None:
        known = self._groups.get(group)
        replica = self._replicas.get(group)
        if known is None or replica is None or replica.state is None:
            return
        if not known.points.answered(answer.number, answer.index):
            return
        self._catch_up(group)
        if answer.index is None:
            reads, known.reads = known.reads, []
            for _, request in reads:
                request.settle(_behind(replica.state, known.points, request, "has lost its leader"))
            return
        known.points.advance(Index(replica.state.applied_index))
        self._serve_waiting(replica, known)
        newest_s = known.points.newest_s
        if any(_needs_later(request, newest_s) for _, request in known.reads):
            self._ask_for_waiting(replica, known)

    def _serve_waiting(self, replica: Replica, known: _Waiting) -> None:
        state, refusal = replica.state, self._refusal(replica)
        reads, known.reads = known.reads, []
        for expires, request in reads:
            if request.is_settled:
                continue
            if refusal is not None or state is None:
                request.settle(refusal or _NO_REPLICA)
            elif not self._serve(state, known.points, request):
                known.reads.append((expires, request))

    def _ask_for_waiting(self, replica: Replica, known: _Waiting) -> None:
        if known.reads:
            self._exchange.ask(replica, known.points, self._monotonic_s(), self._ticks)

    def _expire(self, replica: Replica, known: _Waiting) -> None:
        reads, known.reads = known.reads, []
        for expires, request in reads:
            if expires > self._ticks:
                known.reads.append((expires, request))
            elif replica.state is not None:
                problem = "the leader did not answer in time"
                request.settle(_behind(replica.state, known.points, request, problem))

    def _serve(self, state: PartitionState, points: Points, request: LevelRead) -> bool:
        """Answers `request` from `state` if that is new enough; else says no."""
        if isinstance(request, SessionRead):
            # A replica that has nothing yet would say of every key that there is none.
            if not 0 < state.applied_index >= request.min_index:
                return False
            result = found(state, request)
        else:
            age_s = _age_s(state, points, request)
            if age_s > request.max_staleness_s:
                return False
            result = with_age(math.ceil(age_s * 1000), found(state, request))
        where = state.applied_index, state.term, state.revision
        request.settle(Answer(Status.OK, result, "", None, *where))
        return True


def _refuse_all(known: _Waiting, answer: Answer) -> None:
    reads, known.reads = known.reads, []
    for _, request in reads:
        request.settle(answer)


def _needs_later(request: LevelRead, answered_s: float) -> bool:
    """Whether a question asked at `answered_s` is too old for it, whatever is applied."""
    return isinstance(request, StaleRead) and (
        request.came_s - answered_s > request.max_staleness_s
    )


def _age_s(state: PartitionState, points: Points, request: StaleRead) -> float:
    """How old the state was at most when `request` came in."""
    as_of_s = points.as_of_s(Index(state.applied_index))
    return math.inf if as_of_s is None else max(0.0, request.came_s - as_of_s)


def _behind(state: PartitionState, points: Points, request: LevelRead, problem: str) -> Answer:
    if isinstance(request, SessionRead):
        has = f"has applied entry {state.applied_index}, and {request.min_index} is asked for"
    else:
        age_s = _age_s(state, points, request)
        age = "of unknown age" if math.isinf(age_s) else f"up to {age_s:.3f} s old"
        has = f"has a state {age}, and {request.max_staleness_s:g} s is the most asked for"
    return Answer(Status.BEHIND, detail=f"this replica {has}; it {problem}")


_NO_REPLICA: Final = Answer(Status.UNAVAILABLE, detail="this node has no replica of the partition")
_LEFT: Final = Answer(
    Status.UNAVAILABLE, detail="this node's replica is no member of the partition's group"
)
_INSTALLING: Final = Answer(
    Status.UNAVAILABLE, detail="this replica is taking over a state from another one"
)
