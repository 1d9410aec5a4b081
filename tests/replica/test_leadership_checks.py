"""Reads of many groups at once: one question to each peer, and one answer."""

from __future__ import annotations

import pytest

from cluster.ids import META_GROUP, GroupId, ReplicaId, group_of
from cluster.raft.messages import HeartbeatRequest
from kvstore.codec.leadership import (
    ROW,
    LeadershipAnswer,
    LeadershipQuestion,
    groups_and_terms,
)
from kvstore.environment import PeerMessage
from kvstore.replica.requests import Status
from tests.replica.world import RAFT, Answers, Wire, World

KEYS = [b"key%d" % number for number in range(60)]


@pytest.fixture
def world() -> World:
    world = World(partitions=16)
    world.until(world.serves)
    world.tick(RAFT.heartbeat_ticks)
    return world


@pytest.fixture
def wire(world: World) -> Wire:
    return Wire(world)


def led_by(world: World, me: ReplicaId) -> list[GroupId]:
    replicas = world.members[me].host.replicas.values()
    return sorted(each.group for each in replicas if each.is_leader and each.group != META_GROUP)


def statuses(reads: list[Answers]) -> set[Status | None]:
    return {read.status for read in reads}


def test_reads_of_all_groups_that_came_in_together_share_a_question_to_each_peer(
    world: World, wire: Wire
) -> None:
    reads = [world.get(key) for key in KEYS]
    world.run()
    assert statuses(reads) == {Status.OK}
    asked = {(each.sender, each.to) for each in wire.heard_of(LeadershipQuestion)}
    leaders = [me for me in world.members_ids if led_by(world, me)]
    assert asked == {(me, peer) for me in leaders for peer in world.members_ids if peer != me}
    assert len(wire.heard_of(LeadershipQuestion)) == len(asked)
    for question in wire.heard_of(LeadershipQuestion):
        groups = [group for group, _term in groups_and_terms(question)]
        assert sorted(groups) == led_by(world, question.sender)


def test_no_read_is_answered_before_a_peer_has_confirmed(world: World, wire: Wire) -> None:
    wire.lose = lambda message: isinstance(message, LeadershipAnswer)
    reads = [world.get(key) for key in KEYS]
    world.run()
    assert wire.heard_of(LeadershipAnswer)
    assert statuses(reads) == {None}


@pytest.mark.parametrize("lost", [LeadershipQuestion, LeadershipAnswer])
def test_what_was_lost_a_heartbeat_asks_again(
    world: World, wire: Wire, lost: type[PeerMessage]
) -> None:
    wire.lose = lambda message: isinstance(message, lost)
    reads = [world.get(key) for key in KEYS]
    world.tick(2 * RAFT.heartbeat_ticks)
    assert statuses(reads) == {Status.OK}
    assert any(isinstance(each, HeartbeatRequest) and each.read_round for each in wire.heard)


def test_one_peer_of_two_is_enough(world: World, wire: Wire) -> None:
    silent = world.members_ids[-1]
    keys = [key for key in KEYS if world.leader_of(group_of(world.partition_of(key))) != silent]
    wire.lose = lambda message: silent in (message.sender, message.to)
    reads = [world.get(key) for key in keys]
    world.run()
    assert statuses(reads) == {Status.OK}


def test_a_peer_confirms_only_what_is_so(world: World, wire: Wire) -> None:
    leader = next(me for me in world.members_ids if len(led_by(world, me)) > 1)
    follower = next(me for me in world.members_ids if me != leader)
    host = world.members[follower].host
    right, wrong = led_by(world, leader)[:2]
    term_of = {group: host.replicas[group].core.term for group in (right, wrong)}
    others = [group for me in world.members_ids if me != leader for group in led_by(world, me)]
    rows = [
        (right, term_of[right], 7, 0),
        (wrong, term_of[wrong] + 1, 8, 0),
        (wrong, term_of[wrong] - 1, 9, 0),
        *((group, host.replicas[group].core.term, 10, 0) for group in others),
        (999, 1, 11, 0),
    ]
    numbers = [number for row in rows for number in row]
    host.receive(leader, [(META_GROUP, LeadershipQuestion(leader, follower, numbers))])
    world.run()
    (answer,) = wire.heard_of(LeadershipAnswer)
    assert (answer.sender, answer.to) == (follower, leader)
    assert answer.numbers == [right, term_of[right], 7, 0]
    assert len(answer.numbers) == ROW


def test_where_nothing_is_so_nothing_is_said(world: World, wire: Wire) -> None:
    one, other = world.members_ids[:2]
    numbers = [999, 1, 1, 0]
    world.members[one].host.receive(other, [(META_GROUP, LeadershipQuestion(other, one, numbers))])
    world.run()
    assert wire.heard_of(LeadershipAnswer) == []


def test_an_answer_for_a_group_that_is_not_here_or_led_elsewhere_changes_nothing(
    world: World, wire: Wire
) -> None:
    one, other = world.members_ids[:2]
    (group, *_) = led_by(world, other) or led_by(world, world.members_ids[2])
    term = world.members[one].host.replicas[group].core.term
    numbers = [999, 1, 1, 0, group, term, 5, 0]
    world.members[one].host.receive(other, [(META_GROUP, LeadershipAnswer(other, one, numbers))])
    world.run()
    assert not world.problems()
    reads = [world.get(key) for key in KEYS]
    world.run()
    assert statuses(reads) == {Status.OK}


def test_a_node_alone_asks_nobody() -> None:
    world = World(size=1, partitions=16)
    world.until(world.serves)
    wire = Wire(world)
    reads = [world.get(key) for key in KEYS]
    world.run()
    assert statuses(reads) == {Status.OK}
    assert wire.heard == []
