"""Mistakes in replication: log matching, commit, flow control, asynchronous persistence (3.5, 3.6,
10.2)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_FOLLOWER: Final = "cluster/raft/follower.py"
_LEADER: Final = "cluster/raft/leader.py"
_LOG: Final = "cluster/raft/log.py"
_PROGRESS: Final = "cluster/raft/progress.py"

REPLICATION: Final = (
    Mutation(
        name="match-moves-back",
        area=Area.REPLICATION,
        mistake="An acknowledgement that others have overtaken moves the match index back.",
        seen="dissertation 3.5; messages are reordered and repeated",
        path=_PROGRESS,
        old="""\
        if index < self.match:
            return False  # a late answer
""",
        new="",
    ),
    Mutation(
        name="commit-moves-back",
        area=Area.REPLICATION,
        mistake="A request that was overtaken moves the follower's commit index back.",
        seen="dissertation figure 3.1: increases monotonically",
        path=_LOG,
        old="""\
        self.commit = max(self.commit, index)
""",
        new="""\
        self.commit = index
""",
    ),
    Mutation(
        name="old-term-committed-by-counting",
        area=Area.REPLICATION,
        mistake="A leader commits an entry of an earlier term as soon as a majority has it.",
        seen="dissertation 3.6.2, figure 3.7",
        path=_LEADER,
        old="""\
        if index > log.commit and index >= self._term_start:
""",
        new="""\
        if index > log.commit:
""",
    ),
    Mutation(
        name="late-append-truncates",
        area=Area.REPLICATION,
        mistake="A request that holds less than the log has cuts the log behind it.",
        seen="hashicorp/raft#113; dissertation 3.5",
        path=_LOG,
        old="""\
            if new == count:
                return
""",
        new="""\
            if new == count:
                if entries[-1].index < self.last_index:
                    self._cut(entries[-1].index + 1)
                    self.last_term = entries[-1].term
                return
""",
    ),
    Mutation(
        name="commit-beyond-checked-entries",
        area=Area.REPLICATION,
        mistake="A follower commits up to the leader's commit index whatever its own log holds"
        " beyond the entries of the request.",
        seen="atomix/copycat#265, scylladb/scylladb#9965",
        path=_FOLLOWER,
        old="""\
        log.commit_to(Index(min(request.commit, index)))
""",
        new="""\
        log.commit_to(Index(min(request.commit, log.last_index)))
""",
    ),
    Mutation(
        name="heartbeat-commits-beyond-match",
        area=Area.REPLICATION,
        mistake="A heartbeat, or a question, carries the leader's commit index whatever the"
        " follower has.",
        seen="cockroachdb/cockroach#122100: capped at match, lest the follower stop",
        path="cluster/raft/replication.py",
        old="""\
        return Index(min(self._state.log.commit, self.progress[peer].match))
""",
        new="""\
        return self._state.log.commit
""",
    ),
    Mutation(
        name="follower-trusts-heartbeat-commit",
        area=Area.REPLICATION,
        mistake="A follower commits what a heartbeat says beyond what it knows to match.",
        seen="etcd-io/raft#139",
        path=_FOLLOWER,
        old="""\
        log.commit_to(Index(min(commit, self._matched)))
""",
        new="""\
        log.commit_to(commit)
""",
    ),
    Mutation(
        name="probe-accepted-blindly",
        area=Area.REPLICATION,
        mistake="A request without entries is accepted without a look at the entry before it.",
        seen="dissertation 3.5; atomix/copycat#265",
        path=_FOLLOWER,
        old="""\
        if log.matches(index, request.prev_term):
""",
        new="""\
        if log.matches(index, request.prev_term) or (
            not request.entries and index <= log.last_index
        ):
""",
    ),
    Mutation(
        name="leader-counts-itself-before-sync",
        area=Area.REPLICATION,
        mistake="A leader counts its own log towards the majority before it is persisted.",
        seen="dissertation 10.2.1: it may only after its own write",
        path=_LEADER,
        old="""\
        return self._state.log.persisted if progress is None else progress.match
""",
        new="""\
        return self._state.log.last_index if progress is None else progress.match
""",
    ),
    Mutation(
        name="committed-acknowledged-before-sync",
        area=Area.REPLICATION,
        mistake="A follower acknowledges at once what others have committed, though its own disk"
        " does not have it yet.",
        seen="dissertation 3.8; etcd-io/etcd#10166",
        path=_FOLLOWER,
        old="""\
        if index <= state.log.persisted:
""",
        new="""\
        if index <= state.log.commit or index <= state.log.persisted:
""",
    ),
    Mutation(
        name="acknowledgements-of-two-terms-merged",
        area=Area.REPLICATION,
        mistake="Of acknowledgements that wait for the disk the highest is kept, even if it is of"
        " an earlier term and what it acknowledges was replaced.",
        seen="rabbitmq/ra#637: a stale last written index in the answer to a new leader",
        path=_FOLLOWER,
        old="""\
            if isinstance(last, AppendResponse) and last.accepted and last.term == state.term:
""",
        new="""\
            if isinstance(last, AppendResponse) and last.accepted:
""",
    ),
    Mutation(
        name="applied-before-persisted",
        area=Area.REPLICATION,
        mistake="Committed entries are handed out that this replica's own log can still lose.",
        seen="etcd-io/raft#8: with asynchronous writes only what is durable here is applied",
        path=_LOG,
        old="""\
        high = min(self.commit, self.persisted) + 1
""",
        new="""\
        high = min(self.commit, self._offset - 1) + 1
""",
    ),
    Mutation(
        name="old-write-confirms-new-entries",
        area=Area.REPLICATION,
        mistake="The end of a disk write confirms indexes whose entries were since replaced.",
        seen="cockroachdb/cockroach#124440: the ABA problem of asynchronous log writes",
        path=_LOG,
        old="""\
            for record in self._in_flight:
                record[1] = min(record[1], keep)
""",
        new="",
    ),
    Mutation(
        name="persisted-not-cut-with-log",
        area=Area.REPLICATION,
        mistake="Where a conflict cuts the log, what replaces it counts as persisted already.",
        seen="rabbitmq/ra#637",
        path=_LOG,
        old="""\
            self.persisted = Index(min(self.persisted, keep))
""",
        new="",
    ),
    Mutation(
        name="half-commits",
        area=Area.REPLICATION,
        mistake="In a group of even size an entry is committed that half of it has.",
        seen="dissertation 3.5",
        path="cluster/raft/quorum.py",
        old="""\
    return values[(len(values) - 1) // 2]
""",
        new="""\
    return values[len(values) // 2]
""",
    ),
)
