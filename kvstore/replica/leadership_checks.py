"""Whether this node still leads the groups whose reads wait: asked once a round of each peer, for
all groups together.

```
 reads ─▶ core.begin_read_round ──▶ question ─▶ peer: core.confirm ─┐
 reads ◀─ core.take_read_states ◀── core.on_confirmed ◀── answer ◀──┘
```

No bundle and no message of a group is made for that. Whatever a question or its answer may miss (it
was lost, or the peer does not follow) the next heartbeat of the group finds out.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId, Term
from kvstore.codec.leadership import ROW, LeadershipAnswer, LeadershipQuestion
from kvstore.replica.agenda import Agenda
from kvstore.replica.outbox import Outbox
from kvstore.replica.replica import Replica


class LeadershipChecks:
    """See the module."""

    __slots__ = ("_agenda", "_me", "_open", "_outbox", "_replicas")

    def __init__(
        self,
        me: ReplicaId,
        replicas: Mapping[GroupId, Replica],
        outbox: Outbox,
        agenda: Agenda,
    ) -> None:
        self._me = me
        self._replicas = replicas
        self._outbox = outbox
        self._agenda = agenda
        self._open: dict[ReplicaId, list[int]] = {}
        """What is to be asked at the end of this round."""

    def begin(self, replica: Replica) -> None:
        """Reads of `replica` were handed to its core: its peers are asked with this round."""
        core = replica.core
        read_round = core.begin_read_round()
        if read_round:
            group, term = replica.group, core.term
            for peer in core.peers:
                row = (group, term, read_round, core.commit_known_to(peer))
                numbers = self._open.get(peer)
                if numbers is None:
                    self._open[peer] = [*row]
                else:
                    numbers.extend(row)
        replica.take_confirmed()  # at once, where it alone has a vote

    def send(self) -> None:
        """Asks, with what else this round has to say."""
        if not self._open:
            return
        for peer, numbers in self._open.items():
            self._outbox.add(META_GROUP, LeadershipQuestion(self._me, peer, numbers))
        self._open = {}

    def receive(self, message: LeadershipQuestion | LeadershipAnswer) -> None:
        """Takes what a peer asks or answers."""
        if isinstance(message, LeadershipAnswer):
            self._take(message.sender, message.numbers)
            return
        confirmed = self._confirmed(message.sender, message.numbers)
        if confirmed:
            answer = LeadershipAnswer(self._me, message.sender, confirmed)
            self._outbox.say(META_GROUP, answer)

    def _confirmed(self, leader: ReplicaId, numbers: list[int]) -> list[int]:
        confirmed: list[int] = []
        for at in range(0, len(numbers), ROW):
            replica = self._replicas.get(GroupId(numbers[at]))
            if replica is None:
                continue
            core = replica.core
            if core.confirm(leader, Term(numbers[at + 1]), Index(numbers[at + 3])):
                confirmed.extend(numbers[at : at + ROW])
                if core.has_ready:
                    self._agenda.touch(replica)
        return confirmed

    def _take(self, peer: ReplicaId, numbers: list[int]) -> None:
        for at in range(0, len(numbers), ROW):
            replica = self._replicas.get(GroupId(numbers[at]))
            if replica is not None:
                replica.core.on_confirmed(peer, Term(numbers[at + 1]), numbers[at + 2])
                replica.take_confirmed()
                if replica.has_confirmed:
                    self._agenda.touch(replica)
