"""What a replica has in every role: term, vote, log, election timer and outgoing messages.

When a message may go is decided here. It may go at once unless it claims something that is not yet
on stable storage here:

| message | claims |
| --- | --- |
| VoteRequest; VoteResponse, granted | the sender's term and vote |
| VoteRequest and granted VoteResponse of a pre-vote | nothing: `term` is one that nobody is in |
| VoteResponse, refused; AppendResponse, rejected; HeartbeatResponse | the sender's term |
| AppendRequest, HeartbeatRequest, TimeoutNow | the sender's term; not that it has the entries |
| SnapshotRequest | the sender's term; what it covers is applied, and so persisted |
| AppendResponse, accepted | the sender's term and the entries, or a snapshot, up to `index` |

So while term or vote are not persisted, everything waits; a vote always does, as it was just given.
While they are, all but an acknowledgement goes at once, and that too if its entries are persisted.
"""

from __future__ import annotations

from random import Random

from cluster.ids import ReplicaId, Term
from cluster.raft.config import RaftConfig
from cluster.raft.configuration import Configuration
from cluster.raft.lease import Protection
from cluster.raft.log import RaftLog
from cluster.raft.messages import Message
from cluster.raft.ready import HardState, Role


class ElectionTimer:
    """Ticks since a leader was heard, a vote given or a campaign begun (dissertation 3.4)."""

    __slots__ = ("_max", "_min", "_random", "alone", "elapsed", "timeout")

    def __init__(self, config: RaftConfig, random: Random) -> None:
        self._min = config.election_ticks_min
        self._max = config.election_ticks_max
        self._random = random
        self.alone = False
        """The only vote of the group is this replica's."""
        self.elapsed = 0
        self.timeout = 0
        self.redraw()

    def restart(self) -> None:
        """Begins to count anew, with the same timeout."""
        self.elapsed = 0

    def redraw(self) -> None:
        """Begins to count anew, with a new timeout."""
        self.elapsed = 0
        # Who decides alone has no leader to wait for.
        self.timeout = 1 if self.alone else self._random.randint(self._min, self._max)

    def tick(self) -> bool:
        """One tick passed. Whether it is time to campaign."""
        self.elapsed += 1
        return self.elapsed >= self.timeout


class ReplicaState:
    """Shared by the roles of one replica; they hold nothing of each other."""

    __slots__ = (
        "_handed_out_commit",
        "_hard_state_number",
        "changed",
        "config",
        "configuration",
        "leader",
        "log",
        "messages",
        "messages_after_persist",
        "number",
        "peers",
        "persisted_number",
        "protection",
        "quiet",
        "replica",
        "role",
        "term",
        "timer",
        "vote",
    )

    def __init__(
        self,
        *,
        replica: ReplicaId,
        config: RaftConfig,
        hard_state: HardState,
        log: RaftLog,
        random: Random,
    ) -> None:
        self.replica = replica
        self.config = config
        self.log = log
        self.timer = ElectionTimer(config, random)
        self.configuration = Configuration()
        """The latest in the log, committed or not."""
        self.peers: tuple[ReplicaId, ...] = ()
        """Its other members."""
        self.follow_log()
        self.protection: Protection | None = None
        """Of the leader, while leases are on (6.4.1)."""
        if config.lease is not None:
            self.protection = Protection(
                config.lease.protection_us(config.election_ticks_min),
                # A heartbeat is answered only in a term that is persisted.
                may_have_answered=hard_state.term > 0,
            )
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.role = Role.FOLLOWER
        self.leader: ReplicaId | None = None
        self.quiet = False
        self.changed = False
        """Role, term or leader changed since the last bundle."""
        self.messages: list[Message] = []
        self.messages_after_persist: list[Message] = []
        self.number = 0
        """Of the last bundle that was handed out."""
        self.persisted_number = 0
        """Of the last bundle that was persisted."""
        self._hard_state_number = 0
        """The bundle that carries, or will carry, the last change of term or vote."""
        self._handed_out_commit = hard_state.commit

    @property
    def has_vote(self) -> bool:
        """Whether this replica has a vote, or had one in what is not yet known to be replaced
        (dissertation 4.2.2). Who has none, such as a learner (4.2.1), never campaigns."""
        log = self.log
        return log.configurations.elects(self.replica, log.commit)

    @property
    def may_campaign(self) -> bool:
        """Whether this replica could lead. Not while a snapshot is installed: as a leader it could
        answer for nothing below it."""
        return self.has_vote and not self.log.is_installing

    def is_bound_against(self, candidate: ReplicaId) -> bool:
        """Whether a leader may still count on it that `candidate` is not helped to lead."""
        protection = self.protection
        return protection is not None and protection.holds_against(candidate)

    def follow_log(self) -> None:
        """Takes over the configuration that the log now ends with (4.1)."""
        configuration = self.log.configurations.current
        self.configuration = configuration
        self.peers = configuration.peers_of(self.replica)
        alone = configuration.electors == {self.replica}
        if alone is not self.timer.alone:
            self.timer.alone = alone
            self.timer.redraw()

    def set_vote(self, term: Term, vote: ReplicaId | None) -> None:
        """Term and vote change together, and are persisted together."""
        self.term = term
        self.vote = vote
        self._hard_state_number = self.number + 1

    def set_leader(self, role: Role, leader: ReplicaId | None) -> None:
        """Role and leader change; the host is told with the next bundle."""
        self.role = role
        self.leader = leader
        self.changed = True

    @property
    def owes_vote(self) -> bool:
        """Whether term and vote, as they are now, are not known to be on stable storage."""
        return self._hard_state_number > self.persisted_number

    def send(self, message: Message) -> None:
        """Sends a message that claims no entries: see the table above."""
        if self.owes_vote:
            self.messages_after_persist.append(message)
        else:
            self.messages.append(message)

    @property
    def has_news(self) -> bool:
        """Whether there are messages, or term, vote, commit, role or leader changed, since the
        last bundle."""
        return (
            bool(self.messages)
            or self._handed_out_commit != self.log.commit
            or bool(self.messages_after_persist)
            or self.changed
            or self._hard_state_number > self.number
        )

    def hand_out_hard_state(self) -> tuple[HardState | None, bool]:
        """The hard state as part of bundle `number`, None if it is as before; whether it has to
        reach stable storage."""
        commit = self.log.commit
        must_sync = self._hard_state_number == self.number
        if not must_sync and self._handed_out_commit == commit:
            return None, False
        self._handed_out_commit = commit
        return HardState(self.term, self.vote, commit), must_sync
