"""Membership changes (dissertation chapter 4), and the mistakes others made in them."""

from __future__ import annotations

import pytest

from cluster.errors import NotLeader, ProposalRefused, TransferInProgress
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendRequest,
    ChangeInProgress,
    ChangeTooEarly,
    Configuration,
    EntryKind,
    HeartbeatRequest,
    LearnerNotReady,
    NothingToChange,
    RaftConfig,
    ReadState,
    Role,
    TimeoutNow,
    VoteRequest,
    VotersNotHeard,
    decode_configuration,
)
from tests.raft.solo import (
    FIVE,
    FOUR,
    ME,
    THREE,
    TWO,
    Solo,
    change,
    configuration,
    entry,
    members,
    membership_entry,
    only,
)

THREE_AND_A_LEARNER = members((1, 2, 3), (), (4,))


def leader(group: Configuration | None = None, config: RaftConfig | None = None) -> Solo:
    """Leads, with all of its log on every member."""
    group = group or configuration(3)
    solo = Solo(group=group, config=config)
    solo.lead(caught_up=group.peers_of(ME))
    assert solo.raft.commit == 1
    return solo


def appended(solo: Solo, since: int = 0) -> list[Configuration]:
    return [
        decode_configuration(entry.data)
        for bundle in solo.bundles[since:]
        for entry in bundle.entries
        if entry.kind is EntryKind.MEMBERSHIP
    ]


def accept_all(solo: Solo, *peers: ReplicaId) -> None:
    """`peers` acknowledge all there is, and what is appended because of that."""
    for _ in range(2):
        for peer in peers:
            solo.step(solo.accepts(solo.raft.last_index, peer))


# Learners (4.2.1)


def test_learners_come_and_go_with_one_entry_each() -> None:
    solo = leader()
    assert solo.raft.propose_membership(change((1, 2, 3), (4, 5))) == 2
    assert solo.raft.configuration == members((1, 2, 3), (), (4, 5)), "in force when appended"
    solo.settle()
    solo.step(solo.accepts(2, TWO))
    assert solo.raft.commit == 2
    solo.raft.propose_membership(change((1, 2, 3), (5,)))
    solo.settle()
    solo.step(solo.accepts(3, TWO))
    assert solo.raft.commit == 3
    assert appended(solo) == [members((1, 2, 3), (), (4, 5)), members((1, 2, 3), (), (5,))]


def test_a_learner_gets_entries_and_heartbeats_and_does_not_count() -> None:
    solo = leader(THREE_AND_A_LEARNER)
    index = solo.raft.propose(b"x")
    sent = solo.settle()
    assert [m.to for m in only(AppendRequest, sent)] == [2, 3, 4]
    solo.step(solo.accepts(index, FOUR))
    assert solo.raft.commit == index - 1
    assert [m.to for m in only(HeartbeatRequest, solo.tick(2))] == [2, 3, 4]
    solo.step(solo.accepts(index, TWO))
    assert solo.raft.commit == index


def test_a_learner_confirms_no_read_and_keeps_no_leader_in_office() -> None:
    solo = leader(THREE_AND_A_LEARNER)
    solo.raft.read_index(1)
    solo.settle()
    solo.step(solo.beats(FOUR, 1))
    assert all(not bundle.read_states for bundle in solo.bundles)
    for _ in range(solo.config.election_ticks_min + solo.config.heartbeat_ticks):
        solo.step(solo.beats(FOUR))
        solo.tick()
    assert solo.role() is Role.FOLLOWER


def test_a_learner_never_campaigns() -> None:
    solo = Solo(group=members((2, 3), (), (1,)))
    sent = solo.tick(100)
    solo.step(solo.heartbeat(term=3))
    sent += solo.step(TimeoutNow(TWO, ME, Term(3)))
    assert only(VoteRequest, sent) == []
    assert (solo.raft.role, solo.raft.term) == (Role.FOLLOWER, 3)


def test_a_replica_that_knows_no_group_never_campaigns_and_learns_from_its_leader() -> None:
    solo = Solo(group=Configuration())
    assert solo.tick(100) == []
    first = membership_entry(1, 4, members((2, 3), (), (1,)))
    solo.step(AppendRequest(TWO, ME, Term(4), Index(0), Term(0), Index(0), (first,)))
    assert solo.raft.configuration == members((2, 3), (), (1,))
    assert (solo.raft.leader, solo.raft.last_index) == (TWO, 1)


