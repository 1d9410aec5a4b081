"""Mistakes in membership changes: joint consensus, learners, removal (dissertation chapter 4)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_CONFIGURATIONS: Final = "cluster/raft/configurations.py"
_LEADER: Final = "cluster/raft/leader.py"
_LOG: Final = "cluster/raft/log.py"
_MEMBERSHIP: Final = "cluster/raft/membership.py"
_REPLICATION: Final = "cluster/raft/replication.py"
_STATE: Final = "cluster/raft/state.py"

MEMBERSHIP: Final = (
    Mutation(
        name="change-before-first-commit",
        area=Area.MEMBERSHIP,
        mistake="A leader begins a change once the last one is committed, before an entry of its"
        " own term is.",
        seen="Ongaro on raft-dev, 10 July 2015",
        path=_MEMBERSHIP,
        old="""\
        if log.commit < self._term_start:
            raise ChangeTooEarly(
""",
        new="""\
        if log.commit < log.configurations.current_index:
            raise ChangeTooEarly(
""",
    ),
    Mutation(
        name="second-change-before-commit",
        area=Area.MEMBERSHIP,
        mistake="A change begins while the one before it is not committed.",
        seen="dissertation 4.1; etcd-io/etcd#12359",
        path=_MEMBERSHIP,
        old="""\
        if held.current_index > log.commit:
""",
        new="""\
        if held.current_index > log.last_index:
""",
    ),
    Mutation(
        name="uncommitted-configuration-ignored-at-start",
        area=Area.MEMBERSHIP,
        mistake="A replica that starts takes over the configurations up to its commit index, not"
        " those behind it.",
        seen="andy-yx-chen/jraft#1; dissertation 4.1",
        path=_LOG,
        old="""\
        self.configurations.note(storage.membership_entries(Index(applied + 1), Index(last + 1)))
""",
        new="""\
        known = Index(self.commit + 1)
        self.configurations.note(storage.membership_entries(Index(applied + 1), known))
""",
    ),
    Mutation(
        name="follower-decides-by-committed-configuration",
        area=Area.MEMBERSHIP,
        mistake="A follower takes a configuration over when it is committed, not when it has it.",
        seen="dissertation 4.1; etcd-io/etcd#12359",
        path="cluster/raft/follower.py",
        old="""\
        if log.configurations.current is not state.configuration:
            state.follow_log()
        index = request.prev_index + len(request.entries)
        self._matched = max(self._matched, index)
        log.commit_to(Index(min(request.commit, index)))
""",
        new="""\
        index = request.prev_index + len(request.entries)
        self._matched = max(self._matched, index)
        log.commit_to(Index(min(request.commit, index)))
        if log.configurations.current_index <= log.commit:
            state.follow_log()
""",
    ),
    Mutation(
        name="cut-configuration-stays-in-force",
        area=Area.MEMBERSHIP,
        mistake="A configuration that a conflict cuts out of the log stays in force.",
        seen="canonical/raft#250",
        path=_LOG,
        old="""\
        if first <= self.configurations.current_index:
            self.configurations.cut(first)
""",
        new="""\
        if first < self.configurations.current_index:
            self.configurations.cut(first)
""",
    ),
    Mutation(
        name="removed-leader-leads-on",
        area=Area.MEMBERSHIP,
        mistake="A leader whose removal is committed by an acknowledgement goes on as before.",
        seen="dissertation 4.2.2; removed leaders that keep heart-beating",
        path="cluster/raft/roles.py",
        old="""\
            leader.on_append_response(response)
            if leader.has_left:
                self.step_down()
""",
        new="""\
            leader.on_append_response(response)
""",
    ),
    Mutation(
        name="removed-replica-never-campaigns",
        area=Area.MEMBERSHIP,
        mistake="Who is removed by an entry that is not committed yet does not campaign any more,"
        " though nobody else may be able to win.",
        seen="dissertation 4.2.2",
        path=_CONFIGURATIONS,
        old="""\
            if configuration.elects(replica):
                return True
            if index <= commit:
                return False
""",
        new="""\
            if configuration.elects(replica) or index <= commit or index > commit:
                return configuration.elects(replica)
""",
    ),
    Mutation(
        name="learner-campaigns",
        area=Area.MEMBERSHIP,
        mistake="A learner whose leader is silent campaigns.",
        seen="dissertation 4.2.1",
        path=_STATE,
        old="""\
        return log.configurations.elects(self.replica, log.commit)
""",
        new="""\
        return self.replica in log.configurations.current.members
""",
    ),
    Mutation(
        name="lagging-learner-promoted",
        area=Area.MEMBERSHIP,
        mistake="A learner becomes a voter as soon as it has anything at all.",
        seen="dissertation 4.2.1",
        path=_MEMBERSHIP,
        old="""\
        if lag > lag_max:
""",
        new="""\
        if lag > lag_max and not progress.match:
""",
    ),
    Mutation(
        name="unstarted-replica-promoted",
        area=Area.MEMBERSHIP,
        mistake="A replica becomes a voter without having been a learner: commits wait for it.",
        seen="dissertation 4.2.1; etcd-io/etcd: members added before they were started",
        path=_MEMBERSHIP,
        old="""\
        if progress is None:
            raise LearnerNotReady(f"replica {replica} has to be a learner before it is a voter")
""",
        new="""\
        if progress is None:
            return
""",
    ),
    Mutation(
        name="silent-learner-promoted",
        area=Area.MEMBERSHIP,
        mistake="A learner becomes a voter that was not heard of for long.",
        seen="dissertation 4.2.1",
        path=_MEMBERSHIP,
        old="""\
            if not is_active(replica):
""",
        new="""\
            if not is_active(replica) and not progress[replica].match:
""",
    ),
    Mutation(
        name="new-member-counts-as-heard",
        area=Area.MEMBERSHIP,
        mistake="A member counts as heard from the moment it is added.",
        seen="etcd-io/raft: RecentActive of members that are new",
        path=_LEADER,
        old="""\
        self._replication.follow_configuration(self._now - state.config.election_ticks_min)
        self._reads.on_configuration()
        self.uncommitted_bytes += len(entry.data)
""",
        new="""\
        self._replication.follow_configuration(self._now)
        self._reads.on_configuration()
        self.uncommitted_bytes += len(entry.data)
""",
    ),
    Mutation(
        name="changed-to-voters-that-are-gone",
        area=Area.MEMBERSHIP,
        mistake="A group is given to voters of whom no majority was heard: it stands still.",
        seen="etcd-io/etcd: strict reconfiguration check",
        path=_MEMBERSHIP,
        old="""\
        if change.voters != current.voters and not is_majority(
""",
        new="""\
        if change.voters > current.voters and not is_majority(
""",
    ),
    Mutation(
        name="removed-member-is-sent-to",
        area=Area.MEMBERSHIP,
        mistake="A leader keeps its progress of members that were removed, and keeps sending.",
        seen="removed members that keep hearing of the group",
        path=_REPLICATION,
        old="""\
        before = dict(self.progress)
        self.progress.clear()
""",
        new="""\
        before = dict(self.progress)
""",
    ),
    Mutation(
        name="leadership-handed-to-a-learner",
        area=Area.MEMBERSHIP,
        mistake="Leadership is handed to a learner, which never campaigns.",
        seen="dissertation 3.10, 4.2.1",
        path="cluster/raft/transfer.py",
        old="""\
        if to not in self._state.configuration.voters:
""",
        new="""\
        if to not in self._state.configuration.members:
""",
    ),
)
