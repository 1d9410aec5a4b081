"""The door of the host: bounds, expiry, and what those are told who are turned away."""

from __future__ import annotations

import pytest

from cluster.ids import ReplicaId
from cluster.membership import PeerContacts
from kvstore.replica.admission import DRAIN_TICKS_MAX, Admission, AdmissionLimits
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from tests.replica.world import Answers

ME, PEER = ReplicaId(1), ReplicaId(2)


def admission(requests_max: int = 4, bytes_max: int = 100) -> Admission:
    contacts = PeerContacts(ME, [PEER], 12)
    return Admission(ME, contacts, AdmissionLimits(requests_max, bytes_max), 12)


def test_beyond_a_bound_a_batch_is_refused_and_the_bound_is_named() -> None:
    door = admission()
    assert door.enter(4, 10) is None
    assert door.enter(1, 10) == "4 requests are under way; the limit is 4"
    door.leave(4, 10)
    assert door.enter(1, 90) is None
    assert door.enter(1, 11) == "90 bytes are under way; the limit is 100"


def test_what_leaves_makes_room() -> None:
    door = admission()
    for _ in range(100):
        assert door.enter(4, 100) is None
        door.leave(4, 100)


def test_a_batch_larger_than_the_bounds_is_let_in_alone() -> None:
    door = admission()
    assert door.enter(10, 1000) is None
    assert door.enter(1, 1) is not None
    door.leave(10, 1000)
    assert door.enter(1, 1) is None


@pytest.mark.parametrize(
    ("leave_in_a_tick", "under_way", "ticks"),
    [(0, 4000, DRAIN_TICKS_MAX), (100, 4000, 20), (100, 2000, 10), (100, 10, 1), (0, 0, 20)],
)
def test_who_is_refused_is_told_when_half_of_what_is_under_way_will_have_left(
    leave_in_a_tick: int, under_way: int, ticks: int
) -> None:
    door = admission(requests_max=10_000)
    for _ in range(100):
        assert door.enter(leave_in_a_tick, 0) is None
        door.leave(leave_in_a_tick, 0)
        door.tick()
    assert door.enter(under_way, 0) is None
    assert door.drains_in_ticks() == ticks


def test_a_request_expires_in_its_tick_and_not_before() -> None:
    door = admission()
    answers = Answers()
    door.expire_in(ReadRequest(answers, 0, [b"key"]), 3)
    door.tick()
    door.tick()
    assert answers.status is None
    door.tick()
    assert answers.status is Status.UNAVAILABLE


def test_a_write_that_was_not_proposed_expires_as_certainly_not_applied() -> None:
    door = admission()
    waiting, proposed = Answers(), Answers()
    door.expire_in(WriteRequest(waiting, 0, b"command"), 1)
    request = WriteRequest(proposed, 0, b"command")
    request.is_proposed = True
    door.expire_in(request, 1)
    door.tick()
    assert waiting.status is Status.UNAVAILABLE
    assert proposed.status is Status.UNKNOWN


def test_a_settled_request_is_not_answered_again_and_holds_no_payload() -> None:
    door = admission()
    answers = Answers()
    request = WriteRequest(answers, 0, b"command")
    door.expire_in(request, 1)
    request.settle(Answer(Status.OK, b"result"))
    assert request.command == b""
    door.tick()
    assert answers.status is Status.OK


def test_an_abandoned_request_is_never_answered() -> None:
    answers = Answers()
    request = WriteRequest(answers, 0, b"command")
    request.abandon()
    request.settle(Answer(Status.OK))
    assert answers.answer is None
