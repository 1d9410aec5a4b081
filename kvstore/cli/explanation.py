"""Where a key goes, and what a read of it would do now: drawn from what the nodes say. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import PartitionId
from cluster.partition.ranges import partition_of_hash, range_of_partition
from kvstore.client.status import ClusterStatus, GroupStatus
from kvstore.codec.routing import key_hash, routing_key


@dataclass(frozen=True, slots=True)
class Place:
    """How a key comes to its partition."""

    key: bytes
    tag: bytes | None
    """The part between braces that is hashed in place of the key; None: the whole key is."""
    hash: int
    partition: int
    partitions: int
    first: int
    last: int
    """The partition holds the hashes from `first` to `last`."""


@dataclass(frozen=True, slots=True)
class Member:
    """A replica of the partition as its node sees it."""

    node: str
    address: str
    role: str
    """leader, follower or down."""
    applied: int | None
    lag: int | None
    """Entries that it misses, by the leader's account; None: nobody can say."""
    problem: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """What a read at one level would do."""

    level: str
    asks: tuple[str, ...]
    """The nodes that may answer it now."""
    ready: bool | None
    """Whether it would be answered without waiting; None: depends on what the nodes do not say."""
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of it, as of about one moment."""

    place: Place
    group: GroupStatus
    members: tuple[Member, ...]
    reads: tuple[Read, ...]


def explain_key(
    key: bytes, status: ClusterStatus, min_index: int | None, max_staleness_s: float | None
) -> Explanation:
    """`min_index` is what a session has seen of the partition; None: there is no token."""
    place = place_of(key, len(status.partitions))
    group = status.partitions[place.partition]
    members = _members(status, group)
    reads = (
        _linearizable(group, members),
        _session(members, min_index),
        _stale(group, members, max_staleness_s),
    )
    return Explanation(place, group, members, reads)


def place_of(key: bytes, partitions: int) -> Place:
    """The route of `key` where there are so many partitions."""
    hashed = routing_key(key)
    number = key_hash(key)
    partition = partition_of_hash(number, partitions)
    first, end = range_of_partition(PartitionId(partition), partitions)
    tag = None if hashed == key else hashed
    return Place(key, tag, number, partition, partitions, first, end - 1)


def _members(status: ClusterStatus, group: GroupStatus) -> tuple[Member, ...]:
    nodes = {node.node_id: node for node in status.nodes}
    lags, applied = group.lag or {}, group.applied or {}
    members = []
    for name in group.replicas:
        node = nodes[name]
        role = "leader" if name == group.leader else "follower"
        members.append(
            Member(
                name,
                node.address,
                role if node.is_reachable else "down",
                applied.get(name),
                0 if name == group.leader else lags.get(name),
                node.problem,
            )
        )
    return tuple(members)


def _linearizable(group: GroupStatus, members: tuple[Member, ...]) -> Read:
    needed = len(members) // 2 + 1
    up = len(_up(members))
    if group.leader is None:
        why = "no node that answered leads the partition; a read waits for one until its timeout"
        return Read("linearizable", (), False, why)
    if up < needed:
        why = (
            f"{group.leader} leads, but {needed} of {len(members)} replicas have to confirm that "
            f"and {up} answered; a read waits for more until its timeout"
        )
        return Read("linearizable", (group.leader,), False, why)
    why = (
        f"{group.leader} leads: it makes sure of that with {needed} of {len(members)} replicas "
        "(ReadIndex), and answers when it has applied all that was committed before"
    )
    return Read("linearizable", (group.leader,), True, why)


def _session(members: tuple[Member, ...], min_index: int | None) -> Read:
    least = min_index or 0
    able = tuple(m.node for m in _up(members) if m.applied is not None and m.applied >= least)
    if not able and not least:
        return Read("session", (), False, "no replica answered")
    if not least:
        seen = "there is no token" if min_index is None else "the token has nothing of it"
        why = f"{seen}: a session that has seen nothing of the partition takes any replica's state"
        return Read("session", able, True, why)
    if not able:
        why = (
            f"the token asks for index {least}, which no replica that answered has applied; a read "
            "waits for one until its timeout"
        )
        return Read("session", (), False, why)
    behind = [m.node for m in members if m.node not in able]
    others = f"; {', '.join(behind)} cannot now" if behind else ""
    return Read("session", able, True, f"the token asks for index {least} or later{others}")


def _stale(group: GroupStatus, members: tuple[Member, ...], max_staleness_s: float | None) -> Read:
    up = tuple(m.node for m in _up(members))
    bound = "--max-staleness" if max_staleness_s is None else f"{max_staleness_s:g} s"
    if not up:
        return Read("stale", (), False, "no replica answered")
    if group.leader is None or len(up) < len(members) // 2 + 1:
        why = (
            f"only a replica that heard of a leader in the last {bound} answers: none can be asked"
        )
        return Read("stale", up, None, why)
    why = f"any replica; one that last heard of the leader more than {bound} ago asks it first"
    return Read("stale", up, True, why)


def _up(members: tuple[Member, ...]) -> list[Member]:
    return [member for member in members if member.role != "down"]
