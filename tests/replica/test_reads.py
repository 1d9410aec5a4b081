"""Reads on their way through a replica: each is answered, and none before its time."""

from __future__ import annotations

from cluster.ids import GroupId, group_of
from cluster.raft.ready import Ready
from kvstore.replica.log_store import LogStore
from kvstore.replica.replica import Replica
from kvstore.replica.requests import ReadRequest, Status
from tests.raft.solo import Solo
from tests.replica.world import Answers, World

KEY = b"key"


def test_reads_asked_for_in_two_rounds_at_once_are_all_answered() -> None:
    world = World()
    world.until(world.serves)
    leader = world.leader_of(group_of(world.partition_of(KEY)))
    assert leader is not None
    first = world.get(KEY)
    world.soon.popleft()()
    assert world.soon, "the first is under way"
    second = world.get(KEY)
    world.run()
    assert (first.status, second.status) == (Status.OK, Status.OK)


class Alone:
    """The only replica of its group, whose bundles are taken by hand."""

    def __init__(self) -> None:
        self.solo = Solo(size=1)
        self.solo.tick()
        self.replica = Replica(GroupId(1), self.solo.raft, LogStore(1), None)

    def take(self) -> Ready:
        ready = self.solo.take()
        self.replica.on_ready(ready)
        return ready


def test_a_confirmed_read_waits_until_what_was_committed_before_it_is_applied() -> None:
    alone = Alone()
    raft, replica = alone.solo.raft, alone.replica
    written = raft.propose(b"x")
    raft.on_persisted(alone.take().number)
    request = ReadRequest(Answers(), 0, [KEY])
    replica.waiting_reads.append(request)
    replica.ask_waiting_reads(context=1)
    ready = alone.take()
    assert [entry.index for entry in ready.committed] == [written]
    assert [read.context for read in ready.read_states] == [1]
    assert replica.take_readable() == []
    raft.on_applied(written)
    assert replica.take_readable() == [request]
