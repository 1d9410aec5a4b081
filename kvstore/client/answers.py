"""What a node's answer, or its silence, means for the operations that were sent to it.

| what happened | writes | reads |
| --- | --- | --- |
| refused by the node, or never sent | tried again, then definite | tried again |
| sent, and no answer | tried again under the same stamp, then unknown | tried again elsewhere |
| answered, but no room for it in the message | the same | tried again |

And of writes alone, where the partition itself refuses a command:

| it says | never in doubt | in doubt: an earlier try may have been applied |
| --- | --- | --- |
| session unknown | a new session, and tried again at once | SessionExpired |
| window full | tried again | tried again |
| forgotten | unknown | unknown |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cluster.ids import PartitionId, ReplicaId
from kvstore.client.lane import Call, Lane
from kvstore.client.level_sections import ANYWHERE
from kvstore.client.operations import PAGE_BYTES_MAX, OperationClass, Section, WriteSection
from kvstore.client.outbox import PartitionQueue
from kvstore.client.outcomes import CallFailure, Verdict, judge
from kvstore.client.receipts import Place
from kvstore.client.refresh import Refresher
from kvstore.client.retry import Failure
from kvstore.client.switchboard import Switchboard
from kvstore.client.write_queue import WriteQueue
from kvstore.codec.byteslist import CodecError
from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.codec.results import CommandOutcome, Refusal
from kvstore.errors import (
    InvalidArgument,
    InvariantViolation,
    KVStoreError,
    OutcomeUnknown,
    ScanExpired,
    SessionExpired,
    Unavailable,
)
from kvstore.generated.kvstore.v1 import kv_pb2

REDIRECTS_MAX: Final = 2
"""Followed at once, in a row; then with backoff, so that nodes that disagree are not hammered."""

_OK: Final = int(kv_pb2.SECTION_STATUS_OK)
_VERDICTS: Final[dict[int, Verdict]] = {
    kv_pb2.SECTION_STATUS_UNAVAILABLE: Verdict.AGAIN,
    kv_pb2.SECTION_STATUS_OVERLOADED: Verdict.OVERLOADED,
    kv_pb2.SECTION_STATUS_INVALID: Verdict.INVALID,
    kv_pb2.SECTION_STATUS_UNKNOWN: Verdict.UNKNOWN,
    kv_pb2.SECTION_STATUS_EXPIRED: Verdict.EXPIRED,
}
"""What a section's status means; UNKNOWN where a newer node says what is not listed."""

Queue = PartitionQueue[Any]


