"""What a replica tells of itself to operators and to its host."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.leader import Leader
from cluster.raft.progress import ProgressState
from cluster.raft.ready import Role
from cluster.raft.state import ReplicaState


@dataclass(slots=True, unsafe_hash=True)  # not frozen for the reason given in messages.py
class PeerStatus:
    """A follower, as its leader sees it."""

    replica: ReplicaId
    match: Index
    """It has persisted the leader's log up to here."""
    lag: int
    """Entries that it has not acknowledged."""
    active: bool
    """It was heard within the shortest election timeout; not while the group is quiet."""
    state: ProgressState
    """How entries are sent to it."""
    inflight_messages: int
    inflight_bytes: int
    snapshot_index: Index | None
    """A snapshot of this place is under way to it. Were the leader's log compacted above, the
    follower would need another snapshot at once."""


@dataclass(slots=True, unsafe_hash=True)  # not frozen for the reason given in messages.py
class Status:
    """One replica at one moment."""

    replica: ReplicaId
    role: Role
    term: Term
    vote: ReplicaId | None
    leader: ReplicaId | None
    commit: Index
    applied: Index
    persisted: Index
    first_index: Index
    """Of what the log holds; what is below was compacted."""
    last_index: Index
    is_installing: bool
    """A snapshot is being installed."""
    is_quiet: bool
    transfer_to: ReplicaId | None
    """Leadership is being handed to this replica."""
    uncommitted_bytes: int
    reads_waiting: int
    configuration: Configuration
    """The latest in the log, committed or not."""
    peers: tuple[PeerStatus, ...]
    """Empty unless this replica leads."""


def status_of(state: ReplicaState, leader: Leader | None) -> Status:
    """The status of the replica with `state`, which is `leader` if it leads."""
    log = state.log
    return Status(
        replica=state.replica,
        role=state.role,
        term=state.term,
        vote=state.vote,
        leader=state.leader,
        commit=log.commit,
        applied=log.applied,
        persisted=log.persisted,
        first_index=log.first_index(),
        last_index=log.last_index,
        is_installing=log.is_installing,
        is_quiet=state.quiet,
        transfer_to=None if leader is None else leader.transfer_to,
        uncommitted_bytes=0 if leader is None else leader.uncommitted_bytes,
        reads_waiting=0 if leader is None else leader.reads_waiting,
        configuration=state.configuration,
        peers=() if leader is None else _peers(state, leader),
    )


def _peers(state: ReplicaState, leader: Leader) -> tuple[PeerStatus, ...]:
    log = state.log
    return tuple(
        [
            PeerStatus(
                replica=peer,
                match=Index(progress.match),
                lag=log.last_index - progress.match,
                active=leader.is_active(peer),
                state=progress.state,
                inflight_messages=progress.inflight_messages,
                inflight_bytes=progress.inflight_bytes,
                snapshot_index=Index(progress.snapshot_index) if progress.snapshot_index else None,
            )
            for peer, progress in leader.progress.items()
        ]
    )
