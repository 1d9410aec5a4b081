"""What is under way between the replicas of a script, and which links carry nothing."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.ids import ReplicaId
from cluster.raft import Message
from tests.raft.script_file import ScriptError, Words
from tests.raft.script_print import KINDS, kind_of


class Network:
    """Messages in the order in which they were sent. Nothing arrives by itself."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._cuts: set[tuple[ReplicaId, ReplicaId]] = set()
        """Links (from, to) that carry nothing."""

    def is_cut(self, message: Message) -> bool:
        return (message.sender, message.to) in self._cuts

    def take(self, message: Message) -> Message:
        """Takes out exactly this one: a duplicate is equal to it."""
        messages = self.messages
        return messages.pop(next(i for i, other in enumerate(messages) if other is message))

    def chosen(self, words: Words, *, deliverable: bool = False) -> list[Message]:
        """The messages that fit, in the order in which they were sent."""
        count, last, backwards = words.times(), words.flag("last"), words.flag("reversed")
        sender = to = kind = None
        for word in words.rest():
            if "->" in word:
                one, _, other = word.partition("->")
                sender = None if one == "*" else words.span(one)
                to = None if other == "*" else words.span(other)
            elif word in KINDS:
                kind = word
            else:
                raise ScriptError(f"{words.verb}: {word!r} is no kind of message")
        chosen = [
            message
            for message in self.messages
            if (sender is None or message.sender in sender)
            and (to is None or message.to in to)
            and kind in (None, kind_of(message))
            and not (deliverable and self.is_cut(message))
        ]
        if not chosen:
            raise ScriptError(f"{words.verb}: no such message is under way")
        if count is not None:
            chosen = chosen[-count:] if last else chosen[:count]
        return chosen[::-1] if backwards else chosen

    def cut(self, words: Words, replicas: Iterable[ReplicaId]) -> None:
        """Cuts some of `replicas` off from all others, or single links one way."""
        inside: set[ReplicaId] = set()
        for word in words.rest():
            if "->" in word:
                one, _, other = word.partition("->")
                self._cuts |= {(a, b) for a in words.span(one) for b in words.span(other)}
            else:
                inside.update(words.span(word))
        ends = list(replicas)
        self._cuts |= {(a, b) for a in ends for b in ends if (a in inside) != (b in inside)}

    def heal(self) -> None:
        self._cuts.clear()
