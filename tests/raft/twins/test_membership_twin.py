"""Chains of configurations against a table of who is what, and the two facts they rest on.

Any two configurations in a row have no two quorums without a common voter: so at no time can two
leaders of one term be elected, or an entry be committed that the next leader lacks (dissertation
4.3). And each replica has one part at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from cluster.ids import Index, ReplicaId
from cluster.raft import (
    Configuration,
    MembershipChange,
    decode_configuration,
    encode_configuration,
)
from cluster.raft.configurations import Configurations
from tests.raft.twins import CASES, LIVES
from tests.raft.twins.quorums import have_common_voters

IDS = [ReplicaId(i) for i in range(1, 8)]
VOTERS = st.frozensets(st.sampled_from(IDS), min_size=1, max_size=4)
OTHERS = st.frozensets(st.sampled_from(IDS), max_size=3)
CHANGES = st.builds(
    lambda voters, others: MembershipChange(voters, others - voters), VOTERS, OTHERS
)


@dataclass
class Part:
    """What one replica is in its group: before the change under way, and after it."""

    voted: bool = False
    votes: bool = False
    learns: bool = False
    will_learn: bool = False


class MembershipTwin(RuleBasedStateMachine):
    """One group through many changes."""

    @initialize(change=CHANGES)
    def begin(self, change: MembershipChange) -> None:
        self.group = Configuration(change.voters, learners=change.learners)
        self.before = self.group
        self.target = change
        self.table = {
            one: Part(votes=one in change.voters, learns=one in change.learners) for one in IDS
        }

    @precondition(lambda self: not self.group.is_joint)
    @rule(change=CHANGES)
    def change(self, change: MembershipChange) -> None:
        self.before, self.group = self.group, self.group.changed_by(change)
        self.target = change
        simple = all(part.votes is (one in change.voters) for one, part in self.table.items())
        for one, part in self.table.items():
            learns = one in change.learners
            if simple:
                part.learns = learns
            else:
                part.voted = part.votes
                part.votes = one in change.voters
                part.learns = learns and not part.voted
                part.will_learn = learns and part.voted

    @precondition(lambda self: self.group.is_joint)
    @rule()
    def leave(self) -> None:
        self.before, self.group = self.group, self.group.left()
        for part in self.table.values():
            part.learns = part.learns or part.will_learn
            part.voted = part.will_learn = False

    @invariant()
    def it_is_what_the_table_says(self) -> None:
        group, table = self.group, self.table
        assert group.voters == {one for one in IDS if table[one].votes}
        assert group.outgoing == {one for one in IDS if table[one].voted}
        assert group.learners == {one for one in IDS if table[one].learns}
        assert group.demoted == {one for one in IDS if table[one].will_learn}
        assert [one for one in IDS if group.elects(one)] == sorted(group.electors)

    @invariant()
    def each_member_has_one_part(self) -> None:
        group = self.group
        assert not group.learners & group.electors
        assert group.members == group.learners | group.electors
        for one in IDS:
            others = sorted(group.members - {one})
            assert list(group.peers_of(one)) == others

    @invariant()
    def two_in_a_row_have_no_separate_quorums(self) -> None:
        assert have_common_voters(self.before, self.group)

    @invariant()
    def a_change_ends_as_it_was_asked_for(self) -> None:
        if not self.group.is_joint:
            reached = (self.group.voters, self.group.learners)
            assert reached == (self.target.voters, self.target.learners)

    @invariant()
    def its_bytes_say_the_same(self) -> None:
        assert decode_configuration(encode_configuration(self.group)) == self.group


MembershipTwin.TestCase.settings = settings(LIVES, max_examples=50)
TestMembershipTwin = MembershipTwin.TestCase


def test_without_joint_consensus_two_quorums_may_have_no_voter_in_common() -> None:
    """What the chain is for (dissertation figure 4.2)."""
    before = Configuration(frozenset(IDS[:3]))
    after = Configuration(frozenset(IDS[:5]))
    assert not have_common_voters(before, after)


GROUPS = st.builds(Configuration, VOTERS)


class ConfigurationsTwin(RuleBasedStateMachine):
    """The configurations of one log, against the whole history of the log."""

    @initialize(group=GROUPS)
    def begin(self, group: Configuration) -> None:
        self.log: list[Configuration | None] = [group]
        """By index: the configuration that stands there."""
        self.applied = 0
        self.held = Configurations(Index(0), group)

    def in_force(self, index: int) -> Configuration:
        return next(one for one in reversed(self.log[: index + 1]) if one is not None)

    @rule(entries=st.integers(0, 3), group=GROUPS)
    def append(self, entries: int, group: Configuration) -> None:
        self.log += [None] * entries
        self.held.add(Index(len(self.log)), group)
        self.log.append(group)

    @precondition(lambda self: self.applied + 1 < len(self.log))
    @rule(first=st.integers(0, 30))
    def cut(self, first: int) -> None:
        first = self.applied + 1 + first % (len(self.log) - self.applied - 1)
        del self.log[first:]
        self.held.cut(first)

    @rule(count=st.integers(1, 4))
    def apply(self, count: int) -> None:
        self.applied = min(self.applied + count, len(self.log) - 1)
        self.held.release(self.applied)

    @rule(replica=st.sampled_from(IDS), ahead=st.integers(0, 5))
    def elects(self, replica: ReplicaId, ahead: int) -> None:
        """In what is in force at any place that may yet be the end of the log."""
        commit = min(self.applied + ahead, len(self.log) - 1)
        ends = [self.in_force(index) for index in range(commit, len(self.log))]
        expected = any(replica in group.voters for group in ends)
        assert self.held.elects(replica, commit) is expected

    @invariant()
    def the_last_is_in_force(self) -> None:
        last = len(self.log) - 1
        assert self.held.current == self.in_force(last)
        for index in range(self.applied, last + 1):
            assert self.held.at(index) == self.in_force(index)


ConfigurationsTwin.TestCase.settings = LIVES
TestConfigurationsTwin = ConfigurationsTwin.TestCase


@given(CHANGES, CHANGES)
@CASES
def test_members_have_one_encoding(one: MembershipChange, other: MembershipChange) -> None:
    first = Configuration(one.voters, learners=one.learners)
    second = Configuration(other.voters, learners=other.learners)
    same_bytes = encode_configuration(first) == encode_configuration(second)
    assert same_bytes is (first == second)
