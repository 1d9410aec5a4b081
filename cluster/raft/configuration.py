"""Who belongs to a group (dissertation chapter 4).

```
              voters change: C_old,new               committed: leave
   SIMPLE ─────────────────────────────▶ JOINT ─────────────────────────▶ SIMPLE
     │ ▲                     voters: the new ones; outgoing: the old ones
     └─┘ only learners change
```

While *joint* (4.3) every decision needs a majority of `voters` and one of `outgoing`: so neither
the old nor the new voters can decide alone while replicas learn of the change at different times.
*Learners* (4.2.1) get entries, and neither vote nor count.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import ReplicaId

_NOBODY: frozenset[ReplicaId] = frozenset()


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """What a group is to become. Raises ValueError without voters, or if one is a learner too."""

    voters: frozenset[ReplicaId]
    learners: frozenset[ReplicaId] = _NOBODY

    def __post_init__(self) -> None:
        if not self.voters:
            raise ValueError("a group has at least one voter")
        both = self.voters & self.learners
        if both:
            raise ValueError(f"{sorted(both)} cannot be voters and learners at once")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of a group; an Electorate. Raises ValueError where the sets do not fit.

    Without any member: what a replica knows that was made to join and has yet to hear from its
    group's leader. It never campaigns.
    """

    voters: frozenset[ReplicaId] = _NOBODY
    outgoing: frozenset[ReplicaId] = _NOBODY
    """The voters before the change, while joint; else empty."""
    learners: frozenset[ReplicaId] = _NOBODY
    demoted: frozenset[ReplicaId] = _NOBODY
    """Those of `outgoing` that become learners when joint consensus is left: until then they vote,
    and nobody is both."""

    def __post_init__(self) -> None:
        if not self.voters and (self.outgoing or self.learners):
            raise ValueError("a group has at least one voter")
        both = self.learners & (self.voters | self.outgoing)
        if both:
            raise ValueError(f"{sorted(both)} cannot be voters and learners at once")
        if not self.demoted <= self.outgoing - self.voters:
            raise ValueError(f"not all of {sorted(self.demoted)} are voters that go")

    @property
    def is_joint(self) -> bool:
        """Whether majorities of two sets of voters are needed."""
        return bool(self.outgoing)

    @property
    def electors(self) -> frozenset[ReplicaId]:
        """Whoever has a vote."""
        return self.voters | self.outgoing

    @property
    def members(self) -> frozenset[ReplicaId]:
        """Whoever gets entries."""
        return self.voters | self.outgoing | self.learners

    def elects(self, replica: ReplicaId) -> bool:
        """Whether `replica` has a vote."""
        return replica in self.voters or replica in self.outgoing

    def peers_of(self, replica: ReplicaId) -> tuple[ReplicaId, ...]:
        """Every other member, in an order that is the same in every run."""
        return tuple(sorted(self.members - {replica}))

    def changed_by(self, change: MembershipChange) -> Configuration:
        """What comes next on the way to `change`: joint if the voters differ, else the end.

        To be asked only of a configuration that is not joint: one change at a time (4.3).
        """
        if change.voters == self.voters:
            return Configuration(self.voters, learners=change.learners)
        return Configuration(
            change.voters,
            outgoing=self.voters,
            learners=change.learners - self.voters,
            demoted=change.learners & self.voters,
        )

    def left(self) -> Configuration:
        """What comes after joint consensus: the new voters alone (4.3)."""
        return Configuration(self.voters, learners=self.learners | self.demoted)
