"""Mistakes in elections: votes, terms, pre-vote, check-quorum (dissertation 3.4, 6.2, 9.6)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_CORE: Final = "cluster/raft/core.py"
_ROLES: Final = "cluster/raft/roles.py"
_VOTER: Final = "cluster/raft/voter.py"
_STATE: Final = "cluster/raft/state.py"

ELECTIONS: Final = (
    Mutation(
        name="stale-vote-counted",
        area=Area.ELECTIONS,
        mistake="A candidate counts a vote that was given to it in an earlier term.",
        seen="eliben/raft#27: a reply is compared with a term remembered from before",
        path=_ROLES,
        old="""\
            current = response.term == state.term and response.pre_vote == is_pre_vote
""",
        new="""\
            current = response.pre_vote == is_pre_vote
""",
    ),
    Mutation(
        name="stale-pre-vote-counted",
        area=Area.ELECTIONS,
        mistake="A pre-candidate counts an answer to a pre-vote of a campaign that is over.",
        seen="dissertation 9.6; a grant repeats the term it was asked for, so that it can be told",
        path=_ROLES,
        old="""\
            current = is_pre_vote and response.term == state.term + 1
""",
        new="""\
            current = is_pre_vote
""",
    ),
    Mutation(
        name="vote-without-sync",
        area=Area.ELECTIONS,
        mistake="A vote given in a term that is known already is not persisted before it is sent.",
        seen="hashicorp/raft#661: term and vote are persisted in two steps",
        path=_STATE,
        old="""\
        self.term = term
        self.vote = vote
        self._hard_state_number = self.number + 1
""",
        new="""\
        if term > self.term:
            self._hard_state_number = self.number + 1
        self.term = term
        self.vote = vote
""",
    ),
    Mutation(
        name="vote-forgotten-at-start",
        area=Area.ELECTIONS,
        mistake="A replica that starts knows its term and not whom it voted for in it.",
        seen="mgodave/barge#5, ktoso/akka-raft#56",
        path=_STATE,
        old="""\
        self.vote = hard_state.vote
""",
        new="""\
        self.vote: ReplicaId | None = None
""",
    ),
    Mutation(
        name="step-down-clears-vote",
        area=Area.ELECTIONS,
        mistake="Who becomes a follower in the same term forgets its vote, and may give another.",
        seen="microsoft/CCF#8094",
        path=_ROLES,
        old="""\
        if term > state.term:
            state.set_vote(term, None)
        if state.role is not Role.FOLLOWER:
""",
        new="""\
        if term > state.term or state.role is not Role.FOLLOWER:
            state.set_vote(term, None)
        if state.role is not Role.FOLLOWER:
""",
    ),
    Mutation(
        name="messages-before-term-persisted",
        area=Area.ELECTIONS,
        mistake="Once a bundle is handed out its term and vote count as persisted, and are sent.",
        seen="dissertation figure 3.1: updated on stable storage before responding",
        path=_STATE,
        old="""\
        return self._hard_state_number > self.persisted_number
""",
        new="""\
        return self._hard_state_number > self.number
""",
    ),
    Mutation(
        name="pre-candidate-keeps-leader",
        area=Area.ELECTIONS,
        mistake="A pre-candidate still names the leader it gave up, and so votes for nobody.",
        seen="etcd-io/etcd#8334",
        path=_ROLES,
        old="""\
        state.set_leader(Role.PRE_CANDIDATE, None)
""",
        new="""\
        state.set_leader(Role.PRE_CANDIDATE, state.leader)
""",
    ),
    Mutation(
        name="pre-votes-count-as-votes",
        area=Area.ELECTIONS,
        mistake="A candidate goes on with the votes of its pre-candidacy and leads without any.",
        seen="etcd-io/etcd#8346: votes of one campaign counted in the next",
        path=_ROLES,
        old="""\
        self._candidate = Candidate(state)
        self._settle(self._candidate.ask(handover=handover))
""",
        new="""\
        self._candidate = self._candidate or Candidate(state)
        self._settle(self._candidate.ask(handover=handover))
""",
    ),
    Mutation(
        name="pre-vote-refused-without-term",
        area=Area.ELECTIONS,
        mistake="A refused pre-vote repeats the asked term: a longer log of a lower term never"
        " hears of the higher term of the shorter log, and neither can win.",
        seen="etcd-io/etcd#8501, etcd-io/etcd#8243, databendlabs/openraft#1796",
        path=_VOTER,
        old="""\
    term = request.term if granted else state.term