def test_a_learner_gives_its_vote_to_who_counts_it() -> None:
    """The candidate may know of the promotion already, and the learner not yet (4.2.1)."""
    solo = Solo(group=members((2, 3), (), (1,)))
    solo.step(solo.vote_request(term=1))
    assert solo.raft.vote == TWO


def test_a_learner_is_not_asked_for_its_vote_and_its_vote_does_not_count() -> None:
    solo = Solo(group=THREE_AND_A_LEARNER)
    sent = solo.tick_until(Role.PRE_CANDIDATE)
    assert [m.to for m in only(VoteRequest, sent)] == [2, 3]
    solo.step(solo.grant(FOUR, pre_vote=True))
    assert solo.role() is Role.PRE_CANDIDATE


def test_leadership_is_not_handed_to_a_learner() -> None:
    with pytest.raises(ValueError, match="replica 4 is not a voter"):
        leader(THREE_AND_A_LEARNER).raft.transfer_leadership(FOUR)


def test_a_learner_is_promoted_only_when_it_has_caught_up() -> None:
    solo = leader(THREE_AND_A_LEARNER, RaftConfig(promotion_lag_max=3))
    for _ in range(4):
        solo.raft.propose(b"x")
    solo.settle()
    with pytest.raises(LearnerNotReady, match="learner 4 lacks 4 entries; the limit is 3"):
        solo.raft.propose_membership(change((1, 2, 3, 4)))
    solo.step(solo.accepts(2, FOUR))
    solo.raft.propose_membership(change((1, 2, 3, 4)))


def test_a_learner_that_was_not_heard_of_lately_is_not_promoted() -> None:
    """It may never have been started: every commit would wait for one more of the others."""
    solo = leader(THREE_AND_A_LEARNER)
    for _ in range(solo.config.election_ticks_min):
        solo.step(solo.beats(TWO))
        solo.tick()
    with pytest.raises(LearnerNotReady, match="learner 4 was not heard of lately"):
        solo.raft.propose_membership(change((1, 2, 3, 4)))
    solo.step(solo.beats(TWO), solo.beats(FOUR))
    solo.raft.propose_membership(change((1, 2, 3, 4)))


def test_a_learner_that_was_never_heard_is_not_promoted() -> None:
    solo = Solo(group=THREE_AND_A_LEARNER)
    solo.lead(caught_up=(TWO,))
    with pytest.raises(LearnerNotReady, match="learner 4 was not heard of lately"):
        solo.raft.propose_membership(change((1, 2, 3, 4)))


def test_the_group_is_not_given_to_voters_of_whom_no_majority_is_heard() -> None:
    """Nobody could ever take it back."""
    solo = leader()
    solo.tick(solo.config.heartbeat_ticks)
    solo.raft.wake()  # from quiet: nobody has been heard since
    solo.step(solo.beats(TWO))
    for voters in ((3,), (1, 3), (2, 3)):
        with pytest.raises(VotersNotHeard, match=f"no majority of .{voters[0]}"):
            solo.raft.propose_membership(change(voters))
    solo.raft.propose_membership(change((1, 2), (3,)))


def test_who_is_no_learner_is_not_promoted() -> None:
    with pytest.raises(LearnerNotReady, match="replica 4 has to be a learner before"):
        leader().raft.propose_membership(change((1, 2, 3, 4)))


