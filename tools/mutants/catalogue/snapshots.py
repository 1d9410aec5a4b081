"""Mistakes with snapshots and compaction (dissertation chapter 5)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_FOLLOWER: Final = "cluster/raft/follower.py"
_LEADER: Final = "cluster/raft/leader.py"
_LOG: Final = "cluster/raft/log.py"
_PROGRESS: Final = "cluster/raft/progress.py"
_REPLICATION: Final = "cluster/raft/replication.py"

SNAPSHOTS: Final = (
    Mutation(
        name="install-drops-matching-suffix",
        area=Area.SNAPSHOTS,
        mistake="A snapshot that ends inside a log that matches it replaces all of that log, and"
        " entries go that were acknowledged.",
        seen="dissertation 5.3: retain log entries following it",
        path=_FOLLOWER,
        old="""\
        if log.matches(index, snapshot.term):
            log.commit_to(index)
""",
        new="""\
        if log.matches(index, snapshot.term) and index == log.last_index:
            log.commit_to(index)
""",
    ),
    Mutation(
        name="install-keeps-conflicting-log",
        area=Area.SNAPSHOTS,
        mistake="A log that is long enough is kept, though its entry at the snapshot's end is of"
        " another term.",
        seen="hashicorp/raft#697",
        path=_FOLLOWER,
        old="""\
        if log.matches(index, snapshot.term):
            log.commit_to(index)
""",
        new="""\
        if index <= log.last_index:
            log.commit_to(index)
""",
    ),
    Mutation(
        name="configuration-of-snapshot-not-in-force",
        area=Area.SNAPSHOTS,
        mistake="After a snapshot a replica goes on with the configuration it had before.",
        seen="databendlabs/openraft#1808",
        path=_FOLLOWER,
        old="""\
            log.restore(snapshot)
            state.follow_log()
""",
        new="""\
            log.restore(snapshot)
""",
    ),
    Mutation(
        name="uncommitted-configuration-in-snapshot",
        area=Area.SNAPSHOTS,
        mistake="A snapshot carries the configuration in force, not the one of its last entry.",
        seen="canonical/raft#250",
        path=_REPLICATION,
        old="""\
        snapshot = SnapshotMeta(index, log.term(index), log.configurations.at(index))
""",
        new="""\
        snapshot = SnapshotMeta(index, log.term(index), log.configurations.current)
""",
    ),
    Mutation(
        name="configurations-not-restored",
        area=Area.SNAPSHOTS,
        mistake="A snapshot leaves the configurations of the log that it replaces.",
        seen="joint configuration lost on restore",
        path=_LOG,
        old="""\
        self.last_term = snapshot.term
        self.configurations.restart(snapshot.index, snapshot.configuration)
""",
        new="""\
        self.last_term = snapshot.term
        if snapshot.index > self.configurations.current_index:
            self.configurations.restart(snapshot.index, snapshot.configuration)
""",
    ),
    Mutation(
        name="snapshot-of-what-is-not-applied",
        area=Area.SNAPSHOTS,
        mistake="A snapshot claims all that is committed, and holds what is applied.",
        seen="etcd-io/etcd#10063: two positions taken for one",
        path=_REPLICATION,
        old="""\
        index = log.applied
""",
        new="""\
        index = log.commit
""",
    ),
    Mutation(
        name="snapshot-sent-with-every-heartbeat",
        area=Area.SNAPSHOTS,
        mistake="While one snapshot is under way another is sent whenever its receiver answers.",
        seen="camunda/camunda#46345; snapshots in a loop",
        path=_REPLICATION,
        old="""\
        if progress.state is ProgressState.SNAPSHOT or not progress.wants(log.last_index):
""",
        new="""\
        if not progress.wants(log.last_index):
""",
    ),
    Mutation(
        name="late-acknowledgement-ends-snapshot",
        area=Area.SNAPSHOTS,
        mistake="An acknowledgement of before ends the wait for a snapshot, and the next one goes.",
        seen="dissertation 5.3; two snapshots in quick succession",
        path=_PROGRESS,
        old="""\
        elif index >= self.snapshot_index:
