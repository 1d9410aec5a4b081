"""One replica: a Raft core, its log, its state, and the requests that wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cluster.errors import NotLeader, ProposalRefused
from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft import Raft
from cluster.raft.messages import Entry
from cluster.raft.ready import ReadState, Ready, Role
from kvstore.codec.command import is_timed, with_clock
from kvstore.replica.log_store import LogStore
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from kvstore.storage.partition_state import PartitionState

UNSETTLED = Answer(
    Status.UNKNOWN, detail="leadership changed while the write was under way: it may be applied"
)


class Replica:
    """See the module. Requests enter waiting, are handed to the core by a round, and are settled
    when it has them applied (writes) or confirmed (reads), or when leadership is lost."""

    __slots__ = (
        "_asked_count",
        "_asked_reads",
        "_confirmed_reads",
        "_proposed",
        "_was_leader_in",
        "completes_installation",
        "core",
        "group",
        "is_installing",
        "log",
        "state",
        "waiting_reads",
        "waiting_writes",
    )

    def __init__(
        self,
        group: GroupId,
        core: Raft,
        log: LogStore,
        state: PartitionState | None,
        *,
        completes_installation: bool = False,
    ) -> None:
        self.group = group
        self.core = core
        self.log = log
        self.state = state
        """None for the meta group."""
        self.completes_installation = completes_installation
        """The bounds of its log are not yet persisted: a crash came in between."""
        self.is_installing = False
        """A state from elsewhere is taking the place of its own."""
        self.waiting_writes: deque[WriteRequest] = deque()
        self.waiting_reads: list[ReadRequest] = []
        self._proposed: dict[Index, tuple[Term, WriteRequest]] = {}
        self._asked_reads: dict[int, list[ReadRequest]] = {}
        self._asked_count = 0
        self._confirmed_reads: deque[tuple[Index, list[ReadRequest]]] = deque()
        self._was_leader_in: Term | None = None

    @property
    def is_leader(self) -> bool:
        """Whether it leads, as far as it knows: only ReadIndex and commits prove it."""
        return self.core.role is Role.LEADER

    @property
    def voters(self) -> frozenset[ReplicaId]:
        """Whoever has a vote in the group, as far as its log here tells."""
        return self.core.configuration.electors

    @property
    def members(self) -> frozenset[ReplicaId]:
        """Whoever belongs to the group, as far as its log here tells."""
        return self.core.configuration.members

    @property
    def proposed(self) -> int:
        """How many writes wait for what becomes of their place in the log."""
        return len(self._proposed)

    @property
    def requests(self) -> int:
        """How many wait for a majority."""
        reads = len(self.waiting_reads) + self._asked_count
        return len(self.waiting_writes) + len(self._proposed) + reads

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits until it has applied what is committed: clients, or, where it
        leads, the ends of keys."""
        return self.is_leader or bool(self._proposed or self._confirmed_reads)

    def propose_waiting(self, clock_ms: Callable[[Replica], int]) -> None:
        """Proposes the waiting writes in order; when the core takes no more, the rest waits.

        `clock_ms` says what time it is in this partition, for the commands that ask for it.
        """
        waiting = self.waiting_writes
        while waiting:
            request = waiting[0]
            if not request.is_settled:
                command = request.command
                if is_timed(command):
                    command = with_clock(command, clock_ms(self))
                try:
                    index = self.core.propose(command)
                except ProposalRefused:
                    break
                self._note_proposed(index, request)
            waiting.popleft()

    def ask_waiting_reads(self, context: int) -> None:
        """Hands all waiting reads to ReadIndex under one `context`."""
        reads, self.waiting_reads = self.waiting_reads, []
        try:
            self.core.read_index(context)
        except NotLeader:
            self._refuse(reads, Answer(Status.NOT_LEADER, leader=self.core.leader))
        except ProposalRefused as refusal:
            self._refuse(reads, Answer(Status.OVERLOADED, detail=str(refusal)))
        else:
            self._asked_reads[context] = reads
            self._asked_count += len(reads)

    def take_confirmed(self) -> None:
        """Notes the reads whose leadership the core knows to be confirmed."""
        if self._asked_reads:
            for state in self.core.take_read_states():
                self._confirm(state)

    def on_ready(self, ready: Ready) -> list[WriteRequest]:
        """Notes confirmed reads, and lost leadership: then everything that was not proposed is
        refused. Returns the proposed writes whose outcome the loss leaves open."""
        for state in ready.read_states:
            self._confirm(state)
        leads_in = ready.term if ready.role is Role.LEADER else None
        if leads_in == self._was_leader_in:
            return []
        lost, self._was_leader_in = self._was_leader_in is not None, leads_in
        if not lost:
            return []
        self.refuse_waiting(Answer(Status.NOT_LEADER, leader=ready.leader))
        return [request for _term, request in self._proposed.values()]

    def refuse_writes(self, answer: Answer) -> None:
        """Refuses the writes that were not proposed."""
        writes = list(self.waiting_writes)
        self.waiting_writes.clear()
        self._refuse(writes, answer)

    def refuse_waiting(self, answer: Answer) -> None:
        """Refuses what was not proposed: waiting writes, and reads not yet confirmed."""
        self.refuse_writes(answer)
        reads = self.waiting_reads
        self.waiting_reads = []
        for asked in self._asked_reads.values():
            reads.extend(asked)
        self._asked_reads.clear()
        self._asked_count = 0
        self._refuse(reads, answer)

    def settle_applied(self, entry: Entry, result: bytes) -> None:
        """Answers the write that was proposed at the place of `entry`, now that it is applied."""
        proposed = self._proposed.pop(entry.index, None)
        if proposed is None:
            return
        term, request = proposed
        if term == entry.term:
            revision = 0 if self.state is None else self.state.revision
            request.settle(Answer(Status.OK, result, "", None, entry.index, term, revision))
        else:
            # Another leader's entry committed in its place: ours can never be.
            request.settle(Answer(Status.NOT_LEADER, leader=self.core.leader))

    def on_state_replaced(self, index: Index) -> None:
        """The state is another one, as of `index`: what became of writes that it covers is not
        known here."""
        if self.state is not None:
            self.state.reload()
        for covered in [each for each in self._proposed if each <= index]:
            self._proposed.pop(covered)[1].settle(UNSETTLED)

    def take_readable(self) -> list[ReadRequest]:
        """The reads that are to be served now: confirmed, at an index that is applied."""
        readable: list[ReadRequest] = []
        confirmed = self._confirmed_reads
        applied = self.core.applied
        while confirmed and confirmed[0][0] <= applied:
            requests = confirmed.popleft()[1]
            readable.extend([request for request in requests if not request.is_settled])
        return readable

    @property
    def has_confirmed(self) -> bool:
        """Whether there are reads that need nothing any more but that their index is applied."""
        return bool(self._confirmed_reads)

    @property
    def has_readable(self) -> bool:
        """Whether there is anything for `take_readable`."""
        confirmed = self._confirmed_reads
        return bool(confirmed) and confirmed[0][0] <= self.core.applied

    def _note_proposed(self, index: Index, request: WriteRequest) -> None:
        request.is_proposed = True
        earlier = self._proposed.get(index)
        if earlier is not None:
            # From an earlier leadership of ours, and no longer in our log; another replica may
            # still hold it and, if it wins an election first, commit it.
            earlier[1].settle(UNSETTLED)
        self._proposed[index] = (self.core.term, request)

    def _confirm(self, state: ReadState) -> None:
        requests = self._asked_reads.pop(state.context, None)
        if requests is not None:
            self._asked_count -= len(requests)
            self._confirmed_reads.append((state.index, requests))

    @staticmethod
    def _refuse(requests: list[WriteRequest] | list[ReadRequest], answer: Answer) -> None:
        for request in requests:
            request.settle(answer)