def test_a_quiet_group_wakes_before_it_judges_a_learner() -> None:
    solo = leader(THREE_AND_A_LEARNER)
    solo.tick(solo.config.heartbeat_ticks)
    assert solo.raft.status().is_quiet
    with pytest.raises(LearnerNotReady, match="not heard of lately"):
        solo.raft.propose_membership(change((1, 2, 3, 4)))
    assert not solo.raft.is_quiet
    solo.tick()
    solo.step(solo.beats(TWO), solo.beats(FOUR))
    solo.raft.propose_membership(change((1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("voters", "error"), [((1, 2, 3, 4), LearnerNotReady), ((1, 2), VotersNotHeard)]
)
def test_a_group_that_has_refused_a_change_stays_awake_until_it_is_asked_again(
    voters: tuple[int, ...], error: type[ProposalRefused]
) -> None:
    """Whoever asks now and then would else find it quiet each time."""
    solo = leader(THREE_AND_A_LEARNER)
    config = solo.config
    solo.tick(config.heartbeat_ticks)
    assert solo.raft.is_quiet

    def answered_ticks(count: int) -> None:
        for _ in range(count):
            solo.tick()
            solo.step(*(solo.beats(peer) for peer in (TWO, THREE, FOUR)))

    with pytest.raises(error):
        solo.raft.propose_membership(change(voters))
    answered_ticks(config.election_ticks_min + config.heartbeat_ticks)
    assert solo.raft.is_quiet, "nobody has asked again"
    with pytest.raises(error):
        solo.raft.propose_membership(change(voters))
    answered_ticks(2 * config.heartbeat_ticks)
    solo.raft.propose_membership(change(voters))


# When a change may begin


def test_no_change_begins_before_an_entry_of_the_own_term_is_committed() -> None:
    """Else two leaders in turn could each change by one and share no majority (raft-dev, 2015)."""
    solo = Solo(terms=[1, 1], commit=2, applied=2)
    solo.lead()
    with pytest.raises(ChangeTooEarly, match="entry 3, the first of term 2, is not committed"):
        solo.raft.propose_membership(change((1, 2)))
    solo.step(solo.accepts(3))
    solo.raft.propose_membership(change((1, 2)))


def test_one_change_at_a_time() -> None:
    solo = leader()
    solo.raft.propose_membership(change((1, 2, 3), (4,)))
    with pytest.raises(ChangeInProgress, match="the change at 2 is not committed"):
        solo.raft.propose_membership(change((1, 2, 3), (5,)))
    solo.settle()
    accept_all(solo, TWO)
    solo.raft.propose_membership(change((1, 2), (4,)))
    for peers in ((), (TWO, THREE)):
        for peer in peers:
            solo.step(solo.accepts(3, peer))
        with pytest.raises(ChangeInProgress, match=r"the change at \d is not com"):
            solo.raft.propose_membership(change((1, 2)))
    assert solo.raft.configuration == members((1, 2), (), (4,))
    accept_all(solo, TWO)
    solo.raft.propose_membership(change((1, 2)))


def test_a_change_to_what_already_is_appends_nothing() -> None:
    solo = leader(THREE_AND_A_LEARNER)
    with pytest.raises(NothingToChange):
        solo.raft.propose_membership(change((1, 2, 3), (4,)))
    assert solo.raft.last_index == 1


def test_a_change_and_a_transfer_do_not_go_together() -> None:
    solo = leader()
    solo.raft.transfer_leadership(TWO)
    with pytest.raises(TransferInProgress):
        solo.raft.propose_membership(change((1, 2)))


def test_only_a_leader_changes_the_membership() -> None:
    with pytest.raises(NotLeader):
        Solo().raft.propose_membership(change((1, 2)))


# Joint consensus (4.3)


def promoting() -> Solo:
    """Leads {1, 2, 3} on the way to {1, 4, 5}: the joint entry, 2, is appended."""
    solo = leader(members((1, 2, 3), (), (4, 5)))
    assert solo.raft.propose_membership(change((1, 4, 5))) == 2
    solo.settle()
    assert solo.raft.configuration == members((1, 4, 5), (1, 2, 3))
    return solo


@pytest.mark.parametrize(
    ("acknowledged_by", "committed"),
    [((TWO, THREE), False), ((FOUR, FIVE), False), ((TWO, FOUR), True), ((THREE, FIVE), True)],
)
def test_under_joint_consensus_commits_need_both_majorities(
    acknowledged_by: tuple[ReplicaId, ...], committed: bool
) -> None:
    solo = promoting()
    for peer in acknowledged_by:
        solo.step(solo.accepts(2, peer))
    assert (solo.raft.commit == 2) is committed


def test_the_leader_leaves_joint_consensus_once_it_is_committed() -> None:
    solo = promoting()
    solo.step(solo.accepts(2, TWO))
    assert appended(solo) == [members((1, 4, 5), (1, 2, 3))]
    solo.step(solo.accepts(2, FOUR))
    assert solo.raft.configuration == members((1, 4, 5))
    assert solo.raft.commit == 2
    solo.step(solo.accepts(3, TWO), solo.accepts(3, THREE))
    assert solo.raft.commit == 2, "the old voters decide no more"
    solo.step(solo.accepts(3, FIVE))
    assert solo.raft.commit == 3
    assert len(appended(solo)) == 2


def test_removed_replicas_are_sent_nothing_more() -> None:
    solo = promoting()
    assert [m.to for m in only(HeartbeatRequest, solo.tick(2))] == [2, 3, 4, 5]
    solo.step(solo.accepts(2, TWO))
    sent = solo.step(solo.accepts(2, FOUR))
    assert [m.to for m in only(AppendRequest, sent)] == [4, 5]
    assert {m.to for m in solo.tick(2)} == {4, 5}
    assert [peer.replica for peer in solo.raft.status().peers] == [4, 5]


def test_reads_under_joint_consensus_need_both_majorities() -> None:
    solo = promoting()
    since = len(solo.bundles)
    solo.raft.read_index(1)
    solo.settle()
    solo.step(solo.beats(FOUR, 1), solo.beats(FIVE, 1))
    assert all(not bundle.read_states for bundle in solo.bundles[since:])
    solo.step(solo.beats(TWO, 1))
    states = [read for bundle in solo.bundles[since:] for read in bundle.read_states]
    assert states == [ReadState(1, Index(1))]


@pytest.mark.parametrize("heard", [(TWO, THREE), (FOUR, FIVE)])
def test_a_leader_under_joint_consensus_has_to_hear_both_majorities(
    heard: tuple[ReplicaId, ...],
) -> None:
    solo = promoting()
    for _ in range(solo.config.election_ticks_min + solo.config.heartbeat_ticks):
        for peer in heard:
            solo.step(solo.beats(peer))
        solo.tick()
    assert solo.role() is Role.FOLLOWER


def test_a_demoted_voter_votes_until_joint_consensus_is_left_and_is_a_learner_then() -> None:
    solo = leader()
    solo.raft.propose_membership(change((1, 2), (3,)))
    solo.settle()
    assert solo.raft.configuration == members((1, 2), (1, 2, 3), (), (3,))
    accept_all(solo, TWO)
    assert solo.raft.configuration == members((1, 2), (), (3,))
    assert solo.raft.status().peers[1].replica == THREE


def test_joint_consensus_is_left_by_a_leader_that_finds_it_committed() -> None:
    """Its predecessor may have gone between the two entries: no change is abandoned (4.3)."""
    joint = members((1, 2), (1, 2, 3))
    solo = Solo(log=[entry(1, 1), membership_entry(2, 1, joint)], commit=2, applied=2, group=joint)
    solo.lead()
    assert appended(solo) == []
    solo.step(solo.accepts(3, TWO))
    assert appended(solo) == [members((1, 2))]
    solo.step(solo.accepts(4, TWO))
    assert solo.raft.commit == 4


def test_joint_consensus_is_left_by_a_leader_that_finds_it_uncommitted() -> None:
    joint = members((1, 2), (1, 2, 3))
    solo = Solo(log=[entry(1, 1), membership_entry(2, 1, joint)], commit=1, applied=1)
    assert solo.raft.configuration == joint, "found in the log at the start"
    solo.lead()
    solo.step(solo.accepts(3, THREE))
    assert solo.raft.commit == 1
    solo.step(solo.accepts(3, TWO))
    assert appended(solo) == [members((1, 2))]


def test_joint_consensus_is_left_after_a_transfer_that_was_given_up() -> None:
    solo = promoting()
    solo.raft.transfer_leadership(FIVE)
    solo.step(solo.accepts(2, TWO), solo.accepts(2, FOUR))
    assert (solo.raft.commit, solo.raft.configuration.is_joint) == (2, True)
    for _ in range(solo.config.election_ticks_min):
        solo.step(solo.beats(TWO), solo.beats(FOUR))
        solo.tick()
    assert solo.raft.configuration == members((1, 4, 5))


# In force when appended, and no more when cut (4.1)


def test_a_follower_goes_by_an_uncommitted_configuration() -> None:
    """Else it would elect a leader by the old majority while another commits by the new one."""
    solo = Solo()
    joint = members((1, 4), (1, 2, 3))
    first = membership_entry(1, 1, joint)
    solo.step(AppendRequest(TWO, ME, Term(1), Index(0), Term(0), Index(0), (first,)))
    assert (solo.raft.configuration, solo.raft.commit) == (joint, 0)
    sent = solo.tick_until(Role.PRE_CANDIDATE)
    assert [m.to for m in only(VoteRequest, sent)] == [2, 3, 4]
    solo.step(solo.grant(TWO, pre_vote=True))
    assert solo.role() is Role.PRE_CANDIDATE
    solo.step(solo.grant(FOUR, pre_vote=True))
    assert solo.role() is Role.CANDIDATE


def test_a_configuration_that_a_conflict_cuts_out_of_the_log_is_no_longer_in_force() -> None:
    solo = Solo(terms=[1])
    entries = (membership_entry(2, 1, members((1, 2, 3), (), (4,))), entry(3, 1))
    request = AppendRequest(TWO, ME, Term(1), Index(1), Term(1), Index(0), entries)
    solo.step(request)
    assert solo.raft.configuration == THREE_AND_A_LEARNER
    solo.step(solo.append(term=2, prev=(2, 1), terms=[2], sender=THREE))
    assert solo.raft.configuration == THREE_AND_A_LEARNER, "cut above it"
    solo.step(solo.append(term=3, prev=(1, 1), terms=[3], sender=THREE))
    assert solo.raft.configuration == configuration(3)
    assert solo.raft.last_index == 2


def test_a_late_request_changes_no_configuration_back() -> None:
    solo = Solo(terms=[1])
    one = membership_entry(2, 1, members((1, 2, 3), (), (4,)))
    two = membership_entry(3, 1, members((1, 2, 3), (), (5,)))
    both = AppendRequest(TWO, ME, Term(1), Index(1), Term(1), Index(0), (one, two))
    solo.step(both)
    solo.step(AppendRequest(TWO, ME, Term(1), Index(1), Term(1), Index(0), (one,)))
    assert solo.raft.configuration == members((1, 2, 3), (), (5,))


@pytest.mark.parametrize("applied", [0, 1, 2, 3])
def test_joint_consensus_survives_a_restart(applied: int) -> None:
    joint = members((1, 4), (1, 2, 3))
    log = [entry(1, 1), membership_entry(2, 1, joint), entry(3, 1)]
    group = joint if applied >= 2 else configuration(3)
    solo = Solo(log=log, commit=applied, applied=applied, group=group)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO, pre_vote=True), solo.grant(THREE, pre_vote=True))
    assert solo.role() is Role.PRE_CANDIDATE, "two of the old voters, one of the new"
    solo.step(solo.grant(FOUR, pre_vote=True))
    assert solo.role() is Role.CANDIDATE


