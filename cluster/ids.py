"""The identities that every part of the cluster speaks of."""

from __future__ import annotations

from typing import Final, NewType

NodeId = NewType("NodeId", str)
"""The name an operator gives a node, such as "n1"."""

ReplicaId = NewType("ReplicaId", int)
"""One life of a node's data, from 1. Given by the meta group and never reused, so that a node that
lost its data cannot be mistaken for the one that voted before. The same in every group."""

GroupId = NewType("GroupId", int)
"""A Raft group: 0 is the meta group, partition i is group i + 1."""

PartitionId = NewType("PartitionId", int)
"""A partition: 0 to P - 1."""

Term = NewType("Term", int)
"""A Raft term; 0 before the first election."""

Index = NewType("Index", int)
"""A position in a group's log; the first entry is 1, and 0 is before it."""

META_GROUP: Final = GroupId(0)


def group_of(partition: PartitionId) -> GroupId:
    """The Raft group that replicates `partition`."""
    return GroupId(partition + 1)


def partition_of(group: GroupId) -> PartitionId:
    """The partition that `group` replicates; `group` is not the meta group."""
    return PartitionId(group - 1)
