"""Sessions, and the queue of writes: what is sealed, sent again, and given up."""

from __future__ import annotations

import asyncio
import math
from random import Random

import pytest

from kvstore.client.operations import OPERATION_COST_BYTES, WriteSection
from kvstore.client.outbox import Outbox, PartitionQueue
from kvstore.client.session import OPEN_SEQUENCES_MAX, Session
from kvstore.client.write_queue import WriteQueue
from kvstore.codec.command import Stamp, decode_command
from kvstore.errors import ClientClosed, DeadlineExceeded, OutcomeUnknown

ALL = (1 << 20, 1000)


class Lane:
    """Counts how often it is asked to come."""

    enlisted = 0

    def enlist(self, queue: PartitionQueue[WriteSection]) -> None:
        self.enlisted += 1

    def unlist(self, queue: PartitionQueue[WriteSection]) -> None:
        pass


class Writes:
    """A queue of writes, and an outbox that is counted in."""

    def __init__(self) -> None:
        self.known = 0
        self.box = Outbox(
            WriteSection,
            1,
            lambda p, box: WriteQueue(p, box, random=Random(1), known_index=lambda _: self.known),
        )
        (queue,) = self.box.queues
        assert isinstance(queue, WriteQueue)
        self.queue = queue

    def add(self, value: bytes = b"", deadline_s: float = math.inf) -> asyncio.Future[int]:
        section = self.queue.section
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        section.keys.append(b"key")
        section.codes.append(1)
        section.arguments.append(value)
        section.deadlines.append(deadline_s)
        section.futures.append(future)
        self.box.cost_bytes += 3 + len(value) + OPERATION_COST_BYTES
        return future

    def take(self) -> WriteSection:
        section = self.queue.take(*ALL)
        assert section is not None
        return section

    def send(self, *values: bytes) -> WriteSection:
        for value in values:
            self.add(value)
        return self.take()

    def refuse(self, section: WriteSection) -> None:
        assert self.queue.returned(section, None)
        self.queue.give_back(section)

    def lose(self, section: WriteSection) -> None:
        assert self.queue.returned(section, "no answer")
        self.queue.give_back(section)

    def answer(self, section: WriteSection) -> None:
        for future in section.futures:
            if not future.done():
                future.set_result(1)
        self.queue.settle(section)


@pytest.fixture
async def writes() -> Writes:
    return Writes()


def stamp_of(section: WriteSection) -> Stamp:
    stamp = decode_command(section.body()).stamp
    assert stamp is not None
    return stamp


# --- stamps


async def test_sequences_rise_from_1_and_the_lowest_is_the_first_that_is_open(
    writes: Writes,
) -> None:
    first, second, third = (writes.send(b"") for _ in range(3))
    assert [stamp_of(each).sequence for each in (first, second, third)] == [1, 2, 3]
    writes.answer(second)
    assert stamp_of(writes.send(b"")).lowest == 1
    writes.answer(first)
    fifth = stamp_of(writes.send(b""))
    assert (fifth.sequence, fifth.lowest) == (5, 3)


async def test_a_session_is_opened_after_what_is_known_when_its_first_section_is_sent(
    writes: Writes,
) -> None:
    writes.known = 7
    first = writes.send(b"")
    writes.known = 9
    assert [stamp_of(each).opened_after for each in (first, writes.send(b""))] == [7, 7]


async def test_each_queue_has_a_session_of_its_own(writes: Writes) -> None:
    random = Random(1)
    sessions = [Session(random) for _ in range(100)]
    assert len({session.client for session in sessions}) == 100
    stamp = stamp_of(writes.send(b""))
    assert any(stamp.client)
    assert stamp.opened_after == 0


@pytest.mark.parametrize("how", ["refuse", "lose"])
async def test_a_section_is_sent_again_byte_for_byte_and_before_what_came_since(
    writes: Writes, how: str
) -> None:
    section = writes.send(b"1", b"2", b"3")
    body = section.body()
    section.futures[1].cancel()
    getattr(writes, how)(section)
    writes.add(b"4")
    again = writes.take()
    assert again is section
    assert again.body() == body
    assert list(decode_command(writes.take().body()).arguments) == [b"4"]


async def test_sections_are_sent_again_in_the_order_of_their_first_tries(writes: Writes) -> None:
    sections = [writes.send(b"%d" % number) for number in range(4)]
    for number in (2, 0, 3, 1):
        writes.lose(sections[number])
    assert [writes.take() for _ in sections] == sections


async def test_what_is_sent_again_is_whole_whatever_the_bounds(writes: Writes) -> None:
    section = writes.send(b"1", b"2", b"3")
    writes.lose(section)
    assert writes.queue.take(1, 1) is section