# Removal (4.2.2)


def removing_itself() -> Solo:
    """Leads {1, 2, 3} and has appended the entry, 3, that leaves {2, 3}."""
    solo = leader()
    solo.raft.propose_membership(change((2, 3)))
    solo.settle()
    solo.step(solo.accepts(2, TWO))
    assert solo.raft.commit == 1, "of the new voters only one has it"
    solo.step(solo.accepts(2, THREE))
    assert (solo.raft.commit, solo.raft.configuration) == (2, members((2, 3)))
    return solo


def test_a_leader_that_removes_itself_leads_on_without_counting_itself() -> None:
    solo = removing_itself()
    index = solo.raft.propose(b"x")
    assert [m.to for m in only(AppendRequest, solo.settle())] == [2, 3]
    solo.step(solo.accepts(index, TWO))
    assert (solo.raft.commit, solo.raft.role) == (2, Role.LEADER)


def test_a_leader_that_is_removed_steps_down_once_that_is_committed() -> None:
    solo = removing_itself()
    solo.step(solo.accepts(3, TWO))
    assert solo.role() is Role.LEADER
    solo.step(solo.accepts(3, THREE))
    assert (solo.raft.role, solo.raft.leader, solo.raft.commit) == (Role.FOLLOWER, None, 3)
    with pytest.raises(NotLeader):
        solo.raft.propose(b"x")
    assert solo.tick(100) == [], "no heartbeats, no campaign"


