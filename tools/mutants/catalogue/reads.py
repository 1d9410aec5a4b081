"""Mistakes in linearizable reads (dissertation 6.4): which round confirms which reads, and when."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LEADER: Final = "cluster/raft/leader.py"
_READS: Final = "cluster/raft/reads.py"
_SERVICE: Final = "cluster/raft/read_service.py"
_REPLICA: Final = "kvstore/replica/replica.py"

READS: Final = (
    Mutation(
        name="read-before-first-commit",
        area=Area.READS,
        mistake="A new leader serves reads at its commit index before an entry of its term is"
        " committed: until then it does not know what others committed.",
        seen="etcd-io/etcd#7331",
        path=_SERVICE,
        old="""\
        if not self._reads.waiting or commit < self._term_start:
""",
        new="""\
        if not self._reads.waiting:
""",
    ),
    Mutation(
        name="read-at-applied-index",
        area=Area.READS,
        mistake="A read is served at what the leader had applied when it came, not at what was"
        " committed.",
        seen="dissertation 6.4, step 2",
        path=_SERVICE,
        old="""\
        self._reads.begin_round(commit)
""",
        new="""\
        self._reads.begin_round(self._state.log.applied)
""",
    ),
    Mutation(
        name="any-answer-confirms-reads",
        area=Area.READS,
        mistake="The answer to a heartbeat of before confirms the round that is open now.",
        seen="etcd-io/etcd#20418: a retry confirmed by an answer from before a pause",
        path=_SERVICE,
        old="""\
        if read_round > progress.read_round:
            progress.read_round = read_round
""",
        new="""\
        if read_round > progress.read_round or self._reads.open_round > progress.read_round:
            progress.read_round = self._reads.round
""",
    ),
    Mutation(
        name="reads-join-a-round-under-way",
        area=Area.READS,
        mistake="A read that comes while a round is under way is served with it, at its index.",
        seen="etcd-io/etcd#20418: a context used again",
        path=_READS,
        old="""\
        self.round += 1
        self._rounds.append((self.round, commit, self.waiting))
        self.waiting = []
""",
        new="""\
        if self._rounds:
            self._rounds[-1][2].extend(self.waiting)
        else:
            self.round += 1
            self._rounds.append((self.round, commit, self.waiting))
        self.waiting = []
""",
    ),
    Mutation(
        name="reads-in-flight-leak",
        area=Area.READS,
        mistake="Of reads confirmed together one is counted off: in time none is taken any more.",
        seen="in-flight accounting",
        path=_READS,
        old="""\
            self._count -= len(contexts)
""",
        new="""\
            self._count -= 1
""",
    ),
    Mutation(
        name="read-falls-asleep",
        area=Area.READS,
        mistake="A leader falls quiet while reads wait: nobody answers its last heartbeat.",
        seen="quiet groups: CockroachDB, TiKV",
        path=_LEADER,
        old="""\
        if not self._reads.is_idle() or self._transfer.to is not None:
""",
        new="""\
        if self._transfer.to is not None:
""",
    ),
    Mutation(
        name="read-does-not-wake",
        area=Area.READS,
        mistake="A quiet leader takes a read and stays quiet.",
        seen="quiet groups: CockroachDB, TiKV",
        path="cluster/raft/core.py",
        old="""\
        self._require_leader().read_index(context, now_us)
        if self._state.quiet:
            self.wake()
""",
        new="""\
        self._require_leader().read_index(context, now_us)
""",
    ),
    Mutation(
        name="half-confirms-reads",
        area=Area.READS,
        mistake="A leader counts itself for a round that it has not begun yet.",
        seen="dissertation 6.4, step 3",
        path=_SERVICE,
        old="""\
        confirmed = agreed(self._state.configuration, self._confirmed_by)
""",
        new="""\
        confirmed = max(map(self._confirmed_by, self._progress), default=self._reads.round)
""",
    ),
    Mutation(
        name="read-context-used-twice",
        area=Area.READS,
        mistake="The host asks for all reads under one context: the answer to an old question"
        " serves the reads of the next.",
        seen="etcd-io/etcd#20418",
        path="kvstore/replica/intake.py",
        old="""\
            replica.ask_waiting_reads(self._next_context)
            self._next_context += 1
""",
        new="""\
            replica.ask_waiting_reads(self._next_context)
""",
    ),
    Mutation(
        name="confirmed-read-does-not-wait-for-apply",
        area=Area.READS,
        mistake="A read is served once it is confirmed, whether or not its index is applied.",
        seen="dissertation 6.4, step 4",
        path=_REPLICA,
        old="""\
            self._confirmed_reads.append((state.index, requests))
""",
        new="""\
            self._confirmed_reads.append((self.core.applied, requests))
""",
    ),
    Mutation(
        name="unconfirmed-reads-forgotten",
        area=Area.READS,
        mistake="Reads that wait for their confirmation are not refused when leadership is lost.",
        seen="etcd-io/etcd#11483, restatedev/restate#2950: reads that the core drops in silence",
        path=_REPLICA,
        old="""\
        for asked in self._asked_reads.values():
            reads.extend(asked)
        self._asked_reads.clear()
""",
        new="""\
        self._asked_reads.clear()
""",
    ),
    Mutation(
        name="requests-stand-in-for-read-rounds",
        area=Area.READS,
        mistake="Requests take the place of heartbeats while a round of reads waits for answers.",
        seen="read indexes that hang once a heartbeat was lost under load",
        path="cluster/raft/leader.py",
        old="""\
        if not is_steady or self._reads.wants_heartbeats:
""",
        new="""\
        if not is_steady:
""",
    ),
    Mutation(
        name="confirmation-of-another-term",
        area=Area.READS,
        mistake="A leader takes what a peer confirmed of another term for its own.",
        seen="dissertation 6.4, step 3",
        path="cluster/raft/core.py",
        old="""\
        if leader is not None and term == self._state.term:
            leader.on_confirmed(peer, read_round)
""",
        new="""\
        if leader is not None:
            leader.on_confirmed(peer, read_round)
""",
    ),
    Mutation(
        name="confirms-whatever-term",
        area=Area.READS,
        mistake="A replica confirms the leader that it knows, whatever term it is asked about.",
        seen="dissertation 6.4, step 3",
        path="cluster/raft/core.py",
        old="""\
        if state.term != term or state.leader != leader or state.owes_vote:
""",
        new="""\
        if state.leader != leader or state.owes_vote:
""",
    ),
    Mutation(
        name="confirms-a-term-it-may-forget",
        area=Area.READS,
        mistake="A replica confirms a leader before the term is on its disk.",
        seen="dissertation 3.8",
        path="cluster/raft/core.py",
        old="""\
        if state.term != term or state.leader != leader or state.owes_vote:
""",
        new="""\
        if state.term != term or state.leader != leader:
""",
    ),
    Mutation(
        name="all-groups-confirmed",
        area=Area.READS,
        mistake="A node that is asked about many groups says yes to all if it is so of one.",
        seen="batched heartbeats: CockroachDB, TiKV",
        path="kvstore/replica/leadership_checks.py",
        old="""\
                confirmed.extend(numbers[at : at + ROW])
""",
        new="""\
                confirmed = numbers
""",
    ),
)
