"""What an earlier term, transfer, round or write leaves behind has no say in the next one."""

from __future__ import annotations

import pytest

from cluster.ids import Index
from cluster.raft import AppendResponse, MemoryLogStorage, RaftConfig, TimeoutNow, TooManyReads
from cluster.raft.log import RaftLog
from tests.raft.solo import ME, THREE, TWO, Solo, configuration, entry, indexes, log_of, only


def leader(config: RaftConfig | None = None) -> Solo:
    solo = Solo(config=config)
    solo.lead(caught_up=(TWO, THREE))
    return solo


def hear_both(solo: Solo, ticks: int) -> None:
    for _ in range(ticks):
        solo.tick()
        solo.step(solo.beats(TWO), solo.beats(THREE))


def test_a_transfer_after_one_that_was_given_up_is_begun_and_has_all_its_time() -> None:
    solo = leader()
    solo.raft.transfer_leadership(TWO)
    hear_both(solo, solo.config.election_ticks_min)
    assert solo.raft.status().transfer_to is None
    solo.raft.transfer_leadership(THREE)
    assert solo.settle() == [TimeoutNow(ME, THREE, solo.raft.term)]
    hear_both(solo, solo.config.election_ticks_min - 1)
    assert solo.raft.status().transfer_to == THREE
    hear_both(solo, 1)
    assert solo.raft.status().transfer_to is None


@pytest.mark.parametrize("old_entries", [1, 3])
def test_an_acknowledgement_of_an_old_term_does_not_take_the_place_of_one_of_the_new(
    old_entries: int,
) -> None:
    solo = Solo()
    solo.raft.step(solo.append(term=1, terms=[1] * old_entries, sender=TWO))
    solo.raft.step(solo.append(term=2, terms=[2, 2], sender=THREE))
    answers = only(AppendResponse, solo.settle(), THREE)
    assert answers == [AppendResponse(ME, THREE, solo.raft.term, True, Index(2))]


def test_reads_that_were_confirmed_make_room_for_as_many_again() -> None:
    solo = leader(RaftConfig(reads_waiting_max=3))
    for round_number in range(1, 4):
        for context in range(3):
            solo.raft.read_index(context)
        with pytest.raises(TooManyReads):
            solo.raft.read_index(3)
        solo.settle()
        solo.step(solo.beats(TWO, round_number))
    assert solo.raft.status().reads_waiting == 0


@pytest.mark.parametrize(
    ("bytes_max", "expected"), [(1, [1]), (4, [1, 2]), (5, [1, 2]), (6, [1, 2, 3, 4, 5])]
)
def test_entries_that_a_bound_cuts_short_are_not_followed_by_later_ones(
    bytes_max: int, expected: list[int]
) -> None:
    """Three of two bytes are with the host, two that are empty are not yet handed out."""
    storage = MemoryLogStorage()
    storage.append(log_of([1, 1, 1], data=b"xx"))
    log = RaftLog(storage, commit=Index(0), applied=Index(0), configuration=configuration(3))
    for index in (4, 5):
        log.append(entry(index, 1))
    assert indexes(log.entries(1, bytes_max)) == expected
