"""Whatever happens to calls: what was acknowledged is applied once, the rest at most once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import cycle
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.client import AsyncClient
from kvstore.codec.change import (
    Action,
    Change,
    append_operand,
    decode_answer,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind, decode_command
from kvstore.errors import KVStoreError, Outcome
from tests.client.memory_world import Fate, World

CHANGE = int(OperationKind.CHANGE)
ONE_MORE = encode_change(Change(Action.INCREMENT, increment_operand(1, 0)))


async def change(kv: AsyncClient, key: bytes, argument: bytes, timeout_s: float) -> int:
    """Changes `key`, and gives the number of the answer."""
    loop = asyncio.get_running_loop()
    dispatcher = await kv._start(loop, loop.time() + timeout_s)
    _, answer = await dispatcher.change(CHANGE, key, argument, loop.time() + timeout_s)
    return decode_answer(answer).number


class Appending:
    """Callers that append words of their own to few keys, and what became of each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: dict[bytes, int] = {}
        """How long the value was with the word, as its caller was told."""
        self.not_done: set[bytes] = set()
        self.unknown: set[bytes] = set()

    async def append(self, kv: AsyncClient, number: int, patience_s: float, cancels: bool) -> None:
        word = b"<%d>" % number
        argument = encode_change(Change(Action.APPEND, append_operand(1 << 20, word)))
        try:
            async with asyncio.timeout(patience_s if cancels else None):
                timeout_s = 60 if cancels else patience_s
                self.done[word] = await change(kv, self.key(number), argument, timeout_s)
        except KVStoreError as error:
            group = self.unknown if error.outcome is Outcome.UNKNOWN else self.not_done
            group.add(word)
        except TimeoutError:
            self.unknown.add(word)

    @staticmethod
    def key(number: int) -> bytes:
        return b"key-%d" % (number % 3)

    def check(self) -> None:
        text = self.world.cluster.data
        for word, length in self.done.items():
            value = text[self.key(int(word[1:-1]))]
            assert value.count(word) == 1
            assert value.index(word) + len(word) == length
        everything = b"".join(text.values())
        for word in self.not_done:
            assert everything.count(word) == 0
        for word in self.unknown:
            assert everything.count(word) <= 1


callers = st.tuples(
    st.floats(0, 2),  # when
    st.sampled_from([0.05, 0.5, 3.0, 60.0]),  # patience, in seconds
    st.booleans(),  # what it does then: cancel, or let the deadline pass
)


@settings(deadline=None)
@example([Fate.REFUSED, Fate.TWICE, Fate.INVALID], [(0.0, 0.5, False)], 0)
@given(
    st.lists(st.sampled_from(Fate), max_size=40), st.lists(callers, max_size=25), st.integers(0, 9)
)
def test_each_acknowledged_write_is_applied_once_and_each_unknown_one_at_most_once(
    fates: list[Fate], wanted: list[tuple[float, float, bool]], seed: int
) -> None:
    world = World(iter(fates), seed)
    appending = Appending(world)

    async def caller(kv: AsyncClient, number: int) -> None:
        when_s, patience_s, cancels = wanted[number]
        await asyncio.sleep(when_s)
        await appending.append(kv, number, patience_s, cancels)

    async def main() -> None:
        async with world.client() as kv:
            await asyncio.gather(*(caller(kv, number) for number in range(len(wanted))))

    world.run(main)
    appending.check()
    assert len(appending.done) + len(appending.not_done) + len(appending.unknown) == len(wanted)
    check_stamps(world)


def check_stamps(world: World) -> None:
    """No stamp ever named two commands, and no two partitions share a session."""
    bodies: dict[tuple[bytes, int], bytes] = {}
    partitions: dict[bytes, int] = {}
    for request in world.sent:
        for partition, body in zip(request.partition_ids, request.bodies, strict=True):
            stamp = decode_command(body).stamp
            assert stamp is not None
            assert bodies.setdefault((stamp.client, stamp.sequence), body) == body
            assert partitions.setdefault(stamp.client, partition) == partition


@pytest.mark.parametrize(
    ("nodes", "forced", "fates"),
    [
        (1, 10_000, (Fate.LOST, Fate.ANSWERED)),
        (3, 2_000, (Fate.LOST, Fate.UNKNOWN, Fate.LATE, Fate.TWICE, Fate.REFUSED, Fate.MOVED)),
    ],
    ids=["lost", "mixed"],
)
def test_thousands_of_forced_retries_count_nothing_twice(
    nodes: int, forced: int, fates: Iterable[Fate]
) -> None:
    world = World(cycle(fates), seed=1, nodes=nodes)
    answers: dict[bytes, list[int]] = {b"key-%d" % number: [] for number in range(8)}

    async def count(kv: AsyncClient, key: bytes) -> None:
        while world.forced < forced:
            answers[key].append(await change(kv, key, ONE_MORE, 60))

    async def main() -> None:
        async with world.client() as kv:
            await asyncio.gather(*(count(kv, key) for key in answers))

    world.run(main)
    assert world.forced >= forced
    for key, numbers in answers.items():
        assert numbers == list(range(1, len(numbers) + 1))
        assert world.cluster.data[key] == b"%d" % len(numbers)
    stamps = [stamp for each in world.cluster.partitions for stamp in each.sessions.applied]
    assert max(Counter((stamp.client, stamp.sequence) for stamp in stamps).values()) == 1
    assert sum(each.sessions.repeated for each in world.cluster.partitions) >= forced


def test_the_state_machine_keeps_little_for_a_client_that_writes_much() -> None:
    random = Random(3)
    fates = iter(random.choices([Fate.ANSWERED, Fate.LOST, Fate.REFUSED], [8, 1, 1], k=4000))
    world = World(fates)
    most = 0

    async def write(kv: AsyncClient, number: int) -> None:
        nonlocal most
        for _ in range(50):
            await kv.put(f"key-{number}", "value")
            sessions = [each.sessions.by_client for each in world.cluster.partitions]
            kept = [len(each.results) for some in sessions for each in some.values()]
            most = max(most, *kept)

    async def main() -> None:
        async with world.client() as kv:
            await asyncio.gather(*(write(kv, number) for number in range(50)))

    world.run(main)
    assert most < 20
