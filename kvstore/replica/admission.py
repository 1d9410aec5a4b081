"""The door of the host: how much may be under way, who is turned away, and until when.

Requests that cannot be served are refused at once and definitely; those that are taken are
answered at the latest when they expire, before their caller gives up.

Nobody fills it alone. A connection, and a partition, may have no more under way than is left for
others (dynamic thresholds: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
packet switches", 1998): one that is greedy gets half of the room, three get a quarter each, and
whoever comes next finds as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cluster.ids import ReplicaId
from cluster.membership import PeerContacts
from cluster.raft.quorum import is_majority
from kvstore.replica.replica import UNSETTLED, Replica
from kvstore.replica.requests import Answer, Request, Status, WriteRequest

DRAIN_TICKS_MAX: Final = 20
"""No caller is told to stay away for longer."""
PARTITION_REQUESTS_MIN: Final = 64
"""So many of one partition are no reason to turn anybody away."""
_PACE_SHARE: Final = 1 / 8
"""Of the last tick in the pace at which requests leave."""

STOPPED: Final = Answer(Status.UNAVAILABLE, detail="this node takes no further part")


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Of what is under way on one node until it is answered."""

    requests_max: int = 16_384
    bytes_max: int = 64 << 20


@dataclass(slots=True)
class _Share:
    """What one connection has under way."""

    requests: int = 0
    bytes: int = 0


class Admission:
    """See the module. Time is in ticks."""

    __slots__ = (
        "_contacts",
        "_expiring",
        "_left",
        "_pace",
        "_shares",
        "_silence_ticks_max",
        "_ticks",
        "bytes",
        "limits",
        "me",
        "requests",
    )

    def __init__(
        self,
        me: ReplicaId,
        contacts: PeerContacts,
        limits: AdmissionLimits,
        silence_ticks_max: int,
    ) -> None:
        self.me: Final = me
        """This node's replicas."""
        self._contacts = contacts
        self.limits: Final = limits
        self._silence_ticks_max = silence_ticks_max
        self.requests = 0
        """How many were counted in and not yet out."""
        self.bytes = 0
        """Their size."""
        # By connection, while there is anything.
        self._shares: dict[str, _Share] = {}
        self._left = 0
        """Requests, since the last tick."""
        self._pace = 0.0
        """Requests that leave in a tick, an average in which what is long ago fades."""
        self._ticks = 0
        # By the tick at which they expire; settled requests hold no payload while they stay here.
        self._expiring: dict[int, list[Request]] = {}

    def enter(self, peer: str, requests: int, size: int) -> str | None:
        """Counts a batch of the connection `peer` in, or says why there is no room for it. A batch
        alone always fits."""
        limits = self.limits
        share = self._shares.get(peer)
        if self.requests and self.requests + requests > limits.requests_max:
            return f"{self.requests} requests are under way; the limit is {limits.requests_max}"
        if self.requests and self.bytes + size > limits.bytes_max:
            return f"{self.bytes} bytes are under way; the limit is {limits.bytes_max}"
        if share is None:
            share = self._shares[peer] = _Share()
        elif (
            share.requests + requests > limits.requests_max - self.requests
            or share.bytes + size > limits.bytes_max - self.bytes
        ):
            return (
                f"{share.requests} requests, {share.bytes} bytes, of this connection are under way,"
                f" and with this batch it would have more than is left for others, of"
                f" {limits.requests_max} requests and {limits.bytes_max} bytes in all"
            )
        share.requests += requests
        share.bytes += size
        self.requests += requests
        self.bytes += size
        return None

    def leave(self, peer: str, requests: int, size: int) -> None:
        """Counts a batch out that was counted in."""
        share = self._shares[peer]
        share.requests -= requests
        share.bytes -= size
        if not share.requests and not share.bytes:
            del self._shares[peer]
        self.requests -= requests
        self.bytes -= size
        self._left += requests

    def is_greedy(self, replica: Replica) -> bool:
        """Whether the partition of `replica` has more requests under way than are left for others:
        those of one that lost its majority wait until they expire."""
        under_way = replica.requests
        return under_way >= PARTITION_REQUESTS_MIN and (
            under_way > self.limits.requests_max - self.requests
        )

    def drains_in_ticks(self) -> int:
        """When half of what is under way will have left, at the pace of late: from 1 to
        DRAIN_TICKS_MAX. Who was refused comes back then, and finds room."""
        half = (self.requests + 1) // 2
        if half >= self._pace * DRAIN_TICKS_MAX:
            return DRAIN_TICKS_MAX
        return max(1, round(half / self._pace))

    def expire_in(self, request: Request, ticks: int) -> None:
        """Answers `request` after that many ticks, if nothing else has."""
        self._expiring.setdefault(self._ticks + max(1, ticks), []).append(request)

    def tick(self) -> None:
        """Answers what expires now."""
        self._ticks += 1
        self._pace += (self._left - self._pace) * _PACE_SHARE
        self._left = 0
        for request in self._expiring.pop(self._ticks, ()):
            if isinstance(request, WriteRequest) and request.is_proposed:
                request.settle(UNSETTLED)
            else:
                request.settle(Answer(Status.UNAVAILABLE, detail="no majority answered in time"))

    def refusal(self, replica: Replica | None) -> Answer:
        """Why a request for `replica`, which does not lead, is not taken, and who may take it."""
        if replica is None:
            return Answer(Status.NOT_LEADER, detail="this node has no replica of the partition")
        leader = replica.core.leader
        if leader is not None and not self.is_silent(leader):
            return Answer(Status.NOT_LEADER, leader=leader)
        reached = self.reachable_voters(replica, self._silence_ticks_max)
        voters = len(replica.voters)
        return Answer(
            Status.UNAVAILABLE,
            detail=f"group {replica.group} has no leader; {reached} of {voters} replicas answer",
        )

    def silence_ticks(self, peer: ReplicaId) -> int:
        """For how long nothing has come from `peer`; 0 for this node itself."""
        return 0 if peer == self.me else self._contacts.silent_ticks(peer)

    def is_silent(self, peer: ReplicaId) -> bool:
        """Whether nothing has come from `peer` for so long that it may be gone."""
        return self.silence_ticks(peer) > self._silence_ticks_max

    def reaches_majority(self, replica: Replica, within_ticks: int) -> bool:
        """Whether enough voters for a commit were heard within that time."""
        return is_majority(
            replica.core.configuration,
            lambda voter: self._contacts.is_reachable(voter, within_ticks + 1),
        )

    def reachable_voters(self, replica: Replica, within_ticks: int) -> int:
        """How many of the group's voters, this one included, were heard within that time."""
        return self._contacts.reachable(replica.voters, within_ticks + 1)
