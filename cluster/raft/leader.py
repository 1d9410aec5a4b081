"""A leader: commit (dissertation 3.6.2), the answers of its peers (3.5) and its step-down (6.2).

What it sends is in replication.py, changes of membership are in membership.py, reads in
read_service.py.
"""

from __future__ import annotations

from cluster.errors import InvariantViolation, TooManyUncommitted
from cluster.ids import Index, ReplicaId
from cluster.raft.configuration import Configuration, MembershipChange
from cluster.raft.membership import LearnerNotReady, Membership, VotersNotHeard
from cluster.raft.messages import (
    AppendResponse,
    Entry,
    EntryKind,
    HeartbeatResponse,
)
from cluster.raft.progress import Progress
from cluster.raft.quorum import agreed, is_majority
from cluster.raft.read_service import ReadService
from cluster.raft.ready import ReadState
from cluster.raft.replication import Replication
from cluster.raft.state import ReplicaState
from cluster.raft.transfer import Transfer


class Leader:
    """One term of leadership. What it says to its peers is put together once per bundle."""

    __slots__ = (
        "_append_due",
        "_awake_until",
        "_grace_until",
        "_heartbeat_due",
        "_heartbeat_elapsed",
        "_membership",
        "_now",
        "_progress",
        "_reads",
        "_replication",
        "_state",
        "_term_start",
        "_transfer",
        "has_left",
        "uncommitted_bytes",
    )

    def __init__(self, state: ReplicaState) -> None:
        config = state.config
        log = state.log
        self._state = state
        self._now = 0
        """Ticks, for what was heard when; does not advance while quiet."""
        self._grace_until = config.election_ticks_min
        """Until then nobody need have answered."""
        self._awake_until = 0
        """Until then a change is waited for that was refused."""
        self._heartbeat_elapsed = 0
        self._heartbeat_due = False
        self._append_due = True
        self._replication = Replication(state)
        self._replication.follow_configuration(self._now - config.election_ticks_min)
        self._progress = self._replication.progress
        self._transfer = Transfer(state, self._progress)
        self.has_left = False
        """It is no longer a voter of its group, for certain: it has to step down."""
        self.uncommitted_bytes = 0
        """Payload of this term's proposals that were not yet handed out as committed."""
        # Older entries are committed only together with one of this term (3.6.2, figure 3.7).
        self._term_start = log.last_index + 1
        self._membership = Membership(state, self._term_start)
        self._reads = ReadService(state, self._progress, self._transfer, self._term_start)
        log.append(Entry(Index(self._term_start), state.term, EntryKind.NORMAL, b""))

    @property
    def progress(self) -> dict[ReplicaId, Progress]:
        """Every peer's; to be read."""
        return self._progress

    @property
    def reads_waiting(self) -> int:
        """Reads that are not confirmed."""
        return self._reads.waiting

    @property
    def transfer_to(self) -> ReplicaId | None:
        """Whom leadership is being handed to."""
        return self._transfer.to

    @property
    def has_work(self) -> bool:
        """Whether there is something to put into a bundle."""
        return self._append_due or self._heartbeat_due or self._reads.has_work

    # Proposals and commit

    def propose(self, data: bytes) -> Index:
        """Puts `data` at the end of the log; it is sent with the next bundle."""
        if self._transfer.to is not None:
            self._transfer.require_none()
        state = self._state
        uncommitted = self.uncommitted_bytes + len(data)
        if uncommitted > state.config.uncommitted_bytes_max:
            raise TooManyUncommitted(
                f"{self.uncommitted_bytes} bytes wait for their commit; with {len(data)} more "
                f"they pass the limit of {state.config.uncommitted_bytes_max}"
            )
        self.uncommitted_bytes = uncommitted
        index = Index(state.log.last_index + 1)
        state.log.append(Entry(index, state.term, EntryKind.NORMAL, data))
        self._append_due = True
        return index

    def propose_membership(self, change: MembershipChange) -> Index:
        """Begins a change of the configuration (4.3); see membership.py for what is refused."""
        self._transfer.require_none()
        self._membership.require_none()
        try:
            configuration = self._membership.next(change, self._progress, self.is_active)
        except (LearnerNotReady, VotersNotHeard):
            # It will be asked for again; were the group quiet again by then, for ever.
            self._awake_until = self._now + self._state.config.election_ticks_min
            raise
        return self._append_configuration(configuration)

    def _append_configuration(self, configuration: Configuration) -> Index:
        """`configuration` is in force from now on; new members are sent to, removed ones not."""
        state = self._state
        entry = state.log.append_configuration(state.term, configuration)
        state.follow_log()
        self._membership.on_appended()
        self._replication.follow_configuration(self._now - state.config.election_ticks_min)
        self._reads.on_configuration()
        self.uncommitted_bytes += len(entry.data)
        self._append_due = True
        return entry.index

    def advance_commit(self) -> None:
        """Commits what a majority has persisted, if that reaches an entry of this term."""
        log = self._state.log
        index = agreed(self._state.configuration, self._persisted_by)
        if index > log.commit and index >= self._term_start:
            log.commit_to(Index(index))
            if self._membership.is_open:
                self._continue_change()

    def _continue_change(self) -> None:
        """Leaves joint consensus as soon as it is committed (4.3), or finds that it has left."""
        configuration = self._membership.on_commit(may_append=self._transfer.to is None)
        if configuration is not None:
            self._append_configuration(configuration)
        self.has_left = self._membership.has_left

    def _persisted_by(self, replica: ReplicaId) -> int:
        progress = self._progress.get(replica)
        return self._state.log.persisted if progress is None else progress.match

    def release(self, committed: tuple[Entry, ...]) -> None:
        """`committed` are handed out: they no longer count as uncommitted."""
        if committed[-1].index >= self._term_start:
            term_start = self._term_start
            self.uncommitted_bytes -= sum(
                [len(entry.data) for entry in committed if entry.index >= term_start]
            )

    # Time

    def tick(self) -> bool:
        """One tick passed. False: no majority was heard of late, this leader has to step down."""
        state = self._state
        self._now += 1
        if self._transfer.tick():
            self._continue_change()
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed < state.config.heartbeat_ticks:
            return True
        if self._now >= self._grace_until and not is_majority(state.configuration, self.is_active):
            return False
        self._heartbeat_elapsed = 0
        self._replication.expire_snapshots(self._now)
        is_steady = self._replication.speaks_steadily()
        # At rest between two of many requests it does not fall quiet: it would wake with the next.
        state.quiet = not is_steady and self._may_fall_quiet()
        if state.quiet:
            self._reads.drop_lease()
        if not is_steady or self._reads.wants_heartbeats:
            self._heartbeat_due = bool(state.peers)
        return True

    def is_active(self, replica: ReplicaId) -> bool:
        """Whether `replica` was heard within the shortest election timeout."""
        progress = self._progress.get(replica)
        if progress is None:
            return replica == self._state.replica
        return self._now - progress.heard_at < self._state.config.election_ticks_min

    def _may_fall_quiet(self) -> bool:
        """Whether every peer has all there is, and nothing is under way or asked for."""
        log = self._state.log
        last = log.last_index
        if not log.applied == log.commit == log.persisted == last:
            return False
        if not self._reads.is_idle() or self._transfer.to is not None:
            return False
        if self._now < self._awake_until:
            return False
        return all(
            progress.match == last and self.is_active(peer)
            for peer, progress in self._progress.items()
        )

    def wake(self) -> None:
        """Quiet ends: what was heard before is old, and peers get the time to answer."""
        self._now += self._state.config.election_ticks_min
        self._grace_until = self._now + self._state.config.election_ticks_min
        self._heartbeat_elapsed = self._state.config.heartbeat_ticks

    # Answers

    def on_append_response(self, response: AppendResponse) -> None:
        """Moves the sender's progress, and the commit index with it."""
        progress = self._progress.get(response.sender)
        if progress is None:
            return
        log = self._state.log
        progress.heard_at = self._now
        if response.accepted:
            if response.index > log.last_index:
                raise InvariantViolation(
                    f"replica {response.sender} acknowledges {response.index} in term "
                    f"{response.term}, but its leader's log ends at {log.last_index}"
                )
            # What is committed already moves nothing: of three, the last to acknowledge.
            if progress.accepted(response.index) and progress.match > log.commit:
                self.advance_commit()
            if response.sender == self._transfer.to:
                self._transfer.advance()
        else:
            could_match = log.last_that_could_match(
                response.hint_index, response.hint_term, progress.match
            )
            progress.rejected(response.index, could_match)
        if progress.wants(log.last_index):
            self._append_due = True

    def on_heartbeat_response(self, response: HeartbeatResponse) -> None:
        """The sender still follows: confirms reads, and finds out what was lost."""
        progress = self._progress.get(response.sender)
        if progress is None:
            return
        progress.heard_at = self._now
        last_index = self._state.log.last_index
        progress.heartbeat_answered(last_index)
        if progress.wants(last_index):
            self._append_due = True
        if response.read_round:
            self._reads.on_answer(progress, response.read_round)

    def on_snapshot_failed(self, peer: ReplicaId, index: Index) -> None:
        """The snapshot of `index` that was sent to `peer` will not arrive."""
        progress = self._progress.get(peer)
        if progress is not None and index and progress.snapshot_index == index:
            progress.snapshot_failed()

    # Reads

    def read_index(self, context: int, now_us: int | None) -> None:
        """One more read, to be answered by the lease or by the next round."""
        self._reads.add(context, now_us)

    def begin_read_round(self) -> int:
        """A round that the host asks the peers about; 0: it has nothing to ask."""
        return self._reads.begin_unsent_round()

    def commit_known_to(self, peer: ReplicaId) -> Index:
        """See Raft.commit_known_to."""
        return self._replication.commit_known_to(peer)

    def on_confirmed(self, peer: ReplicaId, read_round: int) -> None:
        """`peer` still follows."""
        progress = self._progress.get(peer)
        if progress is not None:
            progress.heard_at = self._now
            self._reads.on_answer(progress, read_round)

    def take_read_states(self) -> tuple[ReadState, ...]:
        """The reads that were confirmed since the last bundle."""
        return self._reads.take()

    # Transfer and removal

    def transfer(self, to: ReplicaId) -> None:
        """Hands leadership to `to` as soon as it has the whole log, and takes no proposals
        meanwhile."""
        self._reads.drop_lease()
        self._transfer.begin(to)

    def resign(self) -> None:
        """It leads no more: the last that it does is to ask another to campaign (4.2.2)."""
        self._transfer.appoint_heir(self.is_active)

    # What goes into a bundle

    def collect(self, now_us: int | None) -> None:
        """Sends what is due: one round for all waiting reads, heartbeats, entries."""
        if self._reads.begin_round():
            self._heartbeat_due = True
        if self._heartbeat_due:
            self._heartbeat_due = False
            self._replication.send_heartbeats(self._reads.heartbeat_round(now_us))
        if self._append_due:
            self._append_due = False
            self._replication.send_entries(self._now)
