"""What a node has to say to its peers: one message per peer and round."""

from __future__ import annotations

from cluster.ids import GroupId, ReplicaId
from cluster.membership import PeerContacts
from cluster.raft.messages import AppendRequest
from kvstore.environment import GroupMessage, PeerMessage, Transport
from kvstore.replica.agenda import Agenda


class Outbox:
    """See the module."""

    __slots__ = ("_agenda", "_contacts", "_outgoing", "_spoke_to", "_transport", "messages_sent")

    def __init__(self, transport: Transport, contacts: PeerContacts, agenda: Agenda) -> None:
        self._transport = transport
        self._contacts = contacts
        self._agenda = agenda
        self._outgoing: dict[ReplicaId, list[GroupMessage]] = {}
        self._spoke_to: set[ReplicaId] = set()
        self.messages_sent = 0

    def add(self, group: GroupId, message: PeerMessage) -> None:
        """Takes what is said in a round: it goes out before the round ends."""
        if not self._contacts.takes_entries(message.to) and has_payload(message):
            return  # it would only be thrown away there
        outgoing = self._outgoing.get(message.to)
        if outgoing is None:
            self._outgoing[message.to] = [(group, message)]
        else:
            outgoing.append((group, message))

    def say(self, group: GroupId, message: PeerMessage) -> None:
        """Takes what is said between two rounds: it goes out with the next one."""
        self.add(group, message)
        self._agenda.schedule()

    def send(self) -> None:
        """Sends all that was taken."""
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, {}
        for peer, messages in outgoing.items():
            self.messages_sent += len(messages)
            self._spoke_to.add(peer)
            self._transport.send(peer, messages)

    def greet(self) -> None:
        """Says "I am here" to peers that nothing was sent to since the last greeting."""
        for peer in self._contacts.peers:
            if peer not in self._spoke_to:
                self._transport.send(peer, ())
        self._spoke_to.clear()


def has_payload(message: PeerMessage) -> bool:
    """Whether it brings entries that hold something."""
    return isinstance(message, AppendRequest) and any(entry.data for entry in message.entries)