""",
        new="""\
        elif moved or index >= self.snapshot_index:
""",
    ),
    Mutation(
        name="lost-snapshot-waited-for",
        area=Area.SNAPSHOTS,
        mistake="A snapshot that was lost is waited for until the leader goes.",
        seen="etcd-io/etcd#7042; hashicorp/raft#212",
        path=_LEADER,
        old="""\
        self._replication.expire_snapshots(self._now)
""",
        new="",
    ),
    Mutation(
        name="old-news-fails-the-new-snapshot",
        area=Area.SNAPSHOTS,
        mistake="The failure of an earlier snapshot is taken for that of the one under way.",
        seen="two snapshots in quick succession",
        path=_LEADER,
        old="""\
        if progress is not None and index and progress.snapshot_index == index:
""",
        new="""\
        if progress is not None and index and progress.snapshot_index:
""",
    ),
    Mutation(
        name="campaigns-while-installing",
        area=Area.SNAPSHOTS,
        mistake="A replica campaigns while the state that its log begins with is not there.",
        seen="dissertation 5.3; leaders that need what they have compacted",
        path="cluster/raft/state.py",
        old="""\
        return self.has_vote and not self.log.is_installing
""",
        new="""\
        return self.has_vote
""",
    ),
    Mutation(
        name="snapshot-acknowledged-before-installed",
        area=Area.SNAPSHOTS,
        mistake="Where a longer log was persisted, a snapshot in its place counts as persisted.",
        seen="cockroachdb/cockroach#124440; reply before sync",
        path=_LOG,
        old="""\
        self.persisted = min(self.persisted, self.commit)
        for record in self._in_flight:
""",
        new="""\
        for record in self._in_flight:
""",
    ),
    Mutation(
        name="old-write-confirms-snapshot",
        area=Area.SNAPSHOTS,
        mistake="The end of a write of entries that a snapshot replaced confirms what follows it.",
        seen="cockroachdb/cockroach#124440: the ABA problem of asynchronous log writes",
        path=_LOG,
        old="""\
        for record in self._in_flight:
            record[1] = min(record[1], self.commit)
        self._unstable.clear()
""",
        new="""\
        self._unstable.clear()
""",
    ),
    Mutation(
        name="apply-that-a-snapshot-overtook",
        area=Area.SNAPSHOTS,
        mistake="News of entries applied that come after a snapshot was installed stop the node.",
        seen="compaction races with apply",
        path=_LOG,
        old="""\
            if index <= self._installed:
                return
""",
        new="",
    ),
    Mutation(
        name="one-entry-too-many-is-skipped",
        area=Area.SNAPSHOTS,
        mistake="Of a request that begins in the compacted part one entry too many is skipped.",
        seen="databendlabs/openraft#511",
        path=_FOLLOWER,
        old="""\
        behind = log.first_index() - 1 - request.prev_index
""",
        new="""\
        behind = log.first_index() - request.prev_index
""",
    ),
    Mutation(
        name="compacted-prefix-is-a-conflict",
        area=Area.SNAPSHOTS,
        mistake="A request that begins in the compacted part is rejected: what precedes it cannot"
        " be compared.",
        seen="databendlabs/openraft#511",
        path=_FOLLOWER,
        old="""\
        if index < log.first_index() - 1:
            return True
""",
        new="""\
        if index < log.first_index() - 1:
            return False
""",
    ),
    Mutation(
        name="snapshot-to-a-silent-peer",
        area=Area.SNAPSHOTS,
        mistake="A snapshot is sent to a peer that is not there, again and again.",
        seen="etcd-io/raft: snapshots only to recently active members",
        path=_REPLICATION,
        old="""\
        if now - progress.heard_at >= state.config.election_ticks_min:
            return
""",
        new="",
    ),
)
