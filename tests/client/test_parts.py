"""The parts of the client, each by itself."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.deadlines import RESOLUTION_S, Deadlines
from kvstore.client.operations import OPERATION_COST_BYTES, WriteSection
from kvstore.client.outbox import Outbox
from kvstore.client.outcomes import Verdict, judge
from kvstore.client.retry import BACKOFF_S_FIRST, BACKOFF_S_MAX, backoff_s
from kvstore.codec.byteslist import CodecError
from kvstore.codec.command import decode_command
from kvstore.codec.results import encode_results
from kvstore.generated.kvstore.v1 import admin_pb2
from tests.client.fake_cluster import until


class TestBackoff:
    def test_it_doubles_up_to_a_bound_and_is_spread_over_all_of_it(self) -> None:
        random = Random(1)
        for failures, most in [(1, BACKOFF_S_FIRST), (3, 4 * BACKOFF_S_FIRST), (99, BACKOFF_S_MAX)]:
            delays = [backoff_s(failures, random) for _ in range(1000)]
            assert max(delays) <= most
            assert max(delays) > 0.95 * most
            assert min(delays) < 0.05 * most

    def test_the_same_seed_gives_the_same_delays(self) -> None:
        assert backoff_s(5, Random(7)) == backoff_s(5, Random(7))


class TestDeadlines:
    async def test_a_sweep_comes_at_the_earliest_deadline_and_again_for_what_is_left(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        waiting = [start + 0.03, start + 0.06, start + 0.0601]
        sweeps: list[float] = []

        def sweep(now_s: float) -> float:
            sweeps.append(now_s)
            waiting[:] = [deadline for deadline in waiting if deadline > now_s]
            return min(waiting, default=math.inf)

        deadlines = Deadlines(loop, sweep)
        for deadline in reversed(waiting):
            deadlines.note(deadline)
        await until(lambda: not waiting)
        assert start + 0.03 <= sweeps[0]
        assert all(b - a >= RESOLUTION_S for a, b in pairwise(sweeps))
        assert deadlines.next_s == math.inf

    async def test_none_comes_after_the_close(self) -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, lambda _: pytest.fail("swept"))
        deadlines.note(loop.time() + 0.001)
        deadlines.close()
        await asyncio.sleep(0.005)


operations = st.lists(st.tuples(st.binary(max_size=50), st.booleans()), max_size=30)


class TestOutbox:
    @given(operations, st.integers(1, 2000), st.integers(1, 10))
    def test_what_is_taken_keeps_order_and_bounds_and_leaves_out_who_is_gone(
        self, wanted: list[tuple[bytes, bool]], cost_max: int, count_max: int
    ) -> None:
        loop = asyncio.new_event_loop()
        box = Outbox(WriteSection, 1)
        (queue,) = box.queues
        for value, is_gone in wanted:
            add(box, value, is_gone, loop)
        taken: list[bytes] = []
        while (section := queue.take(cost_max, count_max)) is not None:
            assert len(section) <= count_max
            assert section.cost_bytes() <= cost_max or len(section) == 1
            assert list(decode_command(section.body()).arguments) == section.arguments
            taken.extend(section.arguments)
        assert taken == [value for value, is_gone in wanted if not is_gone]
        assert box.cost_bytes == 0
        loop.close()

    @given(operations, operations)
    def test_what_is_given_back_comes_before_what_came_since(
        self, first: list[tuple[bytes, bool]], second: list[tuple[bytes, bool]]
    ) -> None:
        loop = asyncio.new_event_loop()
        box = Outbox(WriteSection, 1)
        (queue,) = box.queues
        for value, is_gone in first:
            add(box, value, is_gone, loop)
        section = queue.take(1 << 20, 1000)
        for value, is_gone in second:
            add(box, value, is_gone, loop)
        if section is not None:
            queue.give_back(section)
        last = queue.take(1 << 20, 1000)
        values = [] if last is None else last.arguments
        assert values == [value for value, is_gone in first + second if not is_gone]
        assert box.cost_bytes == 0
        loop.close()


def add(
    box: Outbox[WriteSection], value: bytes, is_gone: bool, loop: asyncio.AbstractEventLoop
) -> None:
    section = box.queues[0].section
    future: asyncio.Future[int] = loop.create_future()
    if is_gone:
        future.cancel()
    section.keys.append(b"key")
    section.codes.append(1)
    section.arguments.append(value)
    section.deadlines.append(5.0)
    section.futures.append(future)
    box.cost_bytes += 3 + len(value) + OPERATION_COST_BYTES


async def test_an_answer_of_another_length_settles_nobody() -> None:
    box = Outbox(WriteSection, 1)
    add(box, b"", False, asyncio.get_running_loop())
    section = box.queues[0].section
    with pytest.raises(CodecError, match="2 results answer 1 operations"):
        section.answer(encode_results([1, 2]))
    assert not section.futures[0].done()


async def test_a_call_that_ends_well_without_a_message_is_a_connection_that_was_closed() -> None:
    """As it was seen where connections are reset under a load; what it asked may have been done."""

    async def nothing(_request: object, **_options: object) -> None:
        return None

    with pytest.raises(ConnectionClosed) as caught:
        await call(nothing, admin_pb2.GetMapRequest(), 1.0)
    assert judge(caught.value, "n1").verdict is Verdict.UNKNOWN
