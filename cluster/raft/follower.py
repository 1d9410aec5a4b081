"""A follower: takes over its leader's log (dissertation 3.5), or a snapshot of its state (5.3)."""

from __future__ import annotations

from cluster.errors import InvariantViolation, MemoryLost
from cluster.ids import Index, ReplicaId
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    SnapshotRequest,
)
from cluster.raft.state import ReplicaState


class Follower:
    """Answers the leader of the current term; the core has checked that it is one."""

    __slots__ = ("_matched", "_state")

    def __init__(self, state: ReplicaState) -> None:
        self._state = state
        self._matched: int = 0
        self.start()

    def start(self) -> None:
        """A term, or a life in it, begins."""
        log = self._state.log
        # An entry of this term came from this term's leader, and so did, or matches, all before it:
        # a follower that restarts in mid-term knows that much from its log.
        own_term = log.last_term == self._state.term and self._state.term > 0
        self._matched = log.last_index if own_term else log.commit
        """The highest index known to be the same in the leader's log, persisted or not."""

    def on_append(self, request: AppendRequest) -> None:
        """Takes the entries over if what precedes them matches, else says how far it could."""
        state = self._state
        log = state.log
        if not self._precedes(request):
            self._reject(request)
            return
        entries = request.entries
        behind = log.first_index() - 1 - request.prev_index
        if behind > 0:  # what was compacted is committed, and so the same everywhere
            entries = entries[behind:]
        log.merge(entries)
        if log.configurations.current is not state.configuration:
            state.follow_log()
        index = request.prev_index + len(request.entries)
        self._matched = max(self._matched, index)
        log.commit_to(Index(min(request.commit, index)))
        self._accept(request.sender, Index(index))

    def _precedes(self, request: AppendRequest) -> bool:
        """Whether the entry before the request's is here."""
        log = self._state.log
        index = request.prev_index
        if index < log.first_index() - 1:
            return True
        if log.matches(index, request.prev_term):
            return True
        if index <= log.commit:
            raise InvariantViolation(
                f"replica {request.sender} leads term {request.term} with term "
                f"{request.prev_term} at {index}, where term {log.term(index)} is committed"
            )
        return False

    def _accept(self, leader: ReplicaId, index: Index) -> None:
        state = self._state
        response = AppendResponse(state.replica, leader, state.term, True, index)
        if index <= state.log.persisted:
            state.send(response)
            return
        waiting = state.messages_after_persist
        if waiting:
            # Of several acknowledgements that wait for the same disk write the highest will do.
            last = waiting[-1]
            if isinstance(last, AppendResponse) and last.accepted and last.term == state.term:
                waiting[-1] = max(last, response, key=lambda either: either.index)
                return
        waiting.append(response)

    def _reject(self, request: AppendRequest) -> None:
        state = self._state
        log = state.log
        hint = log.last_that_could_match(request.prev_index, request.prev_term, log.commit)
        state.send(
            AppendResponse(
                state.replica,
                request.sender,
                state.term,
                False,
                request.prev_index,
                Index(hint),
                log.term(hint),
            )
        )

    def on_snapshot(self, request: SnapshotRequest) -> None:
        """Takes over a snapshot that has arrived whole, unless it brings nothing.

        | the snapshot | what becomes of it |
        | --- | --- |
        | is of a later term than its message | nothing, not even an answer |
        | covers no more than is committed here | nothing; what is here is acknowledged |
        | ends at an entry that is here | all up to it is committed, what follows is kept |
        | else | it is installed, and replaces the whole log |
        """
        state = self._state
        log = state.log
        snapshot = request.snapshot
        index = snapshot.index
        if snapshot.term > request.term:
            # Its host attached what it applied when it led no more. This replica would hold entries
            # of a term that it is not in, and could come to lead that term a second time.
            return
        if index <= log.commit:
            self._accept(request.sender, log.commit)
            return
        if log.matches(index, snapshot.term):
            log.commit_to(index)
        else:
            log.restore(snapshot)
            state.follow_log()
        self._matched = max(self._matched, index)
        self._accept(request.sender, index)

    def on_heartbeat(self, request: HeartbeatRequest) -> None:
        """Learns what is committed, answers, or falls quiet without an answer."""
        state = self._state
        log = state.log
        self.on_commit(request.sender, request.commit)
        if request.fall_quiet and log.commit == log.last_index == request.commit:
            state.quiet = True
            return
        state.send(HeartbeatResponse(state.replica, request.sender, state.term, request.read_round))

    def on_commit(self, leader: ReplicaId, commit: Index) -> None:
        """Learns that `commit`, which is persisted here, is committed."""
        log = self._state.log
        if commit > log.last_index:
            raise MemoryLost(
                f"replica {leader} knows {commit} to be persisted here, but the log ends at "
                f"{log.last_index}: acknowledged entries were lost"
            )
        log.commit_to(Index(min(commit, self._matched)))
