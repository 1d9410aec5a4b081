"""Writes whose leader stepped down: they end in time, and only what is certain is called so."""

from __future__ import annotations

from cluster.ids import GroupId, group_of
from cluster.raft.messages import Message
from kvstore.replica.log_store import LogStore
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Status, WriteRequest
from tests.raft.solo import THREE, TWO, Solo
from tests.replica.world import RAFT, Answers, World

KEY = b"key"


def test_an_open_write_ends_an_election_timeout_after_leadership_is_lost() -> None:
    world = World()
    world.until(world.serves)
    group = group_of(world.partition_of(KEY))
    me = world.leader_of(group)
    assert me is not None
    world.isolate(me)
    written = world.put(KEY, b"open", at=me)
    world.until(lambda: not world.members[me].host.replicas[group].is_leader)
    assert written.status is None
    world.tick(RAFT.election_ticks_max + 1)
    assert written.status is Status.UNKNOWN


class Leader:
    """A replica of three that leads, and proposes what it is given."""

    def __init__(self) -> None:
        self.solo = Solo()
        self.replica = Replica(GroupId(1), self.solo.raft, LogStore(1), None)
        self.lead()

    def lead(self) -> None:
        self.solo.lead()
        self.replica.on_ready(self.solo.bundles[-1])

    def write(self) -> Answers:
        answers = Answers()
        self.replica.waiting_writes.append(WriteRequest(answers, 0, b"command"))
        self.replica.propose_waiting(lambda _: 0)
        self.step()
        return answers

    def step(self, *messages: Message) -> None:
        self.solo.step(*messages)
        self.replica.on_ready(self.solo.bundles[-1])


def test_a_write_whose_place_goes_to_another_proposal_may_still_be_applied() -> None:
    """Its entry is no longer in this log; who has it may win the next election and commit it."""
    leader = Leader()
    under_a_first_entry, under_a_proposal = leader.write(), leader.write()
    leader.step(leader.solo.append(term=2, terms=[2], sender=TWO))
    assert leader.solo.raft.last_index == 1
    leader.lead()
    leader.write()
    assert under_a_proposal.status is Status.UNKNOWN
    assert under_a_first_entry.status is None
    last = leader.solo.raft.last_index
    leader.step(leader.solo.accepts(last, THREE))
    for entry in leader.solo.bundles[-1].committed:
        leader.replica.settle_applied(entry, b"")
    assert under_a_first_entry.status is Status.NOT_LEADER
