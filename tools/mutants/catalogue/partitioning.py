"""Mistakes in partitioning, the map and node identities."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

PARTITIONING: Final = (
    Mutation(
        name="empty-tag-is-a-tag",
        area=Area.PARTITIONING,
        mistake="Keys with `{}` all hash as the empty key, and fall into one partition.",
        seen="the rules of Redis Cluster's hash tags",
        path="kvstore/codec/routing.py",
        old="""\
    if closing <= opening + 1:  # missing, or an empty tag
""",
        new="""\
    if closing <= opening:
""",
    ),
    Mutation(
        name="ranges-rounded-down",
        area=Area.PARTITIONING,
        mistake="A range begins one hash before what the look-up puts there, where the number of"
        " partitions is no power of two.",
        seen="two ways to one number",
        path="cluster/partition/ranges.py",
        old="""\
    return -(-(partition << HASH_BITS) // partitions)
""",
        new="""\
    return (partition << HASH_BITS) // partitions
""",
    ),
    Mutation(
        name="epoch-stays",
        area=Area.PARTITIONING,
        mistake="A new map has the epoch of the old one: nobody takes it over.",
        seen="stale metadata",
        path="cluster/partition/meta.py",
        old="""\
    return MetaResult(replace(state, epoch=state.epoch + 1, partitions=partitions), Effect.CHANGED)
""",
        new="""\
    return MetaResult(replace(state, partitions=partitions), Effect.CHANGED)
""",
    ),
    Mutation(
        name="gathers-what-is-not-held",
        area=Area.PARTITIONING,
        mistake="Leaders are gathered on a node that does not hold all partitions: the command is"
        " refused as a whole, and asked for until the time is up.",
        seen="what a node does not hold stays where it is",
        path="cluster/partition/placement.py",
        old="""\
        if replica in info.replicas and info.preferred_leader != replica
""",
        new="""\
        if info.preferred_leader != replica
""",
    ),
    Mutation(
        name="half-a-command-takes-effect",
        area=Area.PARTITIONING,
        mistake="A command with one wrong leader changes those before it.",
        seen="a command takes effect as a whole or not at all",
        path="cluster/partition/meta.py",
        old="""\
        if leader not in info.replicas:
            return _refused(
                state,
""",
        new="""\
        if leader not in info.replicas:
            return _refused(
                replace(
                    state,
                    partitions=tuple(changed.get(one.partition, one) for one in state.partitions),
                ),
""",
    ),
    Mutation(
        name="second-bootstrap-counts",
        area=Area.PARTITIONING,
        mistake="A second first map of the same cluster replaces the one it began with.",
        seen="several nodes propose the same: the first one counts",
        path="cluster/partition/meta.py",
        old="""\
    if state is not None:
        reason = f"cluster {state.cluster_id} has already begun"
""",
        new="""\
    if state is not None and state.cluster_id != command.map.cluster_id:
        reason = f"cluster {state.cluster_id} has already begun"
""",
    ),
    Mutation(
        name="identity-of-a-wiped-node-kept",
        area=Area.PARTITIONING,
        mistake="A data directory takes over another replica id: who lost its log votes again"
        " under the id that already voted.",
        seen="an id used again after a wipe splits quorums",
        path="kvstore/data_directory.py",
        old="""\
            if (known.cluster_id, known.replica_id) == (cluster_id, replica_id):
                return
""",
        new="""\
            if known.cluster_id == cluster_id:
                return
""",
    ),
    Mutation(
        name="identity-renamed-before-sync",
        area=Area.PARTITIONING,
        mistake="A data directory's identity gets its name before it is on stable storage.",
        seen="ext4 and the rename without fsync",
        path="kvstore/sealed_file.py",
        old="""\
        file.pwritev((content,), 0)
        file.sync()
""",
        new="""\
        file.pwritev((content,), 0)
""",
    ),
    Mutation(
        name="peer-never-heard-is-reachable",
        area=Area.PARTITIONING,
        mistake="A peer that was never heard of counts as heard when it began to be watched.",
        seen="failure detectors that begin optimistic",
        path="cluster/membership.py",
        old="""\
        at = self._heard_at.get(replica)
""",
        new="""\
        at = self._silent_since.get(replica)
""",
    ),
)
