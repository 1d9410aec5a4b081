"""How one leader serves reads: by its lease (dissertation 6.4.1) if it holds one, else by ReadIndex
(6.4), and neither before the first commit of its term."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import ReplicaId
from cluster.raft.lease import Lease
from cluster.raft.progress import Progress
from cluster.raft.quorum import agreed
from cluster.raft.reads import Reads
from cluster.raft.ready import ReadState
from cluster.raft.state import ReplicaState
from cluster.raft.transfer import Transfer


class ReadService:
    """See the module. Before its first commit a leader does not know what others committed."""

    __slots__ = (
        "_lease",
        "_progress",
        "_reads",
        "_state",
        "_term_start",
        "_transfer",
        "_was_leased",
    )

    def __init__(
        self,
        state: ReplicaState,
        progress: Mapping[ReplicaId, Progress],
        transfer: Transfer,
        term_start: int,
    ) -> None:
        config = state.config
        self._state = state
        self._progress = progress
        self._transfer = transfer
        self._term_start = term_start
        self._reads = Reads(config.reads_waiting_max)
        self._lease: Lease | None = None
        if config.lease is not None:
            self._lease = Lease(config.lease.lease_us(config.election_ticks_min))
        self._was_leased = False

    @property
    def waiting(self) -> int:
        """Reads that are not confirmed."""
        return len(self._reads)

    def is_idle(self) -> bool:
        """Whether there are no reads, confirmed or not, and none were served by the lease since
        this was last asked: quiet, the group would lose it."""
        was_leased, self._was_leased = self._was_leased, False
        return not (self._reads or self._reads.confirmed or was_leased)

    @property
    def has_work(self) -> bool:
        """Whether there is something to put into a bundle."""
        reads = self._reads
        return bool(reads.confirmed) or (
            bool(reads.waiting) and self._state.log.commit >= self._term_start
        )

    def add(self, context: int, now_us: int | None) -> None:
        """One more read: the lease serves it, or it waits for the next round."""
        commit = self._state.log.commit
        lease = self._usable_lease()
        has_lease = lease is not None and now_us is not None and lease.holds(now_us)
        if has_lease and commit >= self._term_start:
            self._reads.serve(context, commit)
            self._was_leased = True
        else:
            self._reads.add(context)

    def begin_round(self) -> bool:
        """Puts the reads that wait into a round; whether heartbeats have to go out for it."""
        commit = self._state.log.commit
        if not self._reads.waiting or commit < self._term_start:
            return False
        self._reads.begin_round(commit)
        if self._state.timer.alone:
            self._confirm()
            return False
        return True

    def begin_unsent_round(self) -> int:
        """As `begin_round`, but without heartbeats for it; its number, or 0 where nobody is to be
        asked. With leases there is none such: each heartbeat of a round asks for a lease, too."""
        if self._lease is not None or not self.begin_round():
            return 0
        return self._reads.round

    @property
    def wants_heartbeats(self) -> bool:
        """Whether heartbeats have something to ask: a round is open, or a lease to be renewed."""
        return bool(self._reads.open_round) or self._usable_lease() is not None

    def heartbeat_round(self, now_us: int | None) -> int:
        """The round that the heartbeats which are handed out now ask for; 0: none. While there may
        be a lease, each asks for a new one."""
        lease = self._usable_lease()
        if lease is None or now_us is None:
            return self._reads.open_round
        number = self._reads.next_round()
        lease.begin_round(number, now_us)
        return number

    def on_answer(self, progress: Progress, read_round: int) -> None:
        """A peer has answered a heartbeat of `read_round`."""
        if read_round > progress.read_round:
            progress.read_round = read_round
            if self._reads.open_round or self._lease is not None:
                self._confirm()

    def on_configuration(self) -> None:
        """Another configuration is in force. Its voters may have answered already what those before
        had not: nobody would answer again. They have promised nothing for a lease."""
        self.drop_lease()
        self._confirm()

    def drop_lease(self) -> None:
        """Leadership is handed over, or the group falls quiet."""
        if self._lease is not None:
            self._lease.drop()

    def take(self) -> tuple[ReadState, ...]:
        """The reads that were confirmed since the last bundle."""
        return self._reads.take()

    def _usable_lease(self) -> Lease | None:
        """None while leases are off, this leader hands over or has done so once in its term, or
        its group is quiet."""
        transfer = self._transfer
        if transfer.to is not None or transfer.was_told or self._state.quiet:
            return None
        return self._lease

    def _confirm(self) -> None:
        confirmed = agreed(self._state.configuration, self._confirmed_by)
        self._reads.confirm(confirmed)
        if self._lease is not None:
            self._lease.confirm(confirmed)

    def _confirmed_by(self, replica: ReplicaId) -> int:
        progress = self._progress.get(replica)
        return self._reads.round if progress is None else progress.read_round
