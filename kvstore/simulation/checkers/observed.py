"""What checkers see of nodes: as little as they need, and nothing that they could change.

Each method and attribute is that of the same name of what the class stands for, in `cluster.raft`,
`kvstore.replica`, `kvstore.storage` and `kvstore.commitlog`.
"""

# ruff: noqa: D102 - see above

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Protocol

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft import Configuration, RaftConfig, Status
from cluster.raft.messages import Entry
from cluster.raft.ready import Role
from kvstore.replica.admission import Admission
from kvstore.replica.log_pipeline import LogPipeline


class Core(Protocol):
    """A Raft core."""

    @property
    def term(self) -> Term: ...
    @property
    def configuration(self) -> Configuration: ...
    def glance(self) -> tuple[Role, Term, ReplicaId | None, Index, Index]: ...
    def status(self) -> Status: ...


class Log(Protocol):
    """A group's log as the host holds it: what the core has handed out."""

    @property
    def cached_bytes(self) -> int: ...
    @property
    def cached_bytes_max(self) -> int: ...
    def first_index(self) -> Index: ...
    def last_index(self) -> Index: ...
    def glance(self) -> tuple[Index, Term]: ...
    def term(self, index: Index) -> Term: ...
    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]: ...


class Sessions(Protocol):
    """The sessions of a partition's clients."""

    def __len__(self) -> int: ...
    @property
    def results_max(self) -> int: ...


class State(Protocol):
    """A partition's applied state."""

    @property
    def applied_index(self) -> Index: ...
    @property
    def sessions_max(self) -> int: ...
    @property
    def sessions_read(self) -> Sessions | None: ...
    def fingerprint(self) -> int: ...


class Replica(Protocol):
    """A replica with its requests."""

    @property
    def core(self) -> Core: ...
    @property
    def log(self) -> Log: ...
    @property
    def state(self) -> State | None: ...
    @property
    def proposed(self) -> int: ...
    @property
    def waiting_writes(self) -> Sized: ...
    @property
    def waiting_reads(self) -> Sized: ...


class Scrubs(Protocol):
    """The comparisons of a node's replicas with others."""

    @property
    def readings(self) -> int: ...


class Host(Protocol):
    """All replicas of a node."""

    @property
    def config(self) -> RaftConfig: ...
    @property
    def replicas(self) -> Mapping[GroupId, Replica]: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def pipeline(self) -> LogPipeline: ...
    @property
    def scrubber(self) -> Scrubs: ...


class HardStates(Protocol):
    """The part of a commit log that says what it holds for good."""

    def latest(self, group: int, kind: int) -> bytes | None: ...


class Node(Protocol):
    """One life of a node."""

    @property
    def replica_id(self) -> ReplicaId: ...
    @property
    def host(self) -> Host: ...
    @property
    def commit_log(self) -> HardStates: ...
    def is_damaged(self, group: GroupId) -> bool: ...


class Cluster(Protocol):
    """Those nodes that run."""

    @property
    def nodes(self) -> Sequence[Node]: ...


def electorate(replica: Replica) -> tuple[frozenset[ReplicaId], ...]:
    """The sets of voters that `replica` needs a majority of: two while its configuration is joint
    (dissertation 4.3)."""
    configuration = replica.core.configuration
    if configuration.outgoing:
        return (configuration.voters, configuration.outgoing)
    return (configuration.voters,)


def is_alone(replica: Replica) -> bool:
    """Whether it decides by itself. It may then forget a term that nobody else has seen, and live
    through it again."""
    return all(len(voters) <= 1 for voters in electorate(replica))
