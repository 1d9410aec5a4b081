"""What must hold in a cluster at every step (dissertation figure 3.2, chapters 4 and 5, and what
Ready promises)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendResponse,
    Configuration,
    Entry,
    EntryKind,
    Message,
    ReadState,
    Ready,
    Role,
    SnapshotMeta,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    decode_configuration,
)
from cluster.raft.quorum import is_majority

if TYPE_CHECKING:
    from tests.raft.harness import Cluster
    from tests.raft.member import Member


class Checker:
    """Sees every bundle, every message and every read of a cluster; raises AssertionError."""

    def __init__(self, configuration: Configuration, promotion_lag_max: int) -> None:
        self._promotion_lag_max = promotion_lag_max
        self.committed: list[tuple[Term, bytes, Term]] = []
        """By index - 1: the entry's term and data, and a term in which it was committed."""
        self.configurations: list[tuple[int, Configuration]] = [(0, configuration)]
        """Those that were committed, and where."""
        self._appended: list[tuple[int, Configuration]] = []
        """Those that a leader has appended, and where."""
        self._leaders: dict[Term, ReplicaId] = {}
        self._entries: dict[tuple[Index, Term], tuple[Term, bytes]] = {}
        self._votes: dict[tuple[ReplicaId, Term], ReplicaId] = {}
        self._matches: dict[ReplicaId, dict[tuple[Term, ReplicaId], int]] = {}
        self._reads: dict[int, int] = {}
        self.reads_served = 0
        self.reads_by_lease = 0
        self.snapshots_installed = 0

    # What is known

    def configuration_at(self, index: int) -> Configuration | None:
        """The configuration of the state as of `index`; None if it is the first."""
        return next((c for at, c in reversed(self.configurations[1:]) if at <= index), None)

    @property
    def in_use(self) -> list[Configuration]:
        """The last that was committed, and whatever may have been appended since."""
        last = len(self.committed)
        return [self.configurations[-1][1], *[each for at, each in self._appended if at > last]]

    # Bundles

    def on_bundle(self, cluster: Cluster, member: Member, bundle: Ready) -> None:
        """Before its entries are put into the member's log."""
        raft = member.raft
        assert raft is not None
        if bundle.snapshot is not None:
            self._check_snapshot(member, bundle.snapshot)
            if not any(entry.kind is EntryKind.MEMBERSHIP for entry in bundle.entries):
                assert raft.configuration == bundle.snapshot.configuration, "not the snapshot's"
            member.note_snapshot(bundle)
        if bundle.role is Role.LEADER:
            self._check_leader(member, bundle)
        elif bundle.role is not Role.FOLLOWER:
            assert not raft.status().is_installing, "a candidate without a state"
        if member.led_term == bundle.term:  # also if it has just stepped down with a commit
            self._check_commit(cluster, member, bundle)
        if raft.configuration.electors != {member.replica}:
            # Alone, it may lead a term again after a crash if nobody had seen that term.
            for entry in bundle.entries:
                self._check_log_matching(member, entry)
        if bundle.must_sync:
            changed = bundle.entries or bundle.hard_state or bundle.snapshot
            assert changed, "nothing to sync"
        self._check_hard_state(member, bundle)
        for entry in bundle.committed:
            self._check_handed_out(member, entry)
        for read in bundle.read_states:
            self._check_read(read)
        member.in_force = raft.configuration

    def _check_hard_state(self, member: Member, bundle: Ready) -> None:
        state = bundle.hard_state
        if state is None:
            return
        before = member.hard_state
        assert state.term >= before.term, "the term went back"
        assert state.commit >= before.commit, "the commit index went back"
        if state.term == before.term and before.vote is not None:
            assert state.vote == before.vote, "the vote changed within a term"
        member.hard_state = state

    def _check_snapshot(self, member: Member, snapshot: SnapshotMeta) -> None:
        """It is of what was committed, and moves its receiver forward."""
        self.snapshots_installed += 1
        assert snapshot.index <= len(self.committed), "a snapshot of what is not committed"
        assert self.committed[snapshot.index - 1][0] == snapshot.term
        expected = self.configuration_at(snapshot.index) or self.configurations[0][1]
        assert snapshot.configuration == expected, "a snapshot with another configuration"
        assert snapshot.index > member.handed_out, "a snapshot undoes what was applied"
        log = member.storage
        if snapshot.index <= log.last_index():
            assert log.term(snapshot.index) != snapshot.term, "a matching suffix is dropped"

    def _check_leader(self, member: Member, bundle: Ready) -> None:
        """Election safety; and leader completeness when it is first seen."""
        known = self._leaders.setdefault(bundle.term, member.replica)
        assert known == member.replica, f"{known} and {member.replica} lead term {bundle.term}"
        configurations = [
            (entry.index, decode_configuration(entry.data))
            for entry in bundle.entries
            if entry.kind is EntryKind.MEMBERSHIP and entry.term == bundle.term
        ]
        if configurations:
            self._check_change(member, bundle)
        before = member.in_force
        for index, after in configurations:
            assert overlap(before, after), f"{before} and {after} have no majority in common"
            if before.is_joint:
                left = Configuration(before.voters, learners=before.learners | before.demoted)
                assert after == left, f"{before} was left for {after}"
            self._check_promoted(member, after.voters - before.electors)
            self._appended.append((index, after))
            before = after
        if member.led_term == bundle.term:
            return
        member.led_term = bundle.term
        self._check_elected(member, bundle.term)
        held: dict[int, Term] = {entry.index: entry.term for entry in bundle.entries}
        log = member.storage
        for place, (term, _data, commit_term) in enumerate(self.committed, 1):
            if commit_term < bundle.term and place >= log.first_index() - 1:
                has = held.get(place) or log.term(Index(place))
                assert has == term, f"the leader of {bundle.term} lacks committed {place}"

    def _check_change(self, member: Member, bundle: Ready) -> None:
        """A leader changes the group only once an entry of its term and the last change are
        committed (4.1)."""
        raft, log = member.raft, member.storage
        assert raft is not None
        new = bundle.entries[0].index
        if raft.commit >= new:  # alone, it commits at once
            return
        assert log.term(raft.commit) == bundle.term, "a change before the term's first commit"
        if raft.commit + 1 < new:
            open_changes = log.membership_entries(Index(raft.commit + 1), new)
            assert not open_changes, "a change before the last is committed"

    def _check_promoted(self, member: Member, promoted: frozenset[ReplicaId]) -> None:
        """Who becomes a voter holds up no commit: it was heard of late, and has most of the log
        (4.2.1)."""
        raft = member.raft
        assert raft is not None
        if not promoted:
            return
        status = raft.status()
        peers = {peer.replica: peer for peer in status.peers}
        for replica in sorted(promoted):
            peer = peers[replica]
            # The change itself is in the log by now, and not at the peer.
            assert peer.lag <= self._promotion_lag_max + 1, f"{replica} lacks {peer.lag} entries"
            assert peer.active, f"{replica} was promoted and is silent"

    def _check_elected(self, member: Member, term: Term) -> None:
        """Majorities of its group have given it their votes: two of them while it is joint."""
        assert member.raft is not None
        group, me = member.raft.configuration, member.replica
        assert group.electors == {me} or is_majority(
            group, lambda each: self._votes.get((each, term)) == me
        ), f"{me} leads term {term} without the votes of {group}"

    def _check_commit(self, cluster: Cluster, member: Member, bundle: Ready) -> None:
        """A majority, by a configuration that was in force, holds on disk what is committed."""
        raft = member.raft
        assert raft is not None
        first = len(self.committed) + 1
        if raft.commit < first:
            return
        # What came with earlier terms is committed only along with an entry of this one (3.6.2).
        assert member.storage.term(raft.commit) == bundle.term, "an old term committed by counting"
        for entry in member.storage.entries(Index(first), Index(raft.commit + 1), 1 << 60):
            holders = [
                other.replica
                for other in (*cluster.members.values(), *cluster.graves.values())
                if other.disk.holds(entry.index, entry.term)
            ]
            assert any(
                is_majority(group, holders.__contains__)
                for group in (raft.configuration, member.in_force)
            ), f"{entry.index} committed on the disks of {holders} of {raft.configuration}"
            self.committed.append((entry.term, entry.data, bundle.term))
            if entry.kind is EntryKind.MEMBERSHIP:
                after = decode_configuration(entry.data)
                assert overlap(self.configurations[-1][1], after)
                self.configurations.append((entry.index, after))

    def _check_log_matching(self, member: Member, entry: Entry) -> None:
        """The same index and term: the same entry, and the same one before it."""
        previous = member.term_before(entry)
        known = self._entries.setdefault((entry.index, entry.term), (previous, entry.data))
        assert known == (previous, entry.data), f"two entries {entry.index} of term {entry.term}"
        member.last_seen = entry

    def _check_handed_out(self, member: Member, entry: Entry) -> None:
        """State machine safety; and it is on the own disk."""
        member.handed_out += 1
        assert entry.index == member.handed_out, "applied out of order, or twice"
        assert member.disk.holds(entry.index, entry.term), "committed before it was persisted here"
        assert entry.index <= len(self.committed), f"{entry.index} was committed by nobody"
        known = self.committed[entry.index - 1]
        assert known[:2] == (entry.term, entry.data), f"two entries committed at {entry.index}"

    # Messages and reads

    def on_send(self, member: Member, message: Message, receiver: Member | None) -> None:
        """Whatever a message claims is on the sender's disk; what it acknowledges to the leader of
        its term is what that leader has."""
        disk, raft = member.disk, member.raft
        if isinstance(message, TimeoutNow) and raft is not None and raft.role is Role.LEADER:
            assert message.to in raft.configuration.electors, "a learner was told to campaign"
        if isinstance(message, SnapshotRequest) and raft is not None:
            assert message.snapshot.index <= raft.applied, "a snapshot of what is not applied"
        if isinstance(message, VoteRequest) and message.pre_vote:
            return
        if isinstance(message, VoteResponse) and message.pre_vote and message.granted:
            return
        assert message.term <= disk.hard_state.term, f"{message} before its term was persisted"
        if isinstance(message, VoteRequest):
            self._check_vote(member, message.term, member.replica)
        elif isinstance(message, VoteResponse) and message.granted:
            self._check_vote(member, message.term, message.to)
        elif (
            isinstance(message, AppendResponse)
            and message.accepted
            and message.term == disk.hard_state.term
        ):
            assert message.index <= disk.log.last_index(), f"{message} before it was persisted"
            if receiver is not None and receiver.led_term == message.term:
                self._check_acknowledged(member, receiver, message.index)

    def _check_acknowledged(self, member: Member, leader: Member, index: Index) -> None:
        if leader.raft is None or leader.raft.term != leader.led_term:
            return
        log = leader.storage
        if log.first_index() <= index <= log.last_index():
            assert member.disk.holds(index, log.term(index)), f"{index} is not the leader's"

    def _check_vote(self, member: Member, term: Term, candidate: ReplicaId) -> None:
        known = self._votes.setdefault((member.replica, term), candidate)
        assert known == candidate, f"{member.replica} voted twice in term {term}"
        state = member.disk.hard_state
        assert (state.term, state.vote) == (term, candidate) or state.term > term, "vote not kept"

    def on_read(self, context: int) -> None:
        """A read comes in: it has to see all that was committed, and so answered, by now."""
        self._reads[context] = len(self.committed)

    def on_asked(self, member: Member, context: int) -> None:
        """The read was handed in. If it has been served, it was by a lease."""
        if member.in_force.electors != {member.replica} and context not in self._reads:
            self.reads_by_lease += 1

    def _check_read(self, read: ReadState) -> None:
        self.reads_served += 1
        floor = self._reads.pop(read.context)
        assert read.index >= floor, f"a read at {read.index} misses entries up to {floor}"

    def on_tick(self, member: Member) -> None:
        """A leader's match indexes never move back, as long as it knows the follower; and it gives
        way once its removal is committed (4.2.2)."""
        assert member.raft is not None
        status = member.raft.status()
        if status.role is Role.LEADER and status.configuration == self.configuration_at(
            status.commit
        ):
            electors = status.configuration.electors
            assert member.replica in electors, "a leader leads the group that it has left"
        before = self._matches.get(member.replica, {})
        now: dict[tuple[Term, ReplicaId], int] = {}
        for peer in status.peers:
            key = (status.term, peer.replica)
            assert peer.match >= before.get(key, 0), "a match index went back"
            assert peer.match <= status.last_index
            now[key] = peer.match
        self._matches[member.replica] = now


def overlap(one: Configuration, other: Configuration) -> bool:
    """Whether every majority of `one` has a member in common with every majority of `other`."""
    everyone = sorted(one.electors | other.electors)
    return not any(
        is_majority(one, some.__contains__)
        and is_majority(other, [each for each in everyone if each not in some].__contains__)
        for size in range(len(everyone) + 1)
        for some in combinations(everyone, size)
    )
