"""Who belongs to a group."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import ReplicaId


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of a group; an Electorate. Raises ValueError without voters."""

    voters: frozenset[ReplicaId]

    def __post_init__(self) -> None:
        if not self.voters:
            raise ValueError("a group has at least one voter")

    def peers_of(self, replica: ReplicaId) -> tuple[ReplicaId, ...]:
        """Every other member, in an order that is the same in every run."""
        return tuple(sorted(self.voters - {replica}))
