"""The groups of a node for which time passes: all that are not quiet.

A quiet group costs nothing, so nobody in it notices that its leader is gone, or is not known to a
member that was away: what is seen of whole nodes wakes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import GroupId, ReplicaId
from kvstore.replica.agenda import Agenda
from kvstore.replica.replica import Replica


class WakeGroups:
    """See the module."""

    __slots__ = ("_agenda", "_awake", "_replicas")

    def __init__(self, replicas: Mapping[GroupId, Replica], agenda: Agenda) -> None:
        self._replicas = replicas
        self._agenda = agenda
        self._awake: dict[GroupId, Replica] = {}

    def note(self, replica: Replica) -> None:
        """A round has seen `replica`: time passes for it, unless it is quiet."""
        if not replica.core.is_quiet:
            self._awake[replica.group] = replica

    def on_met(self, peer: ReplicaId) -> None:
        """`peer` has connected: it started, or was cut off. The groups led here that it belongs to
        may be quiet, and it may not know that they have a leader: they speak up."""
        for replica in self._replicas.values():
            if replica.is_leader and peer in replica.members:
                replica.core.wake()
                self._awake[replica.group] = replica

    def on_silent(self, peer: ReplicaId, silent_ticks: int) -> None:
        """A peer fell silent: the groups it may lead have to find out, and those led here too."""
        for replica in self._replicas.values():
            if peer in replica.members:
                # Only silence of its own leader is a follower's reason to campaign soon.
                replica.core.wake(silent_ticks if replica.core.leader == peer else 0)
                self._awake[replica.group] = replica

    def tick(self) -> None:
        """One tick for each of them; those that have become quiet drop out."""
        for group, replica in list(self._awake.items()):
            replica.core.tick()
            if replica.core.has_ready:
                self._agenda.touch(replica)
            elif replica.core.is_quiet:
                del self._awake[group]
