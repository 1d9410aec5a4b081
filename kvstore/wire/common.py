"""The messages that there are most of, as rows of numbers: `CommonMessages` in
proto/cluster/v1/peer.proto.

A round of a node that leads many groups has dozens of them. So they cost a conversion of one list
instead of an object and some fields each.
"""

from __future__ import annotations

from typing import Final

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryKind,
    HeartbeatRequest,
    HeartbeatResponse,
)
from kvstore.codec.byteslist import CodecError
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb

_APPEND_REQUEST: Final = int(pb.MESSAGE_KIND_APPEND_REQUEST)
_APPEND_RESPONSE: Final = int(pb.MESSAGE_KIND_APPEND_RESPONSE)
_HEARTBEAT_REQUEST: Final = int(pb.MESSAGE_KIND_HEARTBEAT_REQUEST)
_HEARTBEAT_RESPONSE: Final = int(pb.MESSAGE_KIND_HEARTBEAT_RESPONSE)
_ROW: Final = 7
_ENTRY_KINDS: Final = {int(kind): kind for kind in EntryKind}


class CommonRows:
    """Gathers the common messages of one round."""

    __slots__ = ("_entries", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._entries: list[Entry] = []

    def add(self, group: GroupId, message: PeerMessage) -> bool:
        """Takes a message, if it is of a common kind; whether it is."""
        put = self._numbers.extend
        if isinstance(message, AppendRequest):
            entries = message.entries
            self._entries.extend(entries)
            before = message.prev_index, message.prev_term
            put((_APPEND_REQUEST, group, message.term, *before, message.commit, len(entries)))
        elif isinstance(message, AppendResponse):
            hint = message.hint_term, message.hint_index
            accepted = int(message.accepted)
            put((_APPEND_RESPONSE, group, message.term, message.index, *hint, accepted))
        elif isinstance(message, HeartbeatRequest):
            asked = message.commit, message.read_round, int(message.fall_quiet)
            put((_HEARTBEAT_REQUEST, group, message.term, *asked, 0))
        elif isinstance(message, HeartbeatResponse):
            put((_HEARTBEAT_RESPONSE, group, message.term, message.read_round, 0, 0, 0))
        else:
            return False
        return True

    def put_into(self, encoded: pb.Round) -> None:
        """Puts all that was added where it is sent from."""
        if not self._numbers:
            return
        common = encoded.common
        common.numbers.extend(self._numbers)
        if self._entries:
            common.entry_terms.extend([entry.term for entry in self._entries])
            common.entry_kinds.extend([entry.kind for entry in self._entries])
            common.entry_data.extend([entry.data for entry in self._entries])


def decode_common(
    sender: ReplicaId, to: ReplicaId, common: pb.CommonMessages
) -> list[GroupMessage]:
    """The messages in `common`, which went from `sender` to `to`; raises CodecError where its
    lists do not fit together or hold kinds that are not known here."""
    numbers: list[int] = list(common.numbers)
    if len(numbers) % _ROW:
        raise CodecError(f"common messages have {_ROW} numbers each, not {len(numbers)} in all")
    entries = _Entries(common)
    decoded: list[GroupMessage] = []
    for at in range(0, len(numbers), _ROW):
        kind, group, term = numbers[at], GroupId(numbers[at + 1]), Term(numbers[at + 2])
        first, second = numbers[at + 3], numbers[at + 4]
        third, fourth = numbers[at + 5], numbers[at + 6]
        message: PeerMessage
        if kind == _APPEND_REQUEST:
            index, taken = Index(first), entries.take(first, fourth)
            message = AppendRequest(sender, to, term, index, Term(second), Index(third), taken)
        elif kind == _APPEND_RESPONSE:
            message = AppendResponse(
                sender, to, term, fourth != 0, Index(first), Index(third), Term(second)
            )
        elif kind == _HEARTBEAT_REQUEST:
            message = HeartbeatRequest(sender, to, term, Index(first), second, third != 0)
        elif kind == _HEARTBEAT_RESPONSE:
            message = HeartbeatResponse(sender, to, term, first)
        else:
            raise CodecError(f"message kind {kind} is not one of the common ones")
        decoded.append((group, message))
    entries.require_none_left()
    return decoded


class _Entries:
    """The entries of a round, of all its messages."""

    __slots__ = ("_data", "_kinds", "_position", "_terms")

    def __init__(self, common: pb.CommonMessages) -> None:
        self._terms: list[int] = list(common.entry_terms)
        self._kinds: list[int] = list(common.entry_kinds)
        self._data: list[bytes] = list(common.entry_data)
        self._position = 0
        if not len(self._terms) == len(self._kinds) == len(self._data):
            raise CodecError(
                f"{len(self._data)} entries have {len(self._terms)} terms and {len(self._kinds)}"
                " kinds"
            )

    def take(self, before: int, count: int) -> tuple[Entry, ...]:
        """The next `count` of them, which stand behind the index `before`."""
        first = self._position
        if count > len(self._data) - first:
            raise CodecError(f"an append has {count} entries; {len(self._data) - first} are left")
        self._position = first + count
        taken: list[Entry] = []
        for i in range(first, first + count):
            kind = _ENTRY_KINDS.get(self._kinds[i])
            if kind is None:
                raise CodecError(f"entry kind {self._kinds[i]} is not known here")
            index = Index(before + 1 + i - first)
            taken.append(Entry(index, Term(self._terms[i]), kind, self._data[i]))
        return tuple(taken)

    def require_none_left(self) -> None:
        """Raises CodecError where there are entries of no message."""
        left = len(self._data) - self._position
        if left:
            raise CodecError(f"{left} entries belong to no message")
