"""What each kind of failure leads to, now that a write may be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, cycle, repeat
from random import SystemRandom

import pytest

from kvstore.client import AsyncClient, lane
from kvstore.codec.command import decode_command
from kvstore.errors import (
    InvalidArgument,
    KVStoreError,
    Outcome,
    OutcomeUnknown,
    SessionExpired,
    Unavailable,
)
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until
from tests.client.memory_world import Fate, World

KEY = b"key"


def attempt(
    world: World, do: Callable[[AsyncClient], Awaitable[object]]
) -> tuple[KVStoreError | None, float]:
    """How `do` ended, and how long it took, in seconds of the client's clock."""
    ended: list[tuple[KVStoreError | None, float]] = []

    async def main() -> None:
        async with world.client() as kv:
            await kv.cluster_map()
            began_s = world.loop.time()
            problem: KVStoreError | None = None
            try:
                await do(kv)
            except KVStoreError as error:
                problem = error
            ended.append((problem, world.loop.time() - began_s))

    world.run(main)
    return ended[0]


def put(timeout_s: float = 5.0) -> Callable[[AsyncClient], Awaitable[object]]:
    return lambda kv: kv.put(KEY, "value", timeout_s=timeout_s)


# --- tables


@pytest.mark.parametrize(
    "fates",
    [
        [Fate.REFUSED],
        [Fate.UNKNOWN],
        [Fate.NOT_RECEIVED],
        [Fate.LOST],
        [Fate.LATE],
        [Fate.TWICE],
        [Fate.SLOW],
        [Fate.HANGS],
        [Fate.MOVED],
        [Fate.FULL],
        [Fate.FORGOTTEN],
        [Fate.LOST, Fate.MOVED],
        [Fate.LOST, Fate.REFUSED, Fate.LOST],
        [Fate.LOST, Fate.FULL],
        [Fate.REFUSED, Fate.FORGOTTEN],
        [Fate.NOT_RECEIVED, Fate.LATE, Fate.TWICE],
    ],
    ids=str,
)
def test_what_passes_is_not_seen_and_the_write_is_applied_once(fates: list[Fate]) -> None:
    world = World(iter(fates))
    assert attempt(world, put())[0] is None
    assert world.cluster.partitions[world.cluster.partition_of(KEY)].revision == 1


@pytest.mark.parametrize(
    ("first", "then", "error"),
    [
        ([], [Fate.REFUSED], Unavailable),
        ([], [Fate.FULL], Unavailable),
        ([], [Fate.LOST], OutcomeUnknown),
        ([], [Fate.UNKNOWN], OutcomeUnknown),
        ([], [Fate.HANGS], OutcomeUnknown),
        ([Fate.LOST], [Fate.REFUSED], OutcomeUnknown),
        ([Fate.NOT_RECEIVED], [Fate.REFUSED], OutcomeUnknown),
        ([Fate.LOST], [Fate.FULL], OutcomeUnknown),
        ([Fate.REFUSED], [Fate.NOT_RECEIVED, Fate.REFUSED], OutcomeUnknown),
    ],
)
def test_what_lasts_until_the_deadline_is_definite_unless_any_try_is_in_doubt(
    first: list[Fate], then: list[Fate], error: type[KVStoreError]
) -> None:
    world = World(chain(first, cycle(then)))
    problem, took_s = attempt(world, put(5.0))
    assert type(problem) is error
    assert 4.4 < took_s < 5.1
    assert 2 < len(world.sent) < 100


@pytest.mark.parametrize(
    ("fates", "error", "words"),
    [
        ([Fate.INVALID], InvalidArgument, "as told"),
        ([Fate.REFUSED, Fate.INVALID], InvalidArgument, "as told"),
        ([Fate.LOST, Fate.INVALID], OutcomeUnknown, "connection lost.*as told"),
        ([Fate.NOT_RECEIVED, Fate.INVALID], OutcomeUnknown, "may have been applied"),
        ([Fate.LOST, Fate.REFUSED, Fate.INVALID], OutcomeUnknown, "connection lost"),
        ([Fate.GIVEN_UP], OutcomeUnknown, "given the write up"),
        ([Fate.LOST_AND_FORGOTTEN], SessionExpired, "session of this client in partition"),
        ([Fate.LOST, Fate.FORGOTTEN], SessionExpired, "connection lost"),
        ([Fate.HANGS, Fate.REFUSED, Fate.FORGOTTEN], SessionExpired, "may have been applied"),
    ],
    ids=str,
)
def test_what_ends_a_write_before_its_deadline(
    fates: list[Fate], error: type[KVStoreError], words: str
) -> None:
    world = World(iter(fates), nodes=1)
    problem, took_s = attempt(world, put(60.0))
    assert type(problem) is error
    assert took_s < 10
    with pytest.raises(error, match=words):
        raise problem
    is_unknown = issubclass(error, OutcomeUnknown)
    assert problem.outcome is (Outcome.UNKNOWN if is_unknown else Outcome.DEFINITE)
    assert len(world.sent) <= len(fates) + 1


# --- how long it takes


def test_a_node_that_hangs_costs_two_seconds() -> None:
    problem, took_s = attempt(World(iter([Fate.HANGS])), put(5.0))
    assert problem is None
    assert lane.WRITE_TIMEOUT_S <= took_s < lane.WRITE_TIMEOUT_S + 0.2


