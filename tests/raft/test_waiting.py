"""What has to wait for something else waits for all of it."""

from __future__ import annotations

import pytest

from cluster.ids import ReplicaId
from cluster.raft import HardState, RaftConfig, SnapshotRequest, VoteResponse
from tests.raft.solo import ME, THREE, TWO, Solo, change, members, only


@pytest.mark.parametrize("term", [3, 4])
def test_a_vote_is_sent_only_after_it_is_persisted(term: int) -> None:
    """In a term that is new as well as in one that is known and in which nobody got it yet
    (dissertation figure 3.1)."""
    solo = Solo(term=3)
    solo.raft.step(solo.vote_request(TWO, term=term))
    bundle = solo.take()
    assert bundle.hard_state == HardState(solo.raft.term, TWO, solo.raft.commit)
    assert bundle.must_sync
    assert bundle.messages == ()
    assert bundle.messages_after_persist == (VoteResponse(ME, TWO, solo.raft.term, True),)


def test_joint_consensus_is_left_only_when_it_is_committed() -> None:
    """Not with what was under way before it (dissertation 4.3)."""
    group = members((1, 2, 3), (), (4,))
    solo = Solo(group=group)
    solo.lead(caught_up=group.peers_of(ME))
    before = solo.raft.propose(b"under way")
    joint = solo.raft.propose_membership(change((1, 2, 4)))
    solo.settle()
    solo.step(*[solo.accepts(before, ReplicaId(each)) for each in (2, 3, 4)])
    assert solo.raft.commit == before
    assert solo.raft.configuration == members((1, 2, 4), (1, 2, 3))
    solo.step(solo.accepts(joint, TWO))
    assert solo.raft.configuration == members((1, 2, 4))


def test_a_snapshot_waits_until_its_receiver_is_heard_again() -> None:
    """THREE is silent since its window was nearly full; meanwhile what comes next was compacted."""
    solo = Solo(config=RaftConfig(inflight_bytes_max=10, append_bytes_max=10))
    solo.lead(caught_up=(TWO, THREE))
    for data in (b"6 long", b"6 more", b"and so"):
        last = solo.raft.propose(data)
        solo.settle()
        solo.step(solo.accepts(last, TWO))
    for _ in range(solo.config.election_ticks_min):
        solo.tick()
        solo.step(solo.beats(TWO))
    solo.storage.compact(solo.raft.applied)
    solo.raft.propose(b"one more")
    assert only(SnapshotRequest, solo.settle()) == []
    assert len(only(SnapshotRequest, solo.step(solo.beats(THREE)), THREE)) == 1
