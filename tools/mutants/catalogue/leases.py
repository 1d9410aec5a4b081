"""Mistakes in lease reads (dissertation 6.4.1): what the clock is asked, and what ends a lease."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_CORE: Final = "cluster/raft/core.py"
_LEADER: Final = "cluster/raft/leader.py"
_LEASE: Final = "cluster/raft/lease.py"
_SERVICE: Final = "cluster/raft/read_service.py"

LEASES: Final = (
    Mutation(
        name="lease-from-the-answer-on",
        area=Area.READS,
        mistake="A lease begins when its round is confirmed, not when its heartbeats went out.",
        seen="etcd-io/etcd#20418: time passes between the two",
        path=_LEASE,
        old="""\
            self._until_us = rounds.popleft()[1] + self._duration_us
""",
        new="""\
            rounds.popleft()
            self._until_us = self._now_us + self._duration_us
""",
    ),
    Mutation(
        name="clocks-do-not-drift",
        area=Area.READS,
        mistake="A lease is as long as the protection: the slower clock's owner reads too late.",
        seen="dissertation 6.4.1: bounded clock drift",
        path=_LEASE,
        old="""\
        return protection_us * (_MILLION - self.drift_ppm) // (_MILLION + self.drift_ppm)
""",
        new="""\
        return protection_us
""",
    ),
    Mutation(
        name="lease-kept-across-transfer",
        area=Area.READS,
        mistake="A leader that has told another to campaign reads by its lease once the transfer"
        " was given up.",
        seen="etcd-io/raft#99",
        path=_SERVICE,
        old="""\
        if transfer.to is not None or transfer.was_told or self._state.quiet:
""",
        new="""\
        if transfer.to is not None or self._state.quiet:
""",
    ),
    Mutation(
        name="lease-read-before-first-commit",
        area=Area.READS,
        mistake="A lease serves reads before an entry of the leader's term is committed.",
        seen="etcd-io/etcd#7331",
        path=_SERVICE,
        old="""\
        if has_lease and commit >= self._term_start:
""",
        new="""\
        if has_lease:
""",
    ),
    Mutation(
        name="lease-kept-over-change",
        area=Area.READS,
        mistake="A lease of the old voters outlives a change of the configuration.",
        seen="dissertation 4.3, 6.4.1",
        path=_SERVICE,
        old="""\
        self.drop_lease()
        self._confirm()
""",
        new="""\
        self._confirm()
""",
    ),
    Mutation(
        name="lease-kept-while-quiet",
        area=Area.READS,
        mistake="A lease outlives a quiet time, in which nobody is heard.",
        seen="lease kept across a pause",
        path=_LEADER,
        old="""\
        if state.quiet:
            self._reads.drop_lease()
""",
        new="",
        cannot_matter="A quiet leader reads by no lease, and one that wakes may: whoever answered"
        " its round protects it for the whole lease by the clock, whether it ticks or not.",
    ),
    Mutation(
        name="protection-forgotten-at-start",
        area=Area.READS,
        mistake="A voter that starts helps to replace the leader that it answered before.",
        seen="dissertation 6.4.1; promises that do not survive a restart",
        path="cluster/raft/state.py",
        old="""\
                may_have_answered=hard_state.term > 0,
""",
        new="""\
                may_have_answered=hard_state.vote is not None and hard_state.term == 0,
""",
    ),
    Mutation(
        name="protection-ends-with-the-term",
        area=Area.READS,
        mistake="A voter that comes into a higher term protects nobody any more.",
        seen="dissertation 6.4.1",
        path="cluster/raft/voter.py",
        old="""\
    if not request.handover and state.is_bound_against(request.sender):
        return False
""",
        new="",
    ),
    Mutation(
        name="campaign-in-spite-of-protection",
        area=Area.READS,
        mistake="A follower told that its leader's node is silent campaigns, though it answered"
        " that leader a moment ago.",
        seen="dissertation 6.4.1",
        path=_CORE,
        old="""\
                    if not state.is_bound_against(state.replica):
                        self._roles.campaign()
""",
        new="""\
                    self._roles.campaign()
""",
    ),
)