async def test_bytes_are_counted_while_it_waits(writes: Writes) -> None:
    section = writes.send(b"1", b"2")
    assert writes.box.cost_bytes == 0
    writes.lose(section)
    assert writes.box.cost_bytes == section.cost_bytes() > 0
    section.futures[0].cancel()
    writes.take()
    assert writes.box.cost_bytes == 0
    writes.lose(section)
    section.futures[1].cancel()
    writes.queue.compact()
    assert writes.box.cost_bytes == 0
    assert not writes.queue.waits


# --- given up


@pytest.mark.parametrize("how", ["refuse", "lose"])
async def test_what_nobody_waits_for_any_more_is_not_sent_and_its_sequence_is_settled(
    writes: Writes, how: str
) -> None:
    section = writes.send(b"1")
    getattr(writes, how)(section)
    section.futures[0].cancel()
    assert writes.queue.take(*ALL) is None
    assert section.is_settled
    assert stamp_of(writes.send(b"2")) == Stamp(writes.queue.session.client, 2, 2, 0)


async def test_a_call_that_ends_when_nobody_waits_settles_its_sequence(writes: Writes) -> None:
    section = writes.send(b"1")
    section.futures[0].cancel()
    assert not writes.queue.returned(section, "no answer")
    assert writes.queue.session.lowest == 2


async def test_what_is_under_way_for_nobody_is_not_waited_for(writes: Writes) -> None:
    section = writes.send(b"1")
    section.futures[0].cancel()
    assert stamp_of(writes.send(b"2")).lowest == 2
    assert not writes.queue.returned(section, "no answer")
    assert not writes.queue.waits


async def test_a_caller_that_is_told_that_nothing_was_applied_is_taken_out_for_good(
    writes: Writes,
) -> None:
    writes.add(b"1", deadline_s=10)
    writes.add(b"2", deadline_s=20)
    section = writes.take()
    early, late = section.futures
    between = writes.send(b"3")
    writes.refuse(section)
    assert writes.queue.expire(10.5) == 20
    assert isinstance(early.exception(), DeadlineExceeded)
    assert not late.done()
    again = writes.take()
    assert list(decode_command(again.body()).arguments) == [b"2"]
    assert stamp_of(again).sequence == 3  # neither its own nor that of another
    assert stamp_of(again).lowest == 2
    assert writes.box.cost_bytes == 0
    writes.answer(between)


async def test_a_caller_of_a_write_in_doubt_is_told_so_and_the_others_go_on_as_before(
    writes: Writes,
) -> None:
    writes.add(b"1", deadline_s=10)
    writes.add(b"2", deadline_s=20)
    section = writes.take()
    body = section.body()
    writes.lose(section)
    assert writes.queue.expire(10.5) == 20
    problem = section.futures[0].exception()
    assert isinstance(problem, OutcomeUnknown)
    assert "no answer" in str(problem)
    assert writes.take().body() == body


async def test_only_what_is_certain_ends_before_its_time(writes: Writes) -> None:
    """The margin is there lest a certain outcome become unknown."""
    in_doubt = writes.add(deadline_s=10)
    lost = writes.take()
    refused = writes.add(deadline_s=10)
    writes.refuse(writes.take())
    writes.lose(lost)
    new, newer = writes.add(deadline_s=10), writes.add(deadline_s=12)
    writes.queue.expire(9.5, 1.0)
    assert [each.done() for each in (in_doubt, refused, new, newer)] == [False, True, True, False]
    writes.queue.expire(10.5)
    assert isinstance(in_doubt.exception(), OutcomeUnknown)


async def test_a_refusal_does_not_end_the_doubt(writes: Writes) -> None:
    future = writes.add(deadline_s=10)
    section = writes.take()
    writes.lose(section)
    assert writes.take() is section
    writes.refuse(section)
    writes.queue.expire(11)
    assert isinstance(future.exception(), OutcomeUnknown)


async def test_the_end_of_the_client_tells_what_is_in_doubt_from_what_is_not(
    writes: Writes,
) -> None:
    lost, refused = writes.send(b"1"), writes.send(b"2")
    writes.lose(lost)
    writes.refuse(refused)
    queued = writes.add(b"3")
    writes.queue.close()
    problems = [lost.futures[0].exception(), refused.futures[0].exception(), queued.exception()]
    assert [type(each) for each in problems] == [OutcomeUnknown, ClientClosed, ClientClosed]
    assert "nothing was applied" in str(problems[1])


# --- two tries at once


