"""Whom to ask for what any replica of a partition may serve. Decides only: no I/O here."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from cluster.ids import PartitionId, ReplicaId
from kvstore.client.routing import Route

BEHIND_S: Final = 0.25
"""For how long a replica that was behind is passed over, for its partition."""
SILENT_S: Final = 2.0
"""For how long a node that did not serve is, for all."""


class Spread:
    """Replicas in turn, from a random one on; those that did not serve lately are passed over.

    Where all of them are, the leader is asked: it lacks the least.
    """

    __slots__ = ("_behind_until", "_now_s", "_random", "_silent_until", "_turns")

    def __init__(self, random: Random, now_s: Callable[[], float]) -> None:
        self._random = random
        self._now_s = now_s
        self._turns: dict[PartitionId, int] = {}
        self._behind_until: dict[tuple[PartitionId, ReplicaId], float] = {}
        self._silent_until: dict[ReplicaId, float] = {}

    def target(self, route: Route, is_down: Callable[[ReplicaId], bool]) -> ReplicaId:
        """Whom to ask next."""
        replicas, count = route.replicas, len(route.replicas)
        turn = self._turns.get(route.partition)
        if turn is None:
            turn = self._random.randrange(count)
        self._turns[route.partition] = (turn + 1) % count
        in_turn = [replicas[(turn + offset) % count] for offset in range(count)]
        up = [replica for replica in in_turn if not is_down(replica)]
        for replica in up:
            if not self._is_passed_over(route.partition, replica):
                return replica
        if route.leader is not None and route.leader in up:
            return route.leader
        return (up or in_turn)[0]

    def has_others(self, route: Route, is_down: Callable[[ReplicaId], bool]) -> bool:
        """Whether there is a replica that may serve at once."""
        return any(
            not is_down(replica) and not self._is_passed_over(route.partition, replica)
            for replica in route.replicas
        )

    def behind(self, partition: PartitionId, replica: ReplicaId) -> None:
        """`replica` cannot serve the partition as it was asked to."""
        self._behind_until[partition, replica] = self._now_s() + BEHIND_S

    def silent(self, replica: ReplicaId) -> None:
        """The node of `replica` did not answer, or cannot serve."""
        self._silent_until[replica] = self._now_s() + SILENT_S

    def answered(self, replica: ReplicaId) -> None:
        """The node of `replica` has served."""
        if self._silent_until:
            self._silent_until.pop(replica, None)

    def _is_passed_over(self, partition: PartitionId, replica: ReplicaId) -> bool:
        if not self._behind_until and not self._silent_until:
            return False
        now_s = self._now_s()
        if self._silent_until.get(replica, now_s) > now_s:
            return True
        behind_until = self._behind_until.get((partition, replica))
        if behind_until is None:
            return False
        if behind_until > now_s:
            return True
        del self._behind_until[partition, replica]
        return False
