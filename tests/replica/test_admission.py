"""The door of the host: bounds, expiry, and what those are told who are turned away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from cluster.ids import ReplicaId
from cluster.membership import PeerContacts
from kvstore.replica.admission import (
    DRAIN_TICKS_MAX,
    PARTITION_REQUESTS_MIN,
    Admission,
    AdmissionLimits,
)
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from tests.replica.world import Answers

ME, PEER = ReplicaId(1), ReplicaId(2)
ONE, OTHER, THIRD = "[::1]:1", "[::1]:2", "[::1]:3"


def admission(requests_max: int = 4, bytes_max: int = 100) -> Admission:
    contacts = PeerContacts(ME, [PEER], 12)
    return Admission(ME, contacts, AdmissionLimits(requests_max, bytes_max), 12)


def test_beyond_a_bound_a_batch_is_refused_and_the_bound_is_named() -> None:
    door = admission()
    assert door.enter(ONE, 4, 10) is None
    assert door.enter(OTHER, 1, 10) == "4 requests are under way; the limit is 4"
    door.leave(ONE, 4, 10)
    assert door.enter(ONE, 1, 90) is None
    assert door.enter(OTHER, 1, 11) == "90 bytes are under way; the limit is 100"


def test_a_greedy_connection_gets_half_of_the_room_and_others_find_the_rest() -> None:
    door = admission(requests_max=12, bytes_max=1200)
    assert [door.enter(ONE, 1, 1) is None for _ in range(7)] == [True] * 6 + [False]
    assert [door.enter(OTHER, 1, 1) is None for _ in range(4)] == [True] * 3 + [False]
    assert door.enter(THIRD, 3, 1) is None


def test_connections_that_are_all_greedy_get_the_same_and_leave_as_much() -> None:
    door = admission(requests_max=12)
    peers = (ONE, OTHER, THIRD)
    taken = dict.fromkeys(peers, 0)
    for _ in range(12):
        for peer in peers:
            taken[peer] += door.enter(peer, 1, 1) is None
    assert taken == dict.fromkeys(peers, 3)


def test_a_refused_connection_is_told_of_its_share() -> None:
    door = admission(requests_max=4)
    assert door.enter(ONE, 2, 10) is None
    assert door.enter(ONE, 1, 10) == (
        "2 requests, 10 bytes, of this connection are under way, and with this batch it would have "
        "more than is left for others, of 4 requests and 100 bytes in all"
    )
    assert door.enter(OTHER, 2, 10) is None


def test_bytes_are_shared_as_requests_are() -> None:
    door = admission(requests_max=100, bytes_max=100)
    assert door.enter(ONE, 1, 50) is None
    assert door.enter(ONE, 1, 1) is not None
    assert door.enter(OTHER, 1, 50) is None


def test_a_connection_with_nothing_under_way_is_forgotten() -> None:
    door = admission()
    for number in range(100):
        assert door.enter(f"[::1]:{number}", 1, 1) is None
        door.leave(f"[::1]:{number}", 1, 1)
    assert not door._shares


@pytest.mark.parametrize(
    ("under_way", "all_under_way", "is_greedy"),
    [
        (PARTITION_REQUESTS_MIN - 1, 1000, False),  # too few to matter
        (500, 500, False),  # as much is left
        (501, 501, True),
        (250, 750, False),
        (251, 750, True),
    ],
)
def test_a_partition_has_no_more_under_way_than_is_left_for_others(
    under_way: int, all_under_way: int, is_greedy: bool
) -> None:
    door = admission(requests_max=1000)
    assert door.enter(ONE, all_under_way, 0) is None
    assert door.is_greedy(cast("Replica", SimpleNamespace(requests=under_way))) == is_greedy


def test_what_leaves_makes_room() -> None:
    door = admission()
    for _ in range(100):
        assert door.enter(ONE, 4, 100) is None
        door.leave(ONE, 4, 100)


def test_a_batch_larger_than_the_bounds_is_let_in_alone() -> None:
    door = admission()
    assert door.enter(ONE, 10, 1000) is None
    assert door.enter(ONE, 1, 1) is not None
    door.leave(ONE, 10, 1000)
    assert door.enter(ONE, 1, 1) is None


@pytest.mark.parametrize(
    ("leave_in_a_tick", "under_way", "ticks"),
    [(0, 4000, DRAIN_TICKS_MAX), (100, 4000, 20), (100, 2000, 10), (100, 10, 1), (0, 0, 20)],
)
def test_who_is_refused_is_told_when_half_of_what_is_under_way_will_have_left(
    leave_in_a_tick: int, under_way: int, ticks: int
) -> None:
    door = admission(requests_max=10_000)
    for _ in range(100):
        assert door.enter(ONE, leave_in_a_tick, 0) is None
        door.leave(ONE, leave_in_a_tick, 0)
        door.tick()
    assert door.enter(ONE, under_way, 0) is None
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