class Answers:
    """The owner of all lanes: settles callers, or gives operations back for another try."""

    __slots__ = ("_board", "_refresher")

    def __init__(self, board: Switchboard, refresher: Refresher) -> None:
        self._board = board
        self._refresher = refresher

    @property
    def header(self) -> tuple[str, int]:
        """Cluster id and map epoch, for requests."""
        return self._board.header

    @property
    def section_bytes_max(self) -> int:
        """Of one section of a batch."""
        return self._board.limits.batch_bytes_max

    @property
    def scans_per_call_max(self) -> int:
        """Pages that fit in half a message, at their largest."""
        limits = self._board.limits
        record_bytes_max = limits.value_bytes_max + limits.key_bytes_max
        return max(1, MESSAGE_BYTES_MAX // 2 // max(PAGE_BYTES_MAX, record_bytes_max))

    def unreachable(self, lane: Lane, queues: list[Queue]) -> None:
        """No connection: nothing was sent, so others are tried."""
        failure = Failure(f"no connection to {lane.name}")
        for queue in queues:
            self._blame(queue, lane, failure)
            self._board.park(queue)
        self._refresher.request(lane.connection.address)

    def slow(self, lane: Lane, calls: list[Call]) -> None:
        """Perhaps others lead by now; what waits can then go to them, and writes that were sent."""
        self._refresher.request(lane.connection.address)
        for call in calls:
            for queue, section in zip(call.queues, call.sections, strict=True):
                leader = self._board.known_routes.route(queue.partition).leader
                if leader is None or leader == lane.replica:
                    continue
                if isinstance(queue, WriteQueue) and isinstance(section, WriteSection):
                    doubt = f"{lane.name} had the write and does not lead any more"
                    if queue.recall(section, doubt):
                        self._board.resubmit(queue)

    def failed(self, lane: Lane, call: Call, error: BaseException) -> None:
        """A whole call failed."""
        failure = judge(error, lane.name)
        if lane.kind is not OperationClass.WRITE:
            # Also where it took too long: the answer may have been on its way for all that time.
            fewer = lane.learn_too_large(sum(map(len, call.sections)))
            if failure.too_large and fewer:
                for queue, section in zip(call.queues, call.sections, strict=True):
                    queue.give_back(section)
                    self._board.resubmit(queue)
                return
            if failure.too_large:
                failure = CallFailure(Verdict.OVERLOADED, failure.detail)
        for queue, section in zip(call.queues, call.sections, strict=True):
            self._section_failed(lane, queue, section, failure)
        self._refresher.request(lane.connection.address)

    def answered(self, lane: Lane, call: Call, response: kv_pb2.BatchResponse) -> None:
        """The node answered each section for itself."""
        statuses, results = list(response.statuses), list(response.results)
        if not len(statuses) == len(results) == len(call.sections):
            problem = f"{len(statuses)} sections answered of {len(call.sections)}"
            self.failed(lane, call, CodecError(problem))
            return
        if response.HasField("map"):
            self._board.adopt(response.map)
        if lane.kind is not OperationClass.WRITE:
            lane.learn_answer_size(sum(map(len, call.sections)), sum(map(len, results)))
        indexes, sections = list(response.indexes), call.sections
        for number, queue in enumerate(call.queues):
            section = sections[number]
            if statuses[number] != _OK:
                self._refused(lane, queue, section, response, number)
                continue
            if number < len(indexes):
                self._note_index(lane, queue.partition, indexes[number])
                if section.wants_place:
                    section.place = self._place(lane, queue.partition, response, number)
            try:
                refusal = section.answer(results[number])
            except CodecError as error:
                self._section_failed(lane, queue, section, judge(error, lane.name))
                continue
            if refusal is not None:
                self._not_applied(lane, queue, section, refusal)
                continue
            queue.failures = 0
            queue.failure = None
            rest = section.take_rest()
            if rest is not section:
                queue.settle(section)
            if rest is not None:
                queue.put_back(rest)
                self._board.resubmit(queue)

    def _note_index(self, lane: Lane, partition: PartitionId, index: int) -> None:
        """Later session reads must not see less than this answer."""
        floors = self._board.floors
        floors[partition] = max(floors[partition], index)
        if lane.kind in ANYWHERE:
            self._board.spread.answered(lane.replica)

    def _place(
        self, lane: Lane, partition: PartitionId, response: kv_pb2.BatchResponse, number: int
    ) -> Place | None:
        """Where an answer stands, for receipts; None: the node does not say."""
        if not len(response.indexes) == len(response.terms) == len(response.revisions):
            return None
        node = self._board.known_routes.map.replica(lane.replica)
        name = lane.name if node is None else node.node_id
        term, revision = response.terms[number], response.revisions[number]
        return Place(name, partition, term, revision, response.indexes[number])

    def _refused(
        self,
        lane: Lane,
        queue: Queue,
        section: Section,
        response: kv_pb2.BatchResponse,
        number: int,
    ) -> None:
        status = response.statuses[number]
        if status == kv_pb2.SECTION_STATUS_NOT_LEADER:
            leader = response.leaders[number] if number < len(response.leaders) else 0
            self._redirected(lane, queue, section, ReplicaId(leader))
            return
        detail = response.details[number] if number < len(response.details) else ""
        said = f"{lane.name}, partition {queue.partition}: {detail or 'no details'}"
        if status == kv_pb2.SECTION_STATUS_NO_ROOM:
            self._no_room(queue, section, said)
            return
        if status == kv_pb2.SECTION_STATUS_BEHIND:
            queue.failures += 1
            queue.failure = Failure(said)
            queue.give_back(section)
            self._board.spread.behind(queue.partition, lane.replica)
            self._board.go_elsewhere(queue)
            return
        verdict = _VERDICTS.get(status, Verdict.UNKNOWN)
        self._section_failed(lane, queue, section, CallFailure(verdict, said))
        if verdict in (Verdict.AGAIN, Verdict.UNKNOWN):
            self._refresher.request(lane.connection.address)

    def _no_room(self, queue: Queue, section: Section, said: str) -> None:
        """Others of the call were answered: each try gets further than the one before."""
        if not queue.returned(section, said):
            return
        queue.failures += 1
        queue.failure = Failure(said, overloaded=True)
        queue.give_back(section)
        if queue.failures <= REDIRECTS_MAX:
            self._board.resubmit(queue)
        else:
            self._board.park(queue)

    def _redirected(self, lane: Lane, queue: Queue, section: Section, leader: ReplicaId) -> None:
        if not queue.returned(section, None):
            self._board.known_routes.route(queue.partition).blame(lane.replica)
            if leader:
                self._board.learn({queue.partition: leader})
            return
        # A leader that said why it cannot serve tells the user more than others that do not lead.
        not_leader = Failure(f"{lane.name} does not lead partition {queue.partition}")
        self._blame(queue, lane, queue.failure or not_leader)
        queue.give_back(section)
        news = leader != lane.replica and queue.failures <= REDIRECTS_MAX
        if leader:
            self._board.learn({queue.partition: leader})
        known = self._board.known_routes.route(queue.partition).leader
        if not leader or known is None:
            self._refresher.request(lane.connection.address)
        if known is not None and news:
            self._board.resubmit(queue)
        else:
            self._board.park(queue)

    def _not_applied(self, lane: Lane, queue: Queue, section: Section, refusal: Refusal) -> None:
        """The partition's state machine refused a command, for certain and for all replicas."""
        wanted = queue.returned(section, None)
        if not isinstance(queue, WriteQueue) or not isinstance(section, WriteSection):
            raise InvariantViolation(f"{section!r} was answered with {refusal}")
        is_unknown = refusal.outcome is CommandOutcome.SESSION_UNKNOWN
        if is_unknown:
            queue.renew(section, refusal.index)
        if not wanted:
            return
        said = f"{lane.name}, partition {queue.partition}"
        if refusal.outcome is CommandOutcome.FORGOTTEN:
            problem = f"{said}: this client had given the write up; it may have been applied"
            self._end(queue, section, partial(OutcomeUnknown, problem))
        elif is_unknown and section.doubt is not None:
            self._end(queue, section, partial(SessionExpired, _expired(queue, section.doubt)))
        else:
            queue.failures += 1
            queue.failure = Failure(f"{said}: {refusal.outcome.name.lower().replace('_', ' ')}")
            queue.give_back(section)
            if is_unknown and queue.failures <= REDIRECTS_MAX:
                self._board.resubmit(queue)
            else:
                self._board.park(queue)

    def _section_failed(
        self, lane: Lane, queue: Queue, section: Section, failure: CallFailure
    ) -> None:
        """Tells the callers, or keeps the operations for another try."""
        detail, verdict = failure.detail, failure.verdict
        if not queue.returned(section, detail if verdict is Verdict.UNKNOWN else None):
            if verdict in (Verdict.AGAIN, Verdict.UNKNOWN):
                self._board.known_routes.route(queue.partition).blame(lane.replica)
            return
        if verdict is Verdict.INVALID:
            self._end(queue, section, partial(InvalidArgument, detail))
        elif verdict is Verdict.EXPIRED:
            self._end(queue, section, partial(ScanExpired, detail))
        elif verdict is Verdict.REFUSED:
            self._end(queue, section, partial(Unavailable, f"{detail}; nothing was applied"))
        else:
            overloaded = verdict is Verdict.OVERLOADED
            if overloaded:
                queue.failures += 1
                queue.failure = Failure(detail, overloaded=True)
            else:
                self._blame(queue, lane, Failure(detail))
            queue.give_back(section)
            self._board.park(queue, failure.again_in_s)

    def _end(self, queue: Queue, section: Section, error: Callable[[], KVStoreError]) -> None:
        """It is not sent again: tells the callers what is known."""
        if isinstance(section, WriteSection) and section.doubt is not None:
            problem = error()
            if not isinstance(problem, OutcomeUnknown):
                words = (
                    f"{section.doubt}; tried again: {problem}; the first try may have been applied"
                )
                error = partial(OutcomeUnknown, words)
        section.fail(error)
        queue.settle(section)

    def _blame(self, queue: Queue, lane: Lane, failure: Failure) -> None:
        if lane.kind in ANYWHERE:
            # Who leads is not known any less.
            self._board.spread.silent(lane.replica)
        else:
            self._board.known_routes.route(queue.partition).blame(lane.replica)
        queue.failures += 1
        queue.failure = failure


def _expired(queue: WriteQueue, doubt: str) -> str:
    return (
        f"the session of this client in partition {queue.partition} was forgotten while the "
        f"outcome of the write was open ({doubt}); it may have been applied, and is not sent again "
        "because it could then be applied twice"
    )
