"""Nothing is claimed that is not on disk."""

from __future__ import annotations

import pytest

from cluster.ids import Index, Term
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatResponse,
    Message,
    VoteRequest,
    VoteResponse,
)
from kvstore.commitlog.commit_log import Record
from kvstore.replica.log_records import RecordKind, encode_entries
from kvstore.simulation.checkers.disk_record import DiskRecord
from kvstore.simulation.checkers.persisted_before_sent import PersistedBeforeSent
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import GROUP, ONE, THREE, TWO, FakeNode, entry


class Setup:
    """A replica in term 4 that has two entries on disk, of terms 1 and 4, and voted for 2."""

    def __init__(self) -> None:
        self.node = FakeNode(ONE)
        self.node.log.held = [entry(1, 1)]
        self.node.core.term = Term(4)
        self.disk = DiskRecord()
        self.checker = PersistedBeforeSent(self.disk)
        self.disk.on_start(self.node)
        self.node.log.held.append(entry(2, 4))
        self.write(1)
        self.node.commit_log.hold(4, TWO)

    def write(self, place: int) -> None:
        """Entries from that place on, by way of the pipeline."""
        payload = encode_entries(self.node.log.held[place:])
        self.node.host.pipeline._log.append([Record(GROUP, RecordKind.ENTRIES, payload)])

    def send(self, message: Message) -> None:
        self.checker.on_send(self.node, message.to, [(GROUP, message)])


def ack(index: int, term: int = 4, *, accepted: bool = True) -> Message:
    return AppendResponse(ONE, TWO, Term(term), accepted, Index(index))


def vote(term: int, *, pre_vote: bool = False) -> Message:
    return VoteRequest(ONE, THREE, Term(term), Index(2), Term(4), pre_vote)


@pytest.mark.parametrize(
    "message",
    [
        ack(2),
        ack(1),
        ack(0),
        ack(9, term=3),
        ack(9, accepted=False),
        VoteResponse(ONE, TWO, Term(4), True),
        VoteResponse(ONE, THREE, Term(4), False),
        VoteResponse(ONE, THREE, Term(5), True, True),
        vote(5, pre_vote=True),
        vote(3),
        HeartbeatResponse(ONE, TWO, Term(4)),
        AppendRequest(ONE, TWO, Term(4), Index(2), Term(4), Index(0), (entry(3, 4),)),
    ],
)
def test_what_is_on_disk_may_be_said(message: Message) -> None:
    Setup().send(message)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (ack(3), "on its disk is nothing there"),
        (ack(2, term=5), "on its disk is term 4"),
        (ack(2, term=5, accepted=False), "on its disk is term 4"),
        (VoteResponse(ONE, THREE, Term(4), True), "on its disk is a vote for 2"),
        (VoteResponse(ONE, THREE, Term(5), True), "on its disk is term 4"),
        (VoteResponse(ONE, THREE, Term(5), False), "on its disk is term 4"),
        (vote(4), "on its disk is a vote for 2"),
        (vote(5), "on its disk is term 4"),
        (HeartbeatResponse(ONE, TWO, Term(5)), "on its disk is term 4"),
    ],
)
def test_what_is_not_on_disk_is_found(message: Message, sentence: str) -> None:
    setup = Setup()
    setup.node.log.held.append(entry(3, 4))
    with pytest.raises(Violation, match=sentence):
        setup.send(message)


def test_an_entry_that_has_yet_to_take_the_place_of_another_on_disk_is_found() -> None:
    setup = Setup()
    setup.node.log.held[1] = entry(2, 5)
    setup.node.core.term = Term(5)
    setup.node.commit_log.hold(5, TWO)
    with pytest.raises(Violation, match="on its disk is an entry of term 4 there"):
        setup.send(ack(2, term=5))
    setup.write(1)
    setup.send(ack(2, term=5))


def test_an_acknowledgement_may_come_late_to_the_network() -> None:
    setup = Setup()
    setup.node.log.held[1:] = []
    setup.node.core.term = Term(5)
    setup.send(ack(2))