async def test_a_write_taken_back_is_sent_to_another_while_the_first_has_it(
    writes: Writes,
) -> None:
    section = writes.send(b"1")
    assert writes.queue.recall(section, "the old leader had it")
    assert not writes.queue.recall(section, "twice")
    assert writes.take() is section
    assert not writes.queue.recall(section, "thrice")
    # Whatever the first says but "done" is not the last word.
    assert not writes.queue.returned(section, None)
    assert writes.queue.returned(section, None)
    assert section.doubt == "the old leader had it"


async def test_the_first_answer_settles_both(writes: Writes) -> None:
    section = writes.send(b"1")
    writes.queue.recall(section, "the old leader had it")
    writes.answer(section)
    assert not writes.queue.waits
    assert writes.box.cost_bytes == 0
    assert writes.queue.take(*ALL) is None


async def test_a_failure_after_the_answer_of_another_try_means_nothing(writes: Writes) -> None:
    section = writes.send(b"1")
    writes.queue.recall(section, "the old leader had it")
    writes.take()
    writes.answer(section)
    assert not writes.queue.returned(section, "connection lost")
    assert not writes.queue.waits


# --- the window


async def test_the_oldest_is_sent_once_more_when_it_holds_up_the_others(writes: Writes) -> None:
    lane = Lane()
    writes.queue.lane = lane
    oldest = writes.send(b"0")
    for number in range(1, OPEN_SEQUENCES_MAX):
        writes.answer(writes.send(b"%d" % number))
    writes.add(b"next")
    assert writes.take() is oldest
    assert oldest.doubt is not None
    assert writes.queue.take(*ALL) is None  # both tries are under way
    assert writes.queue.waits
    assert lane.enlisted == 0
    writes.answer(oldest)
    assert lane.enlisted == 1
    assert stamp_of(writes.take()).sequence == OPEN_SEQUENCES_MAX + 1


async def test_nothing_is_sent_twice_for_a_full_window_alone(writes: Writes) -> None:
    writes.send(b"0")
    for number in range(1, OPEN_SEQUENCES_MAX):
        writes.answer(writes.send(b"%d" % number))
    assert writes.queue.take(*ALL) is None
    writes.add(b"gone").cancel()
    assert writes.queue.take(*ALL) is None


async def test_the_window_opens_when_the_oldest_is_given_up(writes: Writes) -> None:
    lane = Lane()
    writes.queue.lane = lane
    oldest = writes.send(b"0")
    for number in range(1, OPEN_SEQUENCES_MAX):
        writes.answer(writes.send(b"%d" % number))
    writes.add(b"next")
    assert writes.take() is oldest
    assert writes.queue.take(*ALL) is None
    oldest.futures[0].cancel()
    writes.queue.expire(0)
    assert lane.enlisted > 0
    assert stamp_of(writes.take()).sequence == OPEN_SEQUENCES_MAX + 1


async def test_a_new_stamp_needs_room_as_well(writes: Writes) -> None:
    """The window is full of sections that wait; the first of them needs a new stamp."""
    writes.add(b"early", deadline_s=10)
    writes.add(b"late")
    first = writes.take()
    others = [writes.send(b"%d" % number) for number in range(1, OPEN_SEQUENCES_MAX)]
    writes.refuse(first)
    for each in others:
        writes.lose(each)
    writes.queue.expire(11)
    assert writes.take() is first
    assert [writes.take() for _ in others] == others


# --- sessions that were forgotten


async def test_a_new_session_takes_over_what_was_certainly_not_applied(writes: Writes) -> None:
    sections = [writes.send(b"%d" % number) for number in range(4)]
    old = stamp_of(sections[0]).client
    refused, lost, under_way, unknown = sections
    lost_body = lost.body()
    writes.lose(lost)
    writes.refuse(refused)
    writes.queue.returned(unknown, None)
    writes.queue.renew(unknown, 77)
    writes.queue.give_back(unknown)
    assert writes.take() is refused
    assert stamp_of(refused) == Stamp(writes.queue.session.client, 1, 1, 77)
    assert stamp_of(refused).client != old
    assert writes.take() is lost
    assert lost.body() == lost_body
    assert writes.take() is unknown
    assert stamp_of(unknown) == Stamp(writes.queue.session.client, 2, 1, 77)
    # What was under way meanwhile comes back with a stamp of the old one.
    writes.refuse(under_way)
    assert writes.take() is under_way
    assert stamp_of(under_way) == Stamp(writes.queue.session.client, 3, 1, 77)


async def test_one_forgotten_session_is_followed_by_one_new_one(writes: Writes) -> None:
    first, second = writes.send(b"1"), writes.send(b"2")
    writes.queue.renew(first, 77)
    session = writes.queue.session
    writes.queue.renew(second, 78)
    assert writes.queue.session is session
