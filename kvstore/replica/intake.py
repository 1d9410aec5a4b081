"""Requests of clients: taken in where their group is led, and handed to its core.

From then on they wait in their replica for what the core says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.ids import GroupId
from cluster.raft.ready import Ready
from kvstore.replica.admission import STOPPED, Admission
from kvstore.replica.agenda import Agenda
from kvstore.replica.leadership_checks import LeadershipChecks
from kvstore.replica.participation import Participation
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from kvstore.replica.space import Space, SpaceWatch


class Intake:
    """See the module."""

    __slots__ = (
        "_admission",
        "_agenda",
        "_checks",
        "_clock_ms",
        "_majority_within_ticks",
        "_next_context",
        "_open_write_ticks",
        "_participation",
        "_replicas",
        "_space",
        "_writers",
    )

    def __init__(
        self,
        *,
        replicas: Mapping[GroupId, Replica],
        admission: Admission,
        agenda: Agenda,
        checks: LeadershipChecks,
        participation: Participation,
        space: SpaceWatch,
        clock_ms: Callable[[Replica], int],
        majority_within_ticks: int,
        open_write_ticks: int,
    ) -> None:
        """`clock_ms`: what time it is in the partition of a replica that leads.
        `majority_within_ticks`: how long ago a majority may have been heard last, for writes to
        be proposed. `open_write_ticks`: how long a proposed one waits for what becomes of it, once
        leadership is lost."""
        self._replicas = replicas
        self._admission = admission
        self._agenda = agenda
        self._checks = checks
        self._participation = participation
        self._space = space
        self._clock_ms = clock_ms
        self._majority_within_ticks = majority_within_ticks
        self._open_write_ticks = open_write_ticks
        # The groups with waiting writes, in the order in which they came.
        self._writers: dict[GroupId, Replica] = {}
        self._next_context = 1

    @property
    def has_writes(self) -> bool:
        """Whether writes wait to be proposed."""
        return bool(self._writers)

    def write(self, group: GroupId, request: WriteRequest, expires_in_ticks: int) -> None:
        """Takes a command that was checked; answers it at the latest when it expires."""
        replica = self._led(group, request)
        if replica is None:
            return
        if self._space.space is not Space.ENOUGH:
            request.settle(self._out_of_space())
            return
        self._admission.expire_in(request, expires_in_ticks)
        replica.waiting_writes.append(request)
        self._writers[group] = replica
        self._agenda.schedule()

    def read(self, group: GroupId, request: ReadRequest, expires_in_ticks: int) -> None:
        """Takes a linearizable read; answers it at the latest when it expires."""
        replica = self._led(group, request)
        if replica is None:
            return
        self._admission.expire_in(request, expires_in_ticks)
        replica.waiting_reads.append(request)
        self._agenda.touch(replica)

    def refuse_writes(self) -> None:
        """Refuses the writes that were taken in and not proposed: there is no room for them."""
        for replica in self._writers.values():
            replica.refuse_writes(self._out_of_space())
        self._writers.clear()

    def propose(self) -> None:
        """Proposes for every group with waiting writes that has a majority within reach.

        Without one the writes wait: should the leader step down, they can still be refused as
        certainly not applied.
        """
        for group, replica in list(self._writers.items()):
            if self._admission.reaches_majority(replica, self._majority_within_ticks):
                replica.propose_waiting(self._clock_ms)
                if replica.core.has_ready:
                    self._agenda.touch(replica)
            if not replica.waiting_writes:
                del self._writers[group]

    def ask(self, replica: Replica) -> None:
        """Has all waiting reads of `replica` confirmed together."""
        if replica.waiting_reads:
            replica.ask_waiting_reads(self._next_context)
            self._next_context += 1
            self._checks.begin(replica)

    def on_ready(self, replica: Replica, ready: Ready) -> None:
        """Takes what a bundle of `replica` says of its requests: reads confirmed, or leadership
        lost."""
        for request in replica.on_ready(ready):
            self._admission.expire_in(request, self._open_write_ticks)

    def _led(self, group: GroupId, request: WriteRequest | ReadRequest) -> Replica | None:
        """The replica of `group` if it leads; else None, and `request` is refused."""
        replica = self._replicas.get(group)
        if self._participation.is_over:
            request.settle(STOPPED)
            return None
        if replica is None or not replica.is_leader:
            request.settle(self._admission.refusal(replica))
            return None
        if self._admission.is_greedy(replica):
            said = f"{replica.requests} requests for this partition are under way: try again"
            request.settle(Answer(Status.OVERLOADED, detail=said))
            return None
        return replica

    def _out_of_space(self) -> Answer:
        return Answer(Status.OVERLOADED, detail=self._space.reason)
