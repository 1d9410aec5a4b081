"""Session and stale reads on real hosts: what each replica may serve, and when it says no."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from cluster.ids import GroupId, ReplicaId, group_of
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.environment import GroupMessage
from kvstore.replica.requests import Status
from tests.replica.world import (
    LONG_TICKS,
    RAFT,
    Answers,
    Wire,
    World,
    stale_value_of,
    value_of,
)

KEY = b"key"
WAIT_TICKS = RAFT.heartbeat_ticks + 2


@pytest.fixture
def world() -> World:
    world = World()
    world.until(world.serves)
    return world


def group(world: World) -> GroupId:
    return group_of(world.partition_of(KEY))


def leader(world: World) -> ReplicaId:
    found = world.leader_of(group(world))
    assert found is not None
    return found


def followers(world: World) -> list[ReplicaId]:
    return [me for me in world.members_ids if me != leader(world)]


def put(world: World, value: bytes) -> int:
    """Writes, and gives the index of the entry."""
    answers = world.put(KEY, value)
    world.until(lambda: answers.answer is not None)
    assert answers.status is Status.OK
    assert answers.answer is not None
    return answers.answer.index


def index_of(answers: Answers) -> int:
    assert answers.answer is not None
    assert answers.answer.status is Status.OK
    return answers.answer.index


def applied(world: World, me: ReplicaId) -> int:
    return world.members[me].host.replicas[group(world)].core.applied


class Questions(Wire):
    """Counts the questions that reach hosts."""

    @property
    def asked(self) -> int:
        return len(self.heard_of(PointQuestion))


# --- receipts


def test_every_answer_says_where_it_stands(world: World) -> None:
    index = put(world, b"one")
    read = world.get(KEY)
    world.run()
    assert read.answer is not None
    assert read.answer.index >= index
    assert (read.answer.term, read.answer.revision) == (
        world.members[leader(world)].host.replicas[group(world)].core.term,
        1,
    )


# --- session reads


def test_a_session_read_is_served_at_once_by_any_replica_that_has_applied_enough(
    world: World,
) -> None:
    index = put(world, b"one")
    world.until(lambda: all(applied(world, me) >= index for me in world.members_ids))
    for me in world.members_ids:
        read = world.session_get(KEY, me, index)
        assert value_of(read) == b"one"
        assert index_of(read) >= index


def test_a_session_read_is_served_from_what_was_committed_and_left_for_later(
    world: World,
) -> None:
    index = put(world, b"one")
    put(world, b"two")  # says that the first is committed
    world.run()
    (behind, *_) = [me for me in followers(world) if applied(world, me) < index]
    questions = Questions(world)
    read = world.session_get(KEY, behind, index)
    assert value_of(read) == b"one"
    assert index_of(read) == index
    world.run()
    assert questions.asked == 0


def test_a_session_read_waits_for_what_the_session_has_seen(world: World) -> None:
    index = put(world, b"one")
    (behind, *_) = [me for me in followers(world) if applied(world, me) < index]
    read = world.session_get(KEY, behind, index)
    assert read.answer is None
    world.run()
    assert value_of(read) == b"one"


def test_a_session_read_that_waits_does_not_wait_for_a_heartbeat(world: World) -> None:
    questions = Questions(world)
    index = put(world, b"one")
    reads = [world.session_get(KEY, me, index) for me in followers(world) for _ in range(50)]
    world.run()
    assert {value_of(read) for read in reads} == {b"one"}
    assert questions.asked <= len(followers(world)), "all that wait share one question"


def test_a_replica_that_cannot_apply_enough_in_time_says_that_it_is_behind(world: World) -> None:
    follower = followers(world)[0]
    read = world.session_get(KEY, follower, 1000)
    world.tick(WAIT_TICKS)
    assert read.status is Status.BEHIND
    assert read.answer is not None
    assert "1000 is asked for" in read.answer.detail


def test_a_replica_without_a_leader_says_at_once_that_it_is_behind(world: World) -> None:
    index = put(world, b"one")
    follower = followers(world)[0]
    world.until(lambda: applied(world, follower) >= index)
    world.isolate(follower)
    world.tick(LONG_TICKS // 4)
    late = world.session_get(KEY, follower, 1000)
    assert late.status is Status.BEHIND
    assert value_of(world.session_get(KEY, follower, index)) == b"one", "that much it has"


def test_a_replica_that_has_nothing_yet_serves_no_session() -> None:
    world = World()
    world.until(lambda: world.members[ReplicaId(1)].host.meta.map is not None)
    replica = world.members[ReplicaId(1)].host.replicas[group(world)]
    assert replica.core.applied == 0
    read = world.session_get(KEY, ReplicaId(1))
    assert read.status in (None, Status.BEHIND)


def test_nothing_is_served_while_a_state_is_taken_over_or_after_the_replica_left(
    world: World,
) -> None:
    index = put(world, b"one")
    follower = followers(world)[0]
    world.until(lambda: applied(world, follower) >= index)
    replica = world.members[follower].host.replicas[group(world)]
    replica.is_installing = True
    assert world.session_get(KEY, follower, index).status is Status.UNAVAILABLE
    assert world.stale_get(KEY, follower, 60.0).status is Status.UNAVAILABLE
    replica.is_installing = False
    assert value_of(world.session_get(KEY, follower, index)) == b"one"
    waiting = world.session_get(KEY, follower, 1000)
    world.members[follower].host.stop()
    assert waiting.status is Status.UNAVAILABLE
    assert world.session_get(KEY, follower, index).status is Status.UNAVAILABLE


# --- stale reads


def test_a_stale_read_asks_once_and_the_next_ones_are_served_at_once(world: World) -> None:
    put(world, b"one")
    questions = Questions(world)
    follower = followers(world)[0]
    first = world.stale_get(KEY, follower, 5.0)
    assert first.answer is None
    world.run()
    assert stale_value_of(first) == (0.0, b"one")
    world.tick(20)
    second = world.stale_get(KEY, follower, 5.0)
    age_s, value = stale_value_of(second)
    assert value == b"one"
    assert age_s == pytest.approx(1.0, abs=0.1)
    assert questions.asked == 1


def test_half_way_through_its_bound_a_stale_read_asks_for_the_next_ones(world: World) -> None:
    put(world, b"one")
    questions = Questions(world)
    follower = followers(world)[0]
    world.stale_get(KEY, follower, 2.0)
    world.run()
    world.tick(30)
    age_s, _ = stale_value_of(world.stale_get(KEY, follower, 2.0))
    assert age_s > 1.0
    world.run()
    assert questions.asked == 2
    age_s, _ = stale_value_of(world.stale_get(KEY, follower, 2.0))
    assert age_s < 0.1


def test_without_stale_reads_nobody_asks_and_groups_are_quiet(world: World) -> None:
    put(world, b"one")
    follower = followers(world)[0]
    world.stale_get(KEY, follower, 1.0)
    world.run()
    questions = Questions(world)
    replicas = [member.host.replicas[group(world)] for member in world.members.values()]
    world.until(lambda: all(replica.core.is_quiet for replica in replicas))
    world.tick(100)
    assert questions.asked == 0
    late = world.stale_get(KEY, follower, 1.0)
    world.run()
    assert stale_value_of(late) == (0.0, b"one"), "a quiet group serves, too"


def test_a_cut_off_follower_serves_until_its_state_is_too_old(world: World) -> None:
    put(world, b"one")
    follower = followers(world)[0]
    world.stale_get(KEY, follower, 10.0)
    world.run()
    world.isolate(follower)
    world.tick(100)
    put(world, b"two")
    age_s, value = stale_value_of(world.stale_get(KEY, follower, 10.0))
    assert value == b"one"
    assert age_s > 5.0
    world.tick(100)
    late = world.stale_get(KEY, follower, 10.0)
    world.tick(WAIT_TICKS)
    assert late.status is Status.BEHIND
    assert late.answer is not None
    assert "10 s is the most asked for" in late.answer.detail


def test_the_leader_serves_a_stale_read_once_it_knows_that_it_leads(world: World) -> None:
    put(world, b"one")
    old = leader(world)
    read = world.stale_get(KEY, old, 0.0)
    assert read.answer is None
    world.run()
    assert stale_value_of(read) == (0.0, b"one")
    world.isolate(old)
    deposed = world.stale_get(KEY, old, 0.0)
    world.tick(WAIT_TICKS)
    assert deposed.status is Status.BEHIND


def test_a_read_that_came_after_the_question_is_not_served_by_its_answer(world: World) -> None:
    put(world, b"one")
    questions = Questions(world)
    follower = followers(world)[0]
    first = world.stale_get(KEY, follower, 0.0)
    second = world.stale_get(KEY, follower, 0.0)
    world.run()
    assert stale_value_of(first) == stale_value_of(second) == (0.0, b"one")
    assert questions.asked == 2


def test_lost_questions_and_answers_are_asked_again(world: World) -> None:
    put(world, b"one")
    questions = Questions(world)
    follower = followers(world)[0]
    for lost in (PointQuestion, PointAnswer):
        questions.lose = lambda message, lost=lost: isinstance(message, lost)  # type: ignore[misc]
        read = world.stale_get(KEY, follower, 0.0)
        world.tick()
        questions.lose = lambda _message: False
        world.until(lambda read=read: read.answer is not None)  # type: ignore[misc]
        assert stale_value_of(read)[1] == b"one"


def test_an_answer_to_a_question_of_an_earlier_life_is_not_taken(world: World) -> None:
    """Its index says nothing of what was committed before the questions of this life."""
    put(world, b"one")
    follower = followers(world)[0]
    kept: list[tuple[ReplicaId, ReplicaId, Iterable[GroupMessage]]] = []
    deliver = world.deliver

    def keep(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        answers = tuple(each for each in messages if isinstance(each[1], PointAnswer))
        if answers and not kept:
            kept.append((sender, to, answers))
            return
        deliver(sender, to, messages)

    world.deliver = keep  # type: ignore[method-assign]  # a tap on the wire
    world.stale_get(KEY, follower, 0.0)
    world.run()
    assert kept
    world.deliver = deliver  # type: ignore[method-assign]
    member = world.crash(follower)
    world.start(follower, member.files, member.engine)
    world.until(world.serves)
    world.until(lambda: applied(world, follower) == applied(world, leader(world)))
    world.cut |= {(other, follower) for other in world.members_ids}
    put(world, b"two")
    read = world.stale_get(KEY, follower, 0.0)
    for sender, to, messages in kept:
        world.members[to].host.receive(sender, messages)
    world.tick(WAIT_TICKS)
    assert read.status is Status.BEHIND
