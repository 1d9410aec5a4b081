"""The settings of one group's core."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cluster.raft.lease import LeaseConfig

_KIB = 1 << 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """Times in ticks, sizes in bytes of payload. Raises ValueError where the values do not fit."""

    heartbeat_ticks: int = 2
    """Between two heartbeats of a leader."""
    election_ticks_min: int = 12
    """How long a follower protects the leader it heard, a leader goes on without hearing a majority
    and a transfer of leadership may take; the shortest election timeout."""
    election_ticks_max: int = 24
    """The longest election timeout; each is drawn anew between the two."""
    inflight_messages_max: int = 128
    """AppendRequests with entries that one follower has not yet acknowledged."""
    inflight_bytes_max: int = 16 * _MIB
    """Payload in them. One entry larger than this travels alone."""
    append_bytes_max: int = _MIB
    """Payload of one AppendRequest. One entry larger than this travels alone."""
    uncommitted_bytes_max: int = 64 * _MIB
    """Proposals of the term that wait for their commit. Beyond: TooManyUncommitted."""
    committed_bytes_max: int = 256 * _KIB
    """Payload of `Ready.committed`. One entry larger than this comes alone. A host applies what all
    its groups hand out in one go: it is this small so that a restart, which replays, neither holds
    much of the log in memory nor keeps the host from its other work."""
    reads_waiting_max: int = 16 * _KIB
    """Reads that wait for their confirmation. Beyond: TooManyReads."""
    snapshot_ticks_max: int = 1200
    """How long a leader waits for a snapshot's receiver to acknowledge it before it sends another,
    if the host does not say earlier that it failed."""
    promotion_lag_max: int = 1024
    """Entries that a learner may lack when it is made a voter. Beyond: LearnerNotReady."""
    lease: LeaseConfig | None = None
    """Serve reads by lease (lease.py); None: by ReadIndex alone. The same for all of a group."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "lease" and value < 1:
                raise ValueError(f"{field.name} is {value}; it has to be 1 or more")
        if not 2 * self.heartbeat_ticks < self.election_ticks_min < self.election_ticks_max:
            raise ValueError(
                "two heartbeats have to fit in the shortest election timeout, and that has to be "
                f"less than the longest: heartbeat {self.heartbeat_ticks}, election "
                f"{self.election_ticks_min} to {self.election_ticks_max} ticks"
            )
        if self.inflight_bytes_max < self.append_bytes_max:
            raise ValueError(
                f"inflight_bytes_max ({self.inflight_bytes_max}) has to hold one AppendRequest "
                f"(append_bytes_max is {self.append_bytes_max})"
            )