def test_a_leader_that_steps_down_lets_the_best_of_the_voters_campaign_at_once() -> None:
    solo = removing_itself()
    last = solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(3, TWO))
    sent = solo.step(solo.accepts(last, THREE))
    assert only(TimeoutNow, sent) == [TimeoutNow(ME, THREE, solo.raft.term)]


def test_a_leader_that_makes_itself_a_learner_steps_down_too() -> None:
    solo = leader()
    solo.raft.propose_membership(change((2, 3), (1,)))
    solo.settle()
    accept_all(solo, TWO, THREE)
    assert (solo.raft.role, solo.raft.configuration) == (Role.FOLLOWER, members((2, 3), (), (1,)))
    solo.step(solo.append(term=2, prev=(3, 1), terms=[2], sender=THREE))
    assert (solo.raft.leader, solo.raft.last_index) == (THREE, 4)


def test_a_server_may_campaign_until_its_removal_is_committed() -> None:
    """The others may need its vote, and its log may be longer than theirs: nobody else can win."""
    after = members((2, 4, 5))
    log = [
        entry(1, 1),
        membership_entry(2, 1, members((2, 4, 5), (1, 2, 3))),
        membership_entry(3, 1, after),
    ]
    solo = Solo(log=log, commit=2, applied=2, group=members((2, 4, 5), (1, 2, 3)))
    assert solo.raft.configuration == after
    sent = solo.tick_until(Role.PRE_CANDIDATE)
    assert [m.to for m in only(VoteRequest, sent)] == [2, 4, 5]
    solo.step(solo.grant(TWO, pre_vote=True))
    assert solo.role() is Role.PRE_CANDIDATE, "its own vote does not count"
    solo.step(solo.grant(FOUR, pre_vote=True))
    solo.step(solo.grant(TWO), solo.grant(FOUR))
    assert solo.role() is Role.LEADER
    solo.step(solo.accepts(4, TWO), solo.accepts(4, FOUR))
    assert (solo.raft.role, solo.raft.commit) == (Role.FOLLOWER, 4)


