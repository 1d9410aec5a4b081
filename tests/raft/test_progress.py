"""Progress: its transitions, and a window that neither overflows nor leaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.raft.progress import Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = ProgressState
NOW = 5


def progress(next_index: int = 11, *, messages: int = 3, size: int = 100) -> Progress:
    return Progress(next_index=next_index, heard_at=0, messages_max=messages, bytes_max=size)


def replicating(match: int = 10, *, messages: int = 3, size: int = 100) -> Progress:
    made = progress(match + 1, messages=messages, size=size)
    made.sent(0, 0, NOW)
    assert made.accepted(match)
    return made


def window(made: Progress) -> tuple[int, int]:
    return made.inflight_messages, made.inflight_bytes


def test_a_probe_is_sent_once_until_something_is_heard() -> None:
    made = progress()
    assert made.room() == 100
    made.sent(2, 20, NOW)
    assert (made.next, made.room(), window(made)) == (11, 0, (0, 0))
    assert not made.wants(12)
    made.heartbeat_answered(12)
    assert made.wants(12)
    assert made.room() == 100


def test_an_accepted_probe_starts_replication_behind_what_was_accepted() -> None:
    made = progress()
    made.sent(2, 20, NOW)
    assert made.accepted(12)
    assert (made.state, made.match, made.next, made.owes_request) == (REPLICATE, 12, 13, False)


def test_next_runs_ahead_of_match_while_replicating() -> None:
    made = replicating(10)
    made.sent(2, 30, NOW)
    made.sent(1, 30, NOW)
    assert (made.match, made.next, window(made)) == (10, 14, (2, 60))
    assert made.accepted(12)
    assert (made.match, made.next, window(made)) == (12, 14, (1, 30))


@pytest.mark.parametrize(
    ("sizes", "room", "fits_10"),
    [
        ([], 100, True),
        ([50], 50, True),
        ([50, 45], 5, False),
        ([50, 50], 0, False),
        ([1, 1, 1], 0, False),
        ([500], -400, False),
    ],
)
def test_the_window_is_bounded_by_messages_and_by_bytes(
    sizes: list[int], room: int, fits_10: bool
) -> None:
    made = replicating()
    for size in sizes:
        made.sent(1, size, NOW)
    assert made.room() == room
    assert (made.room() > 0 and made.fits(10)) is fits_10
    assert made.wants(99) is (room > 0)


def test_a_request_larger_than_the_window_goes_only_alone() -> None:
    made = replicating()
    assert made.fits(500)
    made.sent(1, 1, NOW)
    assert not made.fits(500)


def test_one_acknowledgement_frees_all_requests_below_it() -> None:
    made = replicating(10)
    for _ in range(3):
        made.sent(2, 5, NOW)
    made.accepted(16)
    assert window(made) == (0, 0)


@pytest.mark.parametrize("late", [0, 5, 9])
def test_match_never_moves_back(late: int) -> None:
    made = replicating(10)
    assert not made.accepted(late)
    assert (made.state, made.match, made.next) == (REPLICATE, 10, 11)


def test_a_repeated_acknowledgement_is_no_news() -> None:
    made = replicating(10)
    made.sent(2, 5, NOW)
    assert not made.accepted(10)
    assert (made.match, made.next, window(made)) == (10, 13, (1, 5))


def test_a_late_acceptance_does_not_end_a_probe_below_it() -> None:
    made = replicating(10)
    made.sent(5, 5, NOW)
    assert made.rejected(15, 12)
    assert not made.accepted(9)
    assert (made.state, made.next) == (PROBE, 13)


@pytest.mark.parametrize(
    ("rejected", "could_match", "next_index"),
    [
        (15, 12, 13),  # the hint is taken
        (15, 3, 11),  # but never below match
        (15, 40, 15),  # and never above what was rejected
    ],
)
def test_a_rejection_goes_back_to_probing(rejected: int, could_match: int, next_index: int) -> None:
    made = replicating(10)
    made.sent(5, 50, NOW)
    assert made.rejected(rejected, could_match)
    assert (made.state, made.match, made.next) == (PROBE, 10, next_index)
    assert made.owes_request
    assert window(made) == (0, 0)


@pytest.mark.parametrize("index", [0, 9, 10])
def test_a_rejection_at_or_below_match_is_late(index: int) -> None:
    made = replicating(10)
    made.sent(5, 50, NOW)
    assert not made.rejected(index, 0)
    assert (made.state, made.next, window(made)) == (REPLICATE, 16, (1, 50))


@pytest.mark.parametrize("index", [9, 11])
def test_a_rejection_of_another_probe_is_late(index: int) -> None:
    made = progress(11)
    made.sent(0, 0, NOW)
    assert not made.rejected(index, 0)
    assert (made.next, made.owes_request) == (11, False)


def test_a_heartbeat_asks_a_follower_that_lacks_something() -> None:
    made = replicating(10)
    made.heartbeat_answered(10)
    assert not made.wants(10)
    made.sent(2, 5, NOW)
    made.heartbeat_answered(12)
    assert made.owes_request
    made.sent(0, 0, NOW)
    assert (made.owes_request, made.next, window(made)) == (False, 13, (1, 5))


def test_a_follower_that_acknowledges_what_is_under_way_is_not_asked() -> None:
    made = replicating(10)
    made.sent(2, 5, NOW)
    made.sent(2, 5, NOW)
    for acknowledged in (12, 14):
        made.accepted(acknowledged)
        made.heartbeat_answered(16)
        assert not made.owes_request
    made.heartbeat_answered(16)
    assert made.owes_request


def test_requests_are_counted_once_a_tick() -> None:
    made = progress()
    for now in (5, 5, 6, 6, 6, 8):
        made.sent(0, 0, now)
    assert made.spoken_ticks == 3


def test_an_acknowledgement_beyond_next_moves_next() -> None:
    """What was sent before a rejection may yet arrive and be accepted."""
    made = replicating(10)
    made.sent(5, 5, NOW)
    made.rejected(14, 10)
    made.sent(1, 1, NOW)
    made.accepted(11)
    assert made.next == 12
    assert made.accepted(15)
    assert (made.match, made.next) == (15, 16)


# A snapshot under way


def snapshotting(match: int = 10, index: int = 50) -> Progress:
    made = replicating(match)
    made.sent(2, 30, NOW)
    made.snapshot_sent(index, now=7)
    return made


def test_while_a_snapshot_is_under_way_no_entries_are() -> None:
    made = snapshotting()
    assert (made.state, made.match, made.next) == (SNAPSHOT, 10, 51)
    assert (made.snapshot_index, made.snapshot_at) == (50, 7)
    assert (window(made), made.room(), made.wants(99)) == ((0, 0), 0, False)


def test_a_heartbeat_asks_whether_the_snapshot_has_arrived_and_sends_nothing_else() -> None:
    made = snapshotting()
    made.heartbeat_answered(99)
    assert (made.wants(99), made.room()) == (True, 0)
    made.sent(0, 0, NOW)
    assert (made.state, made.next, made.wants(99)) == (SNAPSHOT, 51, False)


@pytest.mark.parametrize(
    ("accepted", "state", "match", "next_index", "moved"),
    [
        (5, SNAPSHOT, 10, 51, False),  # late
        (12, SNAPSHOT, 12, 51, True),  # what was sent before the snapshot
        (49, SNAPSHOT, 49, 51, True),
        (50, REPLICATE, 50, 51, True),
        (60, REPLICATE, 60, 61, True),  # a later state was sent
    ],
)
def test_only_an_acknowledgement_of_the_snapshot_ends_it(
    accepted: int, state: ProgressState, match: int, next_index: int, moved: bool
) -> None:
    made = snapshotting()
    assert made.accepted(accepted) is moved
    assert (made.state, made.match, made.next) == (state, match, next_index)
    assert made.snapshot_index == (50 if state is SNAPSHOT else 0)


@pytest.mark.parametrize("index", [0, 10, 12, 50, 60])
def test_a_rejection_does_not_end_a_snapshot(index: int) -> None:
    made = snapshotting()
    assert not made.rejected(index, 0)
    assert (made.state, made.next, made.owes_request) == (SNAPSHOT, 51, False)


def test_after_a_snapshot_that_failed_nothing_is_sent_until_the_follower_is_heard() -> None:
    made = snapshotting()
    made.snapshot_failed()
    assert (made.state, made.next, made.snapshot_index) == (PROBE, 11, 0)
    assert not made.wants(99)
    made.heartbeat_answered(99)
    assert made.wants(99)


ACTIONS = st.one_of(
    st.tuples(st.just("snapshot"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("fail"), st.just(0), st.just(0)),
    st.tuples(st.just("send"), st.integers(1, 4), st.integers(0, 60)),
    st.tuples(st.just("accept"), st.integers(0, 40), st.just(0)),
    st.tuples(st.just("reject"), st.integers(0, 40), st.integers(0, 40)),
    st.tuples(st.just("heartbeat"), st.just(0), st.just(0)),
)


@given(st.lists(ACTIONS, max_size=60))
def test_whatever_comes_the_window_is_bounded_and_match_rises(
    actions: list[tuple[str, int, int]],
) -> None:
    made = progress(5)
    sent = 4
    for action, one, two in actions:
        before = made.match
        if action == "send" and made.room() > 0 and made.fits(two):
            made.sent(one, two, NOW)
            sent = max(sent, made.next - 1)
        elif action == "accept":
            made.accepted(min(one, sent))
        elif action == "reject":
            made.rejected(one, two)
        elif action == "snapshot" and one > made.match:
            made.snapshot_sent(one, now=0)
            sent = max(sent, one)
        elif action == "fail" and made.state is SNAPSHOT:
            made.snapshot_failed()
        elif action == "heartbeat":
            made.heartbeat_answered(sent)
        assert before <= made.match < made.next
        assert (made.state is SNAPSHOT) == (made.snapshot_index > 0)
        assert made.state is not SNAPSHOT or made.match < made.snapshot_index < made.next
        messages, size = window(made)
        assert messages <= 3
        assert size <= 100 or messages == 1
        assert (messages == 0) <= (size == 0)
    made.accepted(max(sent, made.match))
    assert window(made) == (0, 0)