def test_a_new_leader_costs_a_second_although_the_old_one_hangs() -> None:
    world = World(iter([Fate.HANGS]))
    partition = world.cluster.partitions[world.cluster.partition_of(KEY)]

    async def write(kv: AsyncClient) -> None:
        world.loop.call_later(0.6, setattr, partition, "leader", partition.leader % 3 + 1)
        assert await kv.put(KEY, "value", timeout_s=60) == 1

    problem, took_s = attempt(world, write)
    assert problem is None
    assert took_s < 1.3
    assert partition.revision == 1


def test_each_try_has_more_time_than_the_one_before_up_to_the_deadline() -> None:
    world = World(repeat(Fate.HANGS), nodes=1)
    attempt(world, put(20.0))
    assert world.timeouts_s[:3] == [pytest.approx(2 * 2**number, rel=0.01) for number in range(3)]
    assert world.timeouts_s[3] == pytest.approx(20 - 2 - 4 - 8, abs=0.2)


def test_a_large_write_has_more_time() -> None:
    world = World(iter([]))

    async def write(kv: AsyncClient) -> None:
        await asyncio.gather(*(kv.put(f"{{t}}{i}", bytes(1 << 20), timeout_s=60) for i in range(3)))

    assert attempt(world, write)[0] is None
    assert world.timeouts_s == [pytest.approx(5.0, rel=0.01)]


def test_a_partition_that_is_kept_back_by_another_goes_on() -> None:
    """The answer to its first section is held up; all others are not."""
    world = World(iter([Fate.HANGS]))

    async def write(kv: AsyncClient) -> None:
        first = asyncio.ensure_future(kv.put("{t}first", "", timeout_s=60))
        await asyncio.sleep(0.1)
        for number in range(400):
            await kv.put("{t}other", f"{number}", timeout_s=60)
        assert world.loop.time() < began_s + 1.5
        await first

    began_s = world.loop.time()
    assert attempt(world, write)[0] is None
    assert world.cluster.partitions[world.cluster.partition_of(b"{t}first")].revision == 401


# --- callers


def test_a_write_in_doubt_is_not_sent_again_when_its_caller_is_gone() -> None:
    world = World(iter([Fate.UNKNOWN] * 3))

    async def write(kv: AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await kv.put(KEY, "gone", timeout_s=60)
        await asyncio.sleep(10)
        assert len(world.sent) == 1
        world.fates = iter([])
        await kv.put(KEY, "new", timeout_s=60)

    assert attempt(world, write)[0] is None
    stamp = decode_command(world.sent[1].bodies[0]).stamp
    assert stamp is not None
    assert (stamp.sequence, stamp.lowest) == (2, 2)


def test_a_forgotten_session_is_followed_by_one_that_says_when_it_began() -> None:
    world = World(iter([Fate.ANSWERED, Fate.FORGOTTEN]))
    partition = world.cluster.partitions[world.cluster.partition_of(KEY)]

    async def write(kv: AsyncClient) -> None:
        for number in range(4):
            await kv.put(KEY, f"{number}", timeout_s=5)

    assert attempt(world, write)[0] is None
    stamps = [decode_command(request.bodies[0]).stamp for request in world.sent]
    assert [stamp and stamp.sequence for stamp in stamps] == [1, 2, 1, 2, 3]
    assert [stamp and stamp.opened_after for stamp in stamps] == [0, 0, 2, 2, 2]
    assert len({stamp.client for stamp in stamps if stamp}) == 2
    assert partition.revision == 4


def test_two_clients_never_write_under_the_same_identity() -> None:
    world = World(iter([]))

    async def main() -> None:
        for _ in range(3):
            async with world.client() as kv:
                await kv.put(KEY, "value")

    world.run(main)
    assert len(world.cluster.partitions[world.cluster.partition_of(KEY)].sessions.by_client) == 3


def test_without_a_source_of_chance_a_client_draws_from_the_system() -> None:
    """Else processes that fork would write under one identity."""
    assert isinstance(AsyncClient()._random, SystemRandom)


# --- over real connections


async def test_what_was_sent_to_a_leader_that_hangs_goes_to_the_new_one_and_is_applied_once(
    cluster: FakeCluster,
) -> None:
    old = cluster.lead_all(1)
    async with AsyncClient(cluster.endpoints, timeout_s=20) as kv:
        await kv.put("key", "1")

        async def hang_after(*_: object) -> None:
            old.honest(old.calls[-1])
            await old.release.wait()

        old.always = hang_after  # type: ignore[assignment]  # it answers too late anyway
        stuck = asyncio.create_task(kv.put("key", "2"))
        await until(lambda: len(old.calls) == 2)
        cluster.lead_all(2)
        revision = await stuck
        record = await kv.get_record("key")
        assert record is not None
        assert (record.value, record.version, record.mod_revision) == (b"2", 2, revision)
        old.release.set()
    assert cluster.partitions[cluster.partition_of(b"key")].sessions.repeated == 1


async def test_close_says_that_a_write_in_doubt_may_have_been_applied(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.client.switchboard.backoff_s", lambda *_: 3600.0)
    cluster.tell_leaders = False
    kv = AsyncClient(cluster.lead_all(1).address)
    cluster.nodes[1].faults.append(fake.every_section(6, "leader changed"))
    writing = asyncio.create_task(kv.put("key", "value"))
    await until(lambda: len(cluster.nodes[1].calls) == 1)
    dispatcher = kv._dispatcher
    assert dispatcher is not None
    await until(lambda: dispatcher.board.writes.queues[cluster.partition_of(b"key")].waits)
    await kv.aclose()
    with pytest.raises(OutcomeUnknown, match=r"leader changed.*the client was closed"):
        await writing
