"""The leader's part of a scrub: puts a mark into the log, gathers what the members have read there,
and decides.

```
 due, or asked for ──▶ mark proposed ──▶ answers of all that can be heard, ──▶ verdict
                                         or the time is up
```

A round belongs to one leadership: when that ends, so does the round, without a verdict. The next
leader goes on from the last verdict that it has heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cluster.errors import ProposalRefused
from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.scrub import Outcome, Verdict, verdict
from kvstore.codec.scrub import ScrubHash, ScrubReply, encode_mark
from kvstore.replica.admission import Admission
from kvstore.replica.replica import Replica

ASKED_MAX: Final = 2
"""Rounds that were asked for, of one node as a leader: its peers have readings of other leaders,
too. Of the others there is one, and only while nothing is asked for."""
PATIENCE: Final = 8
"""Times as long as the leader itself took, members may take: a node reads one state at a time, and
others may come first."""
GRACE_TICKS: Final = 100
"""And so many more."""
_LOOK_TICKS: Final = 10
"""Between two looks for what is due."""
_SPREAD: Final = 16


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """A round that has ended."""

    term: Term
    index: Index
    verdict: Verdict
    hashes: Mapping[ReplicaId, int | None]
    """By member that answered; None: it could not read its state."""
    members: tuple[ReplicaId, ...]
    """In order."""


@dataclass(slots=True)
class _Round:
    term: Term
    index: Index
    was_asked: bool
    hashes: dict[ReplicaId, int | None] = field(default_factory=dict)
    age_ticks: int = 0
    ticks_max: int | None = None
    """Known once the leader itself is done."""


class ScrubRounds:
    """See the module. Time is in ticks."""

    __slots__ = (
        "_admission",
        "_asked",
        "_decided",
        "_due",
        "_interval_ticks",
        "_me",
        "_replicas",
        "_results",
        "_rounds",
        "_say",
        "_ticks",
        "_touch",
        "_within_ticks",
    )

    def __init__(
        self,
        *,
        me: ReplicaId,
        interval_ticks: int | None,
        within_ticks: int,
        replicas: Mapping[GroupId, Replica],
        admission: Admission,
        say: Callable[[GroupId, ScrubReply], None],
        touch: Callable[[Replica], None],
        decided: Callable[[Replica, ScrubResult], None],
    ) -> None:
        """`interval_ticks` between two rounds of a group, None: only when asked. A mark is proposed
        where a majority was heard `within_ticks`. `decided` is told of every verdict after the
        members were."""
        self._me = me
        self._interval_ticks = interval_ticks
        self._within_ticks = within_ticks
        self._replicas = replicas
        self._admission = admission
        self._say = say
        self._touch = touch
        self._decided = decided
        self._ticks = 0
        # In the order in which they were asked for.
        self._asked: dict[GroupId, None] = {}
        self._rounds: dict[GroupId, _Round] = {}
        self._due: dict[GroupId, int] = {}
        self._results: dict[GroupId, ScrubResult] = {}

    def ask(self, group: GroupId) -> None:
        """Begins a round of `group`, which is led here, as soon as there is room for it."""
        self._asked[group] = None

    def is_under_way(self, group: GroupId) -> bool:
        """Whether a round of `group` was asked for or has begun, and not ended."""
        return group in self._asked or group in self._rounds

    @property
    def under_way(self) -> list[GroupId]:
        """The groups that have one."""
        return list(self._rounds)

    def result(self, group: GroupId) -> ScrubResult | None:
        """The last verdict of this node as the leader of `group`."""
        return self._results.get(group)

    def heard(self, group: GroupId) -> None:
        """A round of `group` has ended, here or elsewhere: the next is due an interval later."""
        if self._interval_ticks is not None:
            self._due[group] = self._ticks + self._interval_ticks

    def tick(self) -> None:
        """Ends rounds whose time is up, and begins what is due."""
        self._ticks += 1
        for group, round_ in list(self._rounds.items()):
            if not self._still_leads(group, round_.term):
                del self._rounds[group]
                continue
            round_.age_ticks += 1
            self._end_if_complete(group, round_)
        if self._asked:
            self._begin_asked()
        elif not self._rounds and self._ticks % _LOOK_TICKS == 0:
            self._begin_due()

    def on_hash(self, group: GroupId, message: ScrubHash) -> None:
        """Takes a member's answer, this node's own among them, and answers it."""
        round_ = self._rounds.get(group)
        if round_ is None or (round_.term, round_.index) != (message.term, message.index):
            if message.sender != self._me:
                self._repeat(group, message)
            return
        if message.sender in self._replicas[group].members:
            round_.hashes[message.sender] = message.hash
        if message.sender == self._me:
            self._set_limit(round_)
        else:
            self._reply(group, message, Outcome.PENDING, None, is_named=False)
        self._end_if_complete(group, round_)

    def give_up(self, group: GroupId) -> None:
        """This node itself will not answer."""
        round_ = self._rounds.get(group)
        if round_ is not None:
            self._set_limit(round_)

    def _set_limit(self, round_: _Round) -> None:
        if round_.hashes.get(self._me, 0) is None:
            # This node is about to stop.
            round_.ticks_max = round_.age_ticks
        elif round_.ticks_max is None:
            round_.ticks_max = PATIENCE * round_.age_ticks + GRACE_TICKS

    def _still_leads(self, group: GroupId, term: Term) -> bool:
        replica = self._replicas[group]
        return replica.is_leader and replica.core.term == term

    def _end_if_complete(self, group: GroupId, round_: _Round) -> None:
        replica = self._replicas[group]
        ticks_max = round_.ticks_max
        if ticks_max is None or (
            round_.age_ticks < ticks_max
            and any(
                member not in round_.hashes and not self._admission.is_silent(member)
                for member in replica.members
            )
        ):
            return
        del self._rounds[group]
        found = verdict(replica.core.configuration, round_.hashes)
        members = tuple(sorted(replica.members))
        result = ScrubResult(round_.term, round_.index, found, round_.hashes, members)
        self._results[group] = result
        for member in members:
            if member != self._me:
                self._say(group, self._reply_of(result, member))
        self._decided(replica, result)

    def _begin_asked(self) -> None:
        """In the place of one that was not asked for, if need be."""
        for group in list(self._asked):
            under_way = [each for each, round_ in self._rounds.items() if round_.was_asked]
            if not self._replicas[group].is_leader:
                del self._asked[group]
            elif len(under_way) >= ASKED_MAX:
                return
            elif group not in under_way and self._begin(group, was_asked=True):
                del self._asked[group]

    def _begin_due(self) -> None:
        if self._interval_ticks is not None:
            for group in self._due_groups(self._interval_ticks):
                if self._begin(group, was_asked=False):
                    return

    def _due_groups(self, interval: int) -> list[GroupId]:
        """Those led here, what is overdue the longest first."""
        led: list[tuple[int, GroupId]] = []
        for group, replica in self._replicas.items():
            due = self._due.get(group)
            if due is None:
                # Not all at once after a start.
                share = len(self._due) % _SPREAD + 1
                due = self._due[group] = self._ticks + interval * share // _SPREAD
            if replica.is_leader and due <= self._ticks:
                led.append((due, group))
        return [group for _due, group in sorted(led)]

    def _begin(self, group: GroupId, *, was_asked: bool) -> bool:
        replica = self._replicas[group]
        if not self._admission.reaches_majority(replica, self._within_ticks):
            return False
        try:
            index = replica.core.propose(encode_mark(at_full_pace=was_asked))
        except ProposalRefused:
            return False
        self._rounds[group] = _Round(replica.core.term, index, was_asked)
        self._touch(replica)
        return True

    def _repeat(self, group: GroupId, message: ScrubHash) -> None:
        """Answers one that asks after the round."""
        result = self._results.get(group)
        if result is not None and (result.term, result.index) == (message.term, message.index):
            self._say(group, self._reply_of(result, message.sender))
        else:
            self._reply(group, message, Outcome.FORGOTTEN, None, is_named=False)

    def _reply_of(self, result: ScrubResult, to: ReplicaId) -> ScrubReply:
        found = result.verdict
        return ScrubReply(
            self._me, to, result.term, result.index, found.outcome, found.hash, to in found.named
        )

    def _reply(
        self,
        group: GroupId,
        message: ScrubHash,
        outcome: Outcome,
        right: int | None,
        *,
        is_named: bool,
    ) -> None:
        reply = ScrubReply(
            self._me, message.sender, message.term, message.index, outcome, right, is_named
        )
        self._say(group, reply)
