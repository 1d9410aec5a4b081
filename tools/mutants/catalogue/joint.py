"""Mistakes in joint consensus: which majorities decide, and when it is left (dissertation 4.3)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LEADER: Final = "cluster/raft/leader.py"
_MEMBERSHIP: Final = "cluster/raft/membership.py"
_QUORUM: Final = "cluster/raft/quorum.py"

JOINT: Final = (
    Mutation(
        name="joint-commits-by-new-voters",
        area=Area.MEMBERSHIP,
        mistake="While joint an entry is committed that a majority of the new voters has.",
        seen="dissertation 4.3",
        path=_QUORUM,
        old="""\
    return min(value, _agreed(outgoing, reached)) if outgoing else value
""",
        new="""\
    return max(value, _agreed(outgoing, reached)) if outgoing else value
""",
    ),
    Mutation(
        name="joint-elects-by-new-voters",
        area=Area.MEMBERSHIP,
        mistake="While joint a candidate wins with a majority of the new voters.",
        seen="dissertation 4.3",
        path=_QUORUM,
        old="""\
    return incoming if outgoing is Tally.WON else Tally.OPEN
""",
        new="""\
    return incoming
""",
    ),
    Mutation(
        name="joint-kept-by-new-voters",
        area=Area.MEMBERSHIP,
        mistake="While joint a leader stays that hears a majority of the new voters, though it can"
        " commit nothing.",
        seen="dissertation 4.3, 6.2",
        path=_QUORUM,
        old="""\
    return _is_majority(electorate.voters, present) and (
        not outgoing or _is_majority(outgoing, present)
    )
""",
        new="""\
    return _is_majority(electorate.voters, present) or (
        bool(outgoing) and _is_majority(outgoing, present)
    )
""",
    ),
    Mutation(
        name="joint-left-before-commit",
        area=Area.MEMBERSHIP,
        mistake="A leader leaves joint consensus before the joint configuration is committed.",
        seen="camunda/camunda#60086; dissertation 4.3",
        path=_MEMBERSHIP,
        old="""\
        if not self._term_start <= log.commit >= held.current_index:
""",
        new="""\
        if log.commit < self._term_start:
""",
    ),
    Mutation(
        name="change-of-predecessor-abandoned",
        area=Area.MEMBERSHIP,
        mistake="A new leader does not leave the joint consensus that another began.",
        seen="camunda/camunda#57388; a change is never abandoned half-way",
        path=_MEMBERSHIP,
        old="""\
        self._term_start = term_start
        self.is_open = True
""",
        new="""\
        self._term_start = term_start
        self.is_open = False
""",
    ),
    Mutation(
        name="demoted-voter-is-removed",
        area=Area.MEMBERSHIP,
        mistake="A voter that is to become a learner is gone when joint consensus is left.",
        seen="dissertation 4.3; learners_next of etcd-io/raft",
        path="cluster/raft/configuration.py",
        old="""\
        return Configuration(self.voters, learners=self.learners | self.demoted)
""",
        new="""\
        return Configuration(self.voters, learners=self.learners)
""",
    ),
    Mutation(
        name="joint-left-while-handing-over",
        area=Area.MEMBERSHIP,
        mistake="A leader that hands over appends the end of a change: the target is behind again.",
        seen="dissertation 3.10",
        path=_LEADER,
        old="""\
        configuration = self._membership.on_commit(may_append=self._transfer.to is None)
""",
        new="""\
        configuration = self._membership.on_commit(may_append=True)
""",
    ),
)
