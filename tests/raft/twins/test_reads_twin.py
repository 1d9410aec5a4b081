"""ReadIndex against a list of reads: who waits, for which round, and what is served when."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.ids import Index
from cluster.raft import ReadState, TooManyReads
from cluster.raft.reads import Reads
from tests.raft.twins import LIVES

COUNT_MAX = 6


@dataclass
class Read:
    """One read; without a round it waits for the next."""

    context: int
    round: int = 0
    index: int = 0


class ReadsTwin(RuleBasedStateMachine):
    """The reads of one leader in one term, whose followers confirm rounds in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = Reads(COUNT_MAX)
        self.twin: list[Read] = []
        self.confirmed: list[ReadState] = []
        self.round = 0
        self.commit = 0

    @rule(context=st.integers(0, 3))
    def add(self, context: int) -> None:
        """Contexts come again: they say nothing."""
        if len(self.twin) >= COUNT_MAX:
            with pytest.raises(TooManyReads):
                self.reads.add(context)
        else:
            self.reads.add(context)
            self.twin.append(Read(context))

    @rule(context=st.integers(0, 3))
    def serve(self, context: int) -> None:
        """One that a lease answers; it is bounded as well, in what waits to be handed out."""
        if len(self.confirmed) >= COUNT_MAX:
            with pytest.raises(TooManyReads):
                self.reads.serve(context, Index(self.commit))
        else:
            self.reads.serve(context, Index(self.commit))
            self.confirmed.append(ReadState(context, Index(self.commit)))

    @rule()
    def next_round(self) -> None:
        """One without reads: its answers confirm what was begun before."""
        self.round += 1
        assert self.reads.next_round() == self.round

    @precondition(lambda self: any(not read.round for read in self.twin))
    @rule()
    def begin_round(self) -> None:
        self.reads.begin_round(Index(self.commit))
        self.round += 1
        for read in self.twin:
            if not read.round:
                read.round, read.index = self.round, self.commit

    @rule(count=st.integers(1, 3))
    def commit_more(self, count: int) -> None:
        self.commit += count

    @rule(back=st.integers(0, 3))
    def confirm(self, back: int) -> None:
        """A majority has answered a round that was begun, the last or an older one."""
        confirmed = max(self.round - back, 0)
        served = [read for read in self.twin if 0 < read.round <= confirmed]
        self.twin = [read for read in self.twin if read not in served]
        self.confirmed += [ReadState(read.context, Index(read.index)) for read in served]
        self.reads.confirm(confirmed)

    @rule()
    def take(self) -> None:
        """What was confirmed is handed out once."""
        assert list(self.reads.take()) == self.confirmed
        self.confirmed = []

    @invariant()
    def all_is_the_same(self) -> None:
        unconfirmed = [read for read in self.twin if read.round]
        assert len(self.reads) == len(self.twin) <= COUNT_MAX
        assert self.reads.round == self.round
        assert self.reads.open_round == (self.round if unconfirmed else 0)


ReadsTwin.TestCase.settings = LIVES
TestReadsTwin = ReadsTwin.TestCase
