"""What must hold in a cluster at every step (dissertation figure 3.2, and what Ready promises)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendResponse,
    Entry,
    Message,
    ReadState,
    Ready,
    Role,
    VoteRequest,
    VoteResponse,
)

if TYPE_CHECKING:
    from tests.raft.harness import Cluster, Member


class Checker:
    """Sees every bundle, every message and every read of a cluster; raises AssertionError."""

    def __init__(self) -> None:
        self.committed: list[tuple[Term, bytes, Term]] = []
        """By index - 1: the entry's term and data, and a term in which it was committed."""
        self._leaders: dict[Term, ReplicaId] = {}
        self._entries: dict[tuple[Index, Term], tuple[Term, bytes]] = {}
        self._votes: dict[tuple[ReplicaId, Term], ReplicaId] = {}
        self._matches: dict[tuple[Term, ReplicaId], int] = {}
        self._reads: dict[int, int] = {}
        self.reads_served = 0

    def on_bundle(self, cluster: Cluster, member: Member, bundle: Ready) -> None:
        """Before its entries are put into the member's log."""
        if bundle.role is Role.LEADER:
            self._check_leader(member, bundle)
        if len(cluster.members) > 1:  # alone, a term that nobody saw may come again after a crash
            for entry in bundle.entries:
                self._check_log_matching(member, entry)
        if bundle.must_sync:
            changed = bundle.entries or bundle.hard_state
            assert changed, "nothing to sync"
        state = bundle.hard_state
        if state is not None:
            before = member.hard_state
            assert state.term >= before.term, "the term went back"
            assert state.commit >= before.commit, "the commit index went back"
            if state.term == before.term and before.vote is not None:
                assert state.vote == before.vote, "the vote changed within a term"
            member.hard_state = state
        for entry in bundle.committed:
            self._check_committed(cluster, member, entry, bundle.term)
        for read in bundle.read_states:
            self._check_read(read)

    def _check_leader(self, member: Member, bundle: Ready) -> None:
        """Election safety; and leader completeness when it is first seen."""
        known = self._leaders.setdefault(bundle.term, member.replica)
        assert known == member.replica, f"{known} and {member.replica} lead term {bundle.term}"
        if member.led_term == bundle.term:
            return
        member.led_term = bundle.term
        held = {entry.index: entry.term for entry in bundle.entries}
        for index, (term, _data, commit_term) in enumerate(self.committed, 1):
            if commit_term < bundle.term:
                has = held.get(Index(index)) or member.storage.term(Index(index))
                assert has == term, f"the leader of {bundle.term} lacks committed {index}"

    def _check_log_matching(self, member: Member, entry: Entry) -> None:
        """The same index and term: the same entry, and the same one before it."""
        previous = member.term_before(entry)
        known = self._entries.setdefault((entry.index, entry.term), (previous, entry.data))
        assert known == (previous, entry.data), f"two entries {entry.index} of term {entry.term}"
        member.last_seen = entry

    def _check_committed(self, cluster: Cluster, member: Member, entry: Entry, term: Term) -> None:
        """State machine safety; and a majority holds on disk what is first handed out."""
        member.handed_out += 1
        assert entry.index == member.handed_out, "applied out of order, or twice"
        on_disk = member.disk.log
        assert on_disk[entry.index - 1] == entry, "committed before it was persisted here"
        if entry.index <= len(self.committed):
            known = self.committed[entry.index - 1]
            assert known[:2] == (entry.term, entry.data), f"two entries committed at {entry.index}"
            return
        holders = sum(
            len(other.disk.log) >= entry.index and other.disk.log[entry.index - 1] == entry
            for other in cluster.members.values()
        )
        assert 2 * holders > len(cluster.members), f"{entry.index} committed on {holders} disks"
        self.committed.append((entry.term, entry.data, term))

    def on_send(self, member: Member, message: Message) -> None:
        """Whatever a message claims is on the sender's disk."""
        disk = member.disk
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
            assert message.index <= len(disk.log), f"{message} before it was persisted"

    def _check_vote(self, member: Member, term: Term, candidate: ReplicaId) -> None:
        known = self._votes.setdefault((member.replica, term), candidate)
        assert known == candidate, f"{member.replica} voted twice in term {term}"
        state = member.disk.hard_state
        assert (state.term, state.vote) == (term, candidate) or state.term > term, "vote not kept"

    def on_read(self, context: int) -> None:
        """A read comes in: it has to see all that was committed, and so answered, by now."""
        self._reads[context] = len(self.committed)

    def _check_read(self, read: ReadState) -> None:
        self.reads_served += 1
        floor = self._reads.pop(read.context)
        assert read.index >= floor, f"a read at {read.index} misses entries up to {floor}"

    def on_tick(self, member: Member) -> None:
        """A leader's match indexes never move back."""
        assert member.raft is not None
        status = member.raft.status()
        for peer in status.peers:
            key = (status.term, peer.replica)
            assert peer.match >= self._matches.get(key, 0), "a match index went back"
            assert peer.match <= status.last_index
            self._matches[key] = peer.match
