"""Mistakes with quiet groups: who falls quiet, and what wakes whom."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_CORE: Final = "cluster/raft/core.py"

QUIET: Final = (
    Mutation(
        name="vote-request-does-not-wake",
        area=Area.ELECTIONS,
        mistake="Only appends wake a quiet replica: a follower that missed the last heartbeat"
        " campaigns at a quiet leader, is refused, and stays without a leader.",
        seen="quiet groups: CockroachDB, TiKV",
        path=_CORE,
        old="""\
        if state.quiet and not (term == state.term and isinstance(message, HeartbeatResponse)):
""",
        new="""\
        if state.quiet and isinstance(message, AppendRequest):
""",
    ),
    Mutation(
        name="quiet-leader-trusts-old-contacts",
        area=Area.ELECTIONS,
        mistake="A leader that wakes counts what it heard before it fell quiet as heard lately.",
        seen="dissertation 6.2; a pause is not a sign of life",
        path="cluster/raft/leader.py",
        old="""\
        self._now += self._state.config.election_ticks_min
        self._grace_until = self._now + self._state.config.election_ticks_min
""",
        new="""\
        self._grace_until = self._now + self._state.config.election_ticks_min
""",
    ),
    Mutation(
        name="follower-falls-quiet-behind",
        area=Area.ELECTIONS,
        mistake="A follower falls quiet on its leader's word, though it lacks what was committed.",
        seen="quiet groups: CockroachDB, TiKV",
        path="cluster/raft/follower.py",
        old="""\
        if request.fall_quiet and log.commit == log.last_index == request.commit:
""",
        new="""\
        if request.fall_quiet:
""",
    ),
    Mutation(
        name="leader-falls-quiet-alone",
        area=Area.ELECTIONS,
        mistake="A leader falls quiet although a peer that has all entries was not heard of late.",
        seen="quiet groups: CockroachDB, TiKV",
        path="cluster/raft/leader.py",
        old="""\
            progress.match == last and self.is_active(peer)
            for peer, progress in self._progress.items()
""",
        new="""\
            progress.match == last
            for progress in self._progress.values()
""",
    ),
)
