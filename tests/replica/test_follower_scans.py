"""Session and stale scans on real hosts: a page of any replica, or a word that it cannot."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId, Index, ReplicaId, group_of
from kvstore.codec.read_level import split_bound
from kvstore.codec.scan import Page, Scan, decode_page
from kvstore.replica.follower_reads import LevelRead, SessionRead, StaleRead
from kvstore.replica.requests import Status
from tests.replica.world import LONG_TICKS, RAFT, Answers, World

KEYS = [b"{t}%d" % number for number in range(5)]
ALL = Scan(b"", None, 0, 1 << 20)
WAIT_TICKS = RAFT.heartbeat_ticks + 2


@pytest.fixture
def world() -> World:
    world = World()
    world.until(world.serves)
    for key in KEYS:
        put(world, key)
    return world


def put(world: World, key: bytes) -> int:
    """Gives the index of the entry."""
    answers = world.put(key, b"value")
    world.until(lambda: answers.answer is not None)
    assert answers.answer is not None
    return answers.answer.index


def group(world: World) -> GroupId:
    return group_of(world.partition_of(KEYS[0]))


def followers(world: World) -> list[ReplicaId]:
    leader = world.leader_of(group(world))
    return [me for me in world.members_ids if me != leader]


def ask(world: World, me: ReplicaId, read: LevelRead) -> None:
    world.members[me].host.read_anywhere(group(world), read, LONG_TICKS)


def session_scan(world: World, me: ReplicaId, min_index: int, scan: Scan = ALL) -> Answers:
    answers = Answers()
    ask(world, me, SessionRead(answers, 0, scan, Index(min_index)))
    return answers


def page_of(answers: Answers) -> Page:
    assert answers.answer is not None
    assert answers.answer.status is Status.OK
    return decode_page(answers.answer.result)


def test_every_replica_serves_a_page_of_what_the_session_has_seen(world: World) -> None:
    index = put(world, KEYS[0])
    for me in world.members_ids:
        answers = session_scan(world, me, index)
        world.until(lambda answers=answers: answers.answer is not None)  # type: ignore[misc]  # bound now
        assert list(page_of(answers).keys) == KEYS
        assert answers.answer is not None
        assert answers.answer.index >= index
    some = Scan(KEYS[1], None, 2, 1 << 20, reverse=True, keys_only=True)
    page = page_of(session_scan(world, followers(world)[0], index, some))
    assert (list(page.keys), list(page.records), page.more) == ([KEYS[4], KEYS[3]], [], True)


def test_a_replica_that_lacks_what_the_session_has_seen_says_so_soon(world: World) -> None:
    me = followers(world)[0]
    world.isolate(me)
    answers = session_scan(world, me, 1000)
    world.tick(WAIT_TICKS)
    assert answers.status is Status.BEHIND
    assert answers.answer is not None
    assert "1000 is asked for" in answers.answer.detail


def test_a_stale_page_says_how_old_it_may_be_and_waits_for_a_newer_one(world: World) -> None:
    me = followers(world)[0]
    answers = Answers()
    ask(world, me, StaleRead(answers, 0, ALL, 0.0))
    world.until(lambda: answers.answer is not None)
    assert answers.answer is not None
    age_ms, page = split_bound(answers.answer.result)
    assert age_ms == 0
    assert list(decode_page(page).keys) == KEYS
    world.isolate(me)
    late = Answers()
    world.tick(3)
    ask(world, me, StaleRead(late, 0, ALL, 0.01))
    world.tick(WAIT_TICKS)
    assert late.status is Status.BEHIND
