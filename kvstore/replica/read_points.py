"""How old the state of a replica may be: found out by asking the leader.

```
 replica   s: its clock ── question ──▶ leader: ReadIndex ── answer: index ──▶ applied ≥ index: (s)
```

The leader confirms, after the question has come, that it still leads; so whatever was committed
before s is at or below the index. Once the replica has applied that much, it lacks nothing that was
committed before s: s is then its *point*, and its state is no older than the time since s. Both
ends of that time are read from one clock of one node, so that no two clocks need agree, and no
message need be fast.

There is a question only while reads ask for one. The same question serves reads that wait for an
index: ReadIndex makes the leader say how far it has committed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from cluster.ids import GroupId, Index, ReplicaId
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.replica.admission import Admission
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Status

RESEND_TICKS: Final = 2
"""A question that is not answered for so long may be lost, and another follows."""
QUESTIONS_MAX: Final = 8
"""Of one replica that are not answered: the latest, and at the leader the first of each sender."""

Say = Callable[[GroupId, PointQuestion | PointAnswer], None]
Read = Callable[[GroupId, ReadRequest, int], None]
"""Takes a linearizable read where the group is led, and answers it within so many ticks."""


class Points:
    """The questions of one replica, and its point: see the module."""

    __slots__ = ("_answered", "_asked", "_asked_tick", "asked_s", "index")

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}
        self._asked_tick = 0
        self._answered: deque[tuple[float, Index]] = deque()
        self.asked_s: float | None = None
        """The point; None: there is none yet."""
        self.index = Index(0)
        """What has to be applied for it."""

    def is_asking(self, tick: int) -> bool:
        """Whether an answer may be on its way."""
        return bool(self._asked) and tick - self._asked_tick < RESEND_TICKS

    def ask(self, number: int, now_s: float, tick: int) -> None:
        """Notes a question that is sent after `now_s`."""
        self._asked[number] = now_s
        self._asked_tick = tick
        if len(self._asked) > QUESTIONS_MAX:
            del self._asked[next(iter(self._asked))]

    def answered(self, number: int, index: Index | None) -> bool:
        """Takes an answer; False where its question is not known (any more)."""
        asked_s = self._asked.get(number)
        if asked_s is None:
            return False
        # Earlier ones have nothing to add.
        for earlier in [each for each in self._asked if self._asked[each] <= asked_s]:
            del self._asked[earlier]
        if index is not None:
            self._answered.append((asked_s, index))
            if len(self._answered) > QUESTIONS_MAX:
                self._answered.popleft()
        return True

    def advance(self, applied: Index) -> None:
        """So much is applied: the latest question that this answers is the point."""
        waiting: deque[tuple[float, Index]] = deque()
        for asked_s, index in self._answered:
            if index > applied:
                waiting.append((asked_s, index))
            elif self.asked_s is None or asked_s > self.asked_s:
                self.asked_s, self.index = asked_s, index
        self._answered = waiting

    @property
    def newest_s(self) -> float:
        """When the latest question that has an answer was asked, applied or not."""
        asked = [asked_s for asked_s, _ in self._answered]
        return max(asked, default=-math.inf if self.asked_s is None else self.asked_s)

    def as_of_s(self, applied: Index) -> float | None:
        """Everything that was committed by then is in a state that has applied so much; None where
        nothing is known of it."""
        return self.asked_s if applied >= self.index else None


class PointExchange:
    """Asks and answers, for all groups of a node."""

    __slots__ = (
        "_admission",
        "_answer_ticks",
        "_number",
        "_on_answer",
        "_open",
        "_random",
        "_read",
        "_replicas",
        "_say",
    )

    def __init__(
        self,
        *,
        admission: Admission,
        replicas: Mapping[GroupId, Replica],
        random: Random,
        read: Read,
        answer_ticks: int,
        say: Say,
        on_answer: Callable[[GroupId, PointAnswer], None],
    ) -> None:
        """`answer_ticks`: how long the leader tries to find out whether it leads."""
        self._admission = admission
        self._replicas = replicas
        self._random = random
        self._read = read
        self._answer_ticks = answer_ticks
        self._say = say
        self._on_answer = on_answer
        self._number: int | None = None
        self._open: dict[tuple[GroupId, ReplicaId], int] = {}
        """Questions that are being answered here, by who asked."""

    def leader_of(self, replica: Replica) -> ReplicaId | None:
        """Whom to ask; None where no leader is known, or none that answers."""
        leader = replica.core.leader
        return None if leader is None or self._admission.is_silent(leader) else leader

    def ask(self, replica: Replica, points: Points, now_s: float, tick: int) -> bool:
        """Asks, unless that is under way; False where there is nobody to ask."""
        leader = self.leader_of(replica)
        if leader is None:
            return False
        if not points.is_asking(tick):
            question = PointQuestion(self._admission.me, leader, self._next_number())
            points.ask(question.number, now_s, tick)
            if leader == self._admission.me:
                self.receive(replica.group, question)
            else:
                self._say(replica.group, question)
        return True

    def _next_number(self) -> int:
        # An answer to a question before a crash, late on its way, must not be taken for one since.
        # Drawn only where there is demand.
        if self._number is None:
            self._number = self._random.getrandbits(63)
        self._number += 1
        return self._number

    def receive(self, group: GroupId, message: PointQuestion | PointAnswer) -> None:
        """Takes what a replica of `group`, perhaps this one, says."""
        if isinstance(message, PointAnswer):
            self._on_answer(group, message)
            return
        key = (group, message.sender)
        under_way = self._open.get(key, 0)
        replica = self._replicas.get(group)
        if under_way >= QUESTIONS_MAX:
            return
        if replica is None or message.sender not in replica.members:
            self._answer(group, message, None)
            return
        self._open[key] = under_way + 1
        self._read(group, ReadRequest(_Asker(self, group, message), 0, []), self._answer_ticks)

    def found_out(self, group: GroupId, question: PointQuestion, answer: Answer) -> None:
        """The read that was made for `question` is answered: its index covers all that was
        committed when it came in."""
        key = (group, question.sender)
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
        index = Index(answer.index) if answer.status is Status.OK else None
        self._answer(group, question, index)

    def _answer(self, group: GroupId, question: PointQuestion, index: Index | None) -> None:
        answer = PointAnswer(question.to, question.sender, question.number, index)
        if question.sender == self._admission.me:
            self._on_answer(group, answer)
        else:
            self._say(group, answer)


class _Asker:
    """The Reply of a read that is made to answer a question."""

    __slots__ = ("_exchange", "_group", "_question")

    def __init__(self, exchange: PointExchange, group: GroupId, question: PointQuestion) -> None:
        self._exchange = exchange
        self._group = group
        self._question = question

    def settle(self, slot: int, answer: Answer) -> None:
        """See Reply."""
        self._exchange.found_out(self._group, self._question, answer)