def test_a_server_does_not_campaign_once_its_removal_is_committed() -> None:
    log = [entry(1, 1), membership_entry(2, 1, members((2, 3)))]
    solo = Solo(log=log, commit=2, applied=1)
    assert solo.tick(100) == []


def test_an_acknowledgement_of_a_removed_replica_does_not_count() -> None:
    solo = promoting()
    solo.step(solo.accepts(2, TWO), solo.accepts(2, FOUR))
    index = solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(index, TWO), solo.accepts(index, THREE), solo.beats(TWO))
    assert solo.raft.commit == 2


def test_a_replica_that_comes_back_is_known_from_the_start() -> None:
    """What it had acknowledged before it went may be gone with its data: nothing is assumed."""
    solo = leader(THREE_AND_A_LEARNER)
    solo.raft.propose_membership(change((1, 2, 3)))
    solo.settle()
    accept_all(solo, TWO)
    solo.raft.propose_membership(change((1, 2, 3), (4,)))
    sent = solo.settle()
    assert [peer.match for peer in solo.raft.status().peers] == [2, 1, 0]
    assert [m.prev_index for m in only(AppendRequest, sent, FOUR)] == [3]


# Sizes


def test_a_voter_alone_takes_in_another_and_lets_it_go_again() -> None:
    solo = leader(configuration(1))
    solo.raft.propose_membership(change((1,), (2,)))
    solo.settle()
    assert solo.raft.commit == 2, "a learner is not waited for"
    solo.step(solo.accepts(2, TWO))
    solo.raft.propose_membership(change((1, 2)))
    solo.settle()
    assert solo.raft.commit == 2
    accept_all(solo, TWO)
    assert (solo.raft.commit, solo.raft.configuration) == (4, configuration(2))
    solo.raft.propose_membership(change((1,)))
    solo.settle()
    accept_all(solo, TWO)
    assert (solo.raft.commit, solo.raft.configuration) == (6, configuration(1))
    solo.raft.read_index(1)
    assert solo.take().read_states == (ReadState(1, Index(6)),), "alone again"


@pytest.mark.parametrize("size", range(1, 8))
def test_groups_of_every_size_change_to_every_other(size: int) -> None:
    for target in range(1, 8):
        solo = leader(members(range(1, size + 1), (), range(size + 1, 8)))
        if size == target:
            continue
        solo.raft.propose_membership(change(range(1, target + 1)))
        solo.settle()
        for _ in range(2):
            for peer in solo.raft.configuration.peers_of(ME):
                solo.step(solo.accepts(solo.raft.last_index, peer))
        assert (solo.raft.commit, solo.raft.configuration) == (3, configuration(target))


@pytest.mark.parametrize("voters", [(1,), (1, 2)])
def test_reads_that_waited_for_voters_who_left_are_confirmed_by_those_that_stay(
    voters: tuple[int, ...],
) -> None:
    """They have answered the round, and would not do so again. Found by simulation."""
    solo = leader(configuration(4))
    solo.raft.read_index(1)
    solo.settle()
    if 2 in voters:
        solo.step(solo.beats(TWO, 1))
    solo.raft.propose_membership(change(voters))
    solo.settle()
    since = len(solo.bundles)
    solo.step(solo.accepts(2, TWO), solo.accepts(2, THREE))
    assert solo.raft.configuration == members(voters)
    states = [read for bundle in solo.bundles[since:] for read in bundle.read_states]
    assert states == [ReadState(1, Index(1))]
