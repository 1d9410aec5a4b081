"""What a leader sends to its peers, once per bundle: heartbeats, entries (dissertation 3.5) and, to
those that need what was compacted, snapshots (5.3)."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import AppendRequest, Entry, HeartbeatRequest, SnapshotRequest
from cluster.raft.progress import Progress, ProgressState
from cluster.raft.snapshot import SnapshotMeta
from cluster.raft.state import ReplicaState

_Batch = tuple[tuple[Entry, ...], int]
"""Entries and their bytes of payload."""

_STEADY_TICKS_MIN: Final = 2
"""A request in one tick alone is no steady speech."""


class Replication:
    """The peers of one leader in one term."""

    __slots__ = ("_state", "progress")

    def __init__(self, state: ReplicaState) -> None:
        self._state = state
        self.progress: dict[ReplicaId, Progress] = {}
        """Every other member's, in order. The same dict for as long as the leader leads."""

    def follow_configuration(self, heard_at: int) -> None:
        """Begins with new members, as if they had been heard at `heard_at`; forgets those that
        are no longer any."""
        state = self._state
        config = state.config
        before = dict(self.progress)
        self.progress.clear()
        for peer in state.peers:
            self.progress[peer] = before.get(peer) or Progress(
                next_index=state.log.last_index + 1,
                heard_at=heard_at,
                messages_max=config.inflight_messages_max,
                bytes_max=config.inflight_bytes_max,
            )

    def speaks_steadily(self) -> bool:
        """Whether each peer was sent a request in every tick since this was last asked: such
        requests say all that a heartbeat without a read round would."""
        ticks = max(_STEADY_TICKS_MIN, self._state.config.heartbeat_ticks)
        is_steady = bool(self.progress)
        for progress in self.progress.values():
            is_steady = is_steady and progress.spoken_ticks >= ticks
            progress.spoken_ticks = 0
        return is_steady

    def send_heartbeats(self, read_round: int) -> None:
        """One to each peer; its answer confirms `read_round`."""
        state = self._state
        for peer in self.progress:
            known = self.commit_known_to(peer)
            state.send(
                HeartbeatRequest(state.replica, peer, state.term, known, read_round, state.quiet)
            )

    def commit_known_to(self, peer: ReplicaId) -> Index:
        """What a member may be told to be committed beside any entries: beyond `match` its log may
        still hold entries of others."""
        return Index(min(self._state.log.commit, self.progress[peer].match))

    def send_entries(self, now: int) -> None:
        """To each peer what its window allows. Peers at the same place share what is cut from the
        log. `now`: the leader's tick."""
        first = self._state.log.first_index()
        batches: dict[tuple[int, int], _Batch] = {}
        for peer, progress in self.progress.items():
            if progress.next < first:
                self._send_snapshot(peer, progress, now)
            else:
                self._send_entries(peer, progress, batches, now)

    def _send_snapshot(self, peer: ReplicaId, progress: Progress, now: int) -> None:
        """What the peer needs was compacted: it gets the applied state, one at a time, and only if
        it was heard lately."""
        state = self._state
        log = state.log
        if progress.state is ProgressState.SNAPSHOT or not progress.wants(log.last_index):
            return
        if now - progress.heard_at >= state.config.election_ticks_min:
            return
        index = log.applied
        snapshot = SnapshotMeta(index, log.term(index), log.configurations.at(index))
        state.send(SnapshotRequest(state.replica, peer, state.term, snapshot))
        progress.snapshot_sent(index, now)

    def expire_snapshots(self, now: int) -> None:
        """Gives up the snapshots that were not acknowledged in time."""
        ticks_max = self._state.config.snapshot_ticks_max
        for progress in self.progress.values():
            if progress.snapshot_index and now - progress.snapshot_at >= ticks_max:
                progress.snapshot_failed()

    def _send_entries(
        self,
        peer: ReplicaId,
        progress: Progress,
        batches: dict[tuple[int, int], _Batch],
        now: int,
    ) -> None:
        while True:
            entries, size = self._next_batch(progress, batches)
            if not entries and not progress.owes_request:
                return
            self._send_append(peer, progress.next - 1, entries)
            progress.sent(len(entries), size, now)

    def _next_batch(self, progress: Progress, batches: dict[tuple[int, int], _Batch]) -> _Batch:
        """The entries to send next: none when all was sent or the window is full."""
        log = self._state.log
        room = progress.room()
        if progress.next > log.last_index or room <= 0:
            return (), 0
        key = (progress.next, min(room, self._state.config.append_bytes_max))
        batch = batches.get(key)
        if batch is None:
            entries = log.entries(*key)
            batch = batches[key] = (entries, sum([len(entry.data) for entry in entries]))
        return batch if progress.fits(batch[1]) else ((), 0)

    def _send_append(self, peer: ReplicaId, prev: int, entries: tuple[Entry, ...]) -> None:
        state = self._state
        prev_term: Term = state.log.term(prev)
        state.send(
            AppendRequest(
                state.replica, peer, state.term, Index(prev), prev_term, state.log.commit, entries
            )
        )