""",
        new="""\
    term = request.term if granted or request.pre_vote else state.term
""",
    ),
    Mutation(
        name="vote-by-length-of-log",
        area=Area.ELECTIONS,
        mistake="Of two logs the longer counts as more up to date, whatever its last term.",
        seen="dissertation 3.6.1, figure 3.7",
        path="cluster/raft/log.py",
        old="""\
        return (last_term, last_index) >= (self.last_term, self.last_index)
""",
        new="""\
        return (last_index, last_term) >= (self.last_index, self.last_term)
""",
    ),
    Mutation(
        name="leader-helps-to-replace-itself",
        area=Area.ELECTIONS,
        mistake="A leader answers campaigns as a follower would, so that whoever was cut off for"
        " a while ends its term on coming back.",
        seen="dissertation 6.4.1, 9.6: disruptive servers",
        path=_VOTER,
        old="""\
    if state.role is Role.LEADER or state.is_bound_against(request.sender):
""",
        new="""\
    if state.is_bound_against(request.sender):
""",
    ),
    Mutation(
        name="follower-helps-to-replace-its-leader",
        area=Area.ELECTIONS,
        mistake="A follower counts from its own campaign, not from its leader's last word, for how"
        " long it protects that leader.",
        seen="dissertation 9.6",
        path=_ROLES,
        old="""\
            self.become_follower(term, leader)
        state.timer.restart()
""",
        new="""\
            self.become_follower(term, leader)
            state.timer.restart()
""",
    ),
    Mutation(
        name="leader-never-steps-down",
        area=Area.ELECTIONS,
        mistake="A peer counts as active once it was heard: an old leader that reaches half of its"
        " group stays, and its heartbeats keep the connected majority from an election.",
        seen="databendlabs/openraft#2080; dissertation 6.2",
        path="cluster/raft/leader.py",
        old="""\
        return self._now - progress.heard_at < self._state.config.election_ticks_min
""",
        new="""\
        return progress.heard_at > 0
""",
    ),
    Mutation(
        name="stale-heartbeat-not-answered",
        area=Area.ELECTIONS,
        mistake="Heartbeats of an older term are not answered: who campaigned alone and the leader"
        " of a majority never come together again.",
        seen="etcd-io/raft, TestFreeStuckCandidateWithCheckQuorum: terms do not fall",
        path=_CORE,
        old="""\
        if isinstance(message, (AppendRequest, HeartbeatRequest, SnapshotRequest)):
""",
        new="""\
        if isinstance(message, (AppendRequest, SnapshotRequest)):
""",
    ),
    Mutation(
        name="half-wins-the-vote",
        area=Area.ELECTIONS,
        mistake="In a group of even size half of the votes win, and two lead the same term.",
        seen="dissertation 3.4",
        path="cluster/raft/quorum.py",
        old="""\
    if 2 * granted > len(voters):
""",
        new="""\
    if granted >= len(voters) - len(voters) // 2:
""",
    ),
    Mutation(
        name="half-keeps-the-leader",
        area=Area.ELECTIONS,
        mistake="In a group of even size a leader that hears half of it does not step down.",
        seen="dissertation 6.2",
        path="cluster/raft/quorum.py",
        old="""\
    return 2 * sum([present(voter) for voter in voters]) > len(voters)
""",
        new="""\
    return 2 * sum([present(voter) for voter in voters]) >= len(voters)
""",
    ),
    Mutation(
        name="same-timeout-for-every-campaign",
        area=Area.ELECTIONS,
        mistake="Campaigns begin with the timeout of the last one: who split a vote once splits"
        " every vote.",
        seen="dissertation 3.4: each candidate restarts its randomized timeout",
        path=_ROLES,
        old="""\
        state = self._state
        state.timer.redraw()
        if handover:
""",
        new="""\
        state = self._state
        state.timer.restart()
        if handover:
""",
    ),
    Mutation(
        name="grant-does-not-restart-timer",
        area=Area.ELECTIONS,
        mistake="Who has just voted may campaign right away against the candidate it voted for.",
        seen="dissertation 3.4: election timeout without granting a vote",
        path=_ROLES,
        old="""\
                state.set_vote(state.term, request.sender)
            state.timer.restart()
""",
        new="""\
                state.set_vote(state.term, request.sender)
""",
    ),
)
