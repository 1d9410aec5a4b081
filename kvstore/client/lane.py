"""A lane: carries the queues of one class to one node, in as few calls as there is need for.

It sends at once when nothing is under way and gathers while a call is: batching needs no delay. The
call that gathers behind it is the *main* call. Where very many operations wait there are two, each
with half of the partitions: nodes work on one while the client sees to the callers of the other.

When a main call is under way for longer than calls usually take, one of its partitions may be stuck
and hold back the answers of all. It then no longer stops the next main call; its partitions become
*suspects*, and each of them travels alone, as a *probe*, until a call that carries it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final, Protocol

from cluster.ids import PartitionId, ReplicaId
from kvstore.client.channel import CONNECT_TIMEOUT_S
from kvstore.client.channel import call as call_method
from kvstore.client.connection import Connection
from kvstore.client.operations import SCANS, OperationClass, Section, WriteSection
from kvstore.client.outbox import PartitionQueue
from kvstore.generated.kvstore.v1 import kv_pb2

CALLS_MAX: Final = 8
"""Under way at once on one lane; probes leave one of them to the main call."""
MAINS_MAX: Final = 2
CALL_BYTES_MAX: Final = 8 << 20
CALL_OPERATIONS_MAX: Final = 16_384
HALVES_OPERATIONS_MIN: Final = 512
"""Where so many wait, a main call takes half of the partitions; what a call costs by itself does
not show any more then."""
SECOND_OPERATIONS_MIN: Final = 192
"""So many have to wait for other partitions than those of a main call, for a second beside it."""
READ_ANSWER_BYTES_AIM: Final = 8 << 20
OVERDUE_S_MIN: Final = 0.02
OVERDUE_S_MAX: Final = 0.5
OVERDUE_FACTOR: Final = 4
"""A call is overdue when it takes this many times the usual; busy clusters are no stuck ones."""
LAST_TRY_S: Final = 0.1
"""A write that was refused so far, for certain, and has less time left than this or than a call may
take, is not sent again: under way when its time runs out, a certain answer would turn into an
unknown one. Where it is unknown already, another try can only help."""
SLOW_S: Final = 0.5
"""A call under way for so long makes the client ask others who leads, and send its writes there."""
CALL_TIMEOUT_S_MAX: Final = {
    # All can be sent again, so that a node that hangs need not cost all of a caller's time.
    OperationClass.WRITE: 30.0,
    OperationClass.READ: 2.0,
    OperationClass.SCAN: 5.0,
    OperationClass.RECEIPT_READ: 2.0,
    # Nodes say soon whether they can, and there are others.
    OperationClass.SESSION_READ: 1.0,
    OperationClass.STALE_READ: 1.0,
    OperationClass.SESSION_SCAN: 3.0,
    OperationClass.STALE_SCAN: 3.0,
}
WRITE_TIMEOUT_S: Final = 2.0
"""Of a first try, and twice as much of each that follows: a write cannot be sent in smaller parts
the second time, and on a slow way it would never get through."""
WRITE_BYTES_PER_S: Final = 1 << 20
"""What the way to a node is expected to carry; large calls get so much more time."""

Queue = PartitionQueue[Any]


class Call:
    """One Batch call under way: section i is of queue i."""

    __slots__ = ("queues", "sections", "started_s", "task")

    def __init__(self, queues: list[Queue], sections: list[Section], started_s: float) -> None:
        self.queues = queues
        self.sections = sections
        self.started_s = started_s
        self.task: asyncio.Task[None] | None = None


class LaneOwner(Protocol):
    """What a lane tells of its calls, and asks."""

    @property
    def header(self) -> tuple[str, int]:
        """Cluster id and map epoch, for requests."""
        ...

    @property
    def section_bytes_max(self) -> int:
        """Of one section."""
        ...

    @property
    def scans_per_call_max(self) -> int:
        """How many pages fit in one answer."""
        ...

    def answered(self, lane: Lane, call: Call, response: kv_pb2.BatchResponse) -> None:
        """The node answered."""
        ...

    def failed(self, lane: Lane, call: Call, error: BaseException) -> None:
        """The call raised `error`."""
        ...

    def unreachable(self, lane: Lane, queues: list[Queue]) -> None:
        """There is no connection; nothing of `queues`, which are off the lane, was sent."""
        ...

    def slow(self, lane: Lane, calls: list[Call]) -> None:
        """These calls are under way for long; said again and again while they are."""
        ...


class Lane:
    """One class of operations to one node; see the module."""

    __slots__ = (
        "_calls",
        "_connecting",
        "_flush_scheduled",
        "_loop",
        "_mains",
        "_owner",
        "_queues",
        "_suspects",
        "_usual_s",
        "_watch",
        "connection",
        "kind",
        "name",
        "operations_max",
        "replica",
    )

    def __init__(
        self,
        owner: LaneOwner,
        kind: OperationClass,
        replica: ReplicaId,
        name: str,
        connection: Connection,
    ) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.kind = kind
        self.replica = replica
        self.name = name
        """Of the node, for messages."""
        self.connection = connection
        self.operations_max = CALL_OPERATIONS_MAX
        """In one call. For reads and scans it follows the size of the answers."""
        self._queues: dict[PartitionId, Queue] = {}
        self._calls: dict[Call, None] = {}
        self._mains: dict[Call, None] = {}
        self._suspects: dict[PartitionId, Call | None] = {}
        """With the probe that is under way for each."""
        self._usual_s = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._flush_scheduled = False

    def __repr__(self) -> str:
        return (
            f"<Lane of {self.kind.name} to {self.name}: {len(self._queues)} partitions wait, "
            f"{len(self._calls)} calls under way>"
        )

    @property
    def calls(self) -> Collection[Call]:
        """Those under way, in the order in which they were sent."""
        return self._calls

    def enlist(self, queue: Queue) -> None:
        """Will come for this queue, at the end of this turn of the event loop if it can."""
        queue.listed = True
        queue.lane = self
        self._queues[queue.partition] = queue
        self._schedule_flush()

    def unlist(self, queue: Queue) -> None:
        """Will not come for this queue any more."""
        del self._queues[queue.partition]
        queue.listed = False
        queue.lane = None

    async def close(self) -> None:
        """Ends what is under way; the owner tells the callers."""
        if self._watch is not None:
            self._watch.cancel()
        self._queues.clear()
        for task in self._tasks():
            task.cancel()
        await self.drain()

    async def drain(self) -> None:
        """Waits until nothing is under way any more."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    def _tasks(self) -> list[asyncio.Task[None]]:
        tasks = [call.task for call in self._calls if call.task is not None]
        if self._connecting is not None:
            tasks.append(self._connecting)
        return tasks

    # --- sending

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if not self._queues or self._connecting is not None:
            return
        if not self.connection.is_ready():
            # What is handed to a channel without a connection may or may not go out later. Held
            # back here, it is certain that it was not sent.
            self._connecting = self._loop.create_task(self._connect())
            return
        while len(self._mains) < MAINS_MAX and len(self._calls) < CALLS_MAX:
            main = self._send(*self._gather())
            if main is None:
                break
            self._mains[main] = None
        if self._suspects:
            self._probe()
        if self._calls and self._watch is None:
            self._watch = self._loop.call_later(self._overdue_s, self._check_overdue)

    def _gather(self) -> tuple[list[Queue], list[Section]]:
        """What the next main call carries: a section of each queue, within bounds."""
        queues: list[Queue] = []
        sections: list[Section] = []
        free = self._free()
        room = CALL_BYTES_MAX
        waiting = sum([len(queue.section) for queue in free])
        if self._mains and waiting < SECOND_OPERATIONS_MIN:
            return queues, sections
        rest_min = waiting // 2 if waiting >= HALVES_OPERATIONS_MIN and not self._mains else -1
        scans = self.kind in SCANS
        count = self.operations_max
        if scans:
            count = min(count, self._owner.scans_per_call_max)
        for queue in free:
            if waiting <= rest_min:
                break  # they go with the other call
            while room > 0 and count > 0:
                section = self._take(queue, room, 1 if scans else count)
                if section is None:
                    break
                queues.append(queue)
                sections.append(section)
                room -= section.cost_bytes()
                count -= len(section)
                waiting -= len(section)
                if not scans:
                    break  # one log entry for each partition and call
        return queues, sections

    def _free(self) -> list[Queue]:
        """Those that wait, and are neither in a main call nor suspects."""
        queues, suspects = self._queues, self._suspects
        if not self._mains and not suspects:
            return list(queues.values())
        taken = {queue.partition for main in self._mains for queue in main.queues}
        taken |= suspects.keys()
        return [each for each in queues.values() if each.partition not in taken]

    def _take(self, queue: Queue, room: int, count: int) -> Section | None:
        if queue.failures and self.kind is OperationClass.WRITE:
            queue.expire(self._loop.time(), max(LAST_TRY_S, self._overdue_s))
            if not queue.waits:
                # All were in a hurry. The next one finds out anew how it is, or none ever would.
                queue.failures = 0
        section: Section | None = queue.take(min(room, self._owner.section_bytes_max), count)
        if queue.waits:
            # The others first next time.
            self._queues[queue.partition] = self._queues.pop(queue.partition)
        elif queue.listed:
            self.unlist(queue)
        return section

    def _send(self, queues: list[Queue], sections: list[Section]) -> Call | None:
        if not sections:
            return None
        now = self._loop.time()
        call = Call(queues, sections, now)
        latest = max(max(section.deadlines) for section in sections)
        self._calls[call] = None
        call.task = self._loop.create_task(self._run(call, max(latest - now, 0.001)))
        return call

    async def _run(self, call: Call, time_left_s: float) -> None:
        try:
            request = self._request(call)
            timeout_s = min(time_left_s, self._patience_s(call, request))
            response = await call_method(self.connection.batch, request, timeout_s)
        except Exception as error:  # every way to fail is one of the callers' outcomes
            self._owner.failed(self, call, error)
        else:
            self._owner.answered(self, call, response)
        finally:
            self._ended(call)

    def _request(self, call: Call) -> kv_pb2.BatchRequest:
        cluster_id, epoch = self._owner.header
        return kv_pb2.BatchRequest(
            cluster_id=cluster_id,
            map_epoch=epoch,
            partition_ids=[queue.partition for queue in call.queues],
            kinds=[self.kind.wire] * len(call.sections),  # type: ignore[list-item]  # its number
            bodies=[section.body() for section in call.sections],
        )

    def _patience_s(self, call: Call, request: kv_pb2.BatchRequest) -> float:
        """How long to wait for an answer before the operations are sent again."""
        most_s = CALL_TIMEOUT_S_MAX[self.kind]
        if self.kind is not OperationClass.WRITE:
            return most_s
        first_s = WRITE_TIMEOUT_S + sum(map(len, request.bodies)) / WRITE_BYTES_PER_S
        tries = max(each.tries for each in call.sections if isinstance(each, WriteSection))
        return min(most_s, first_s * 2.0 ** min(tries - 1, 8))

    def _ended(self, call: Call) -> None:
        del self._calls[call]
        took_s = min(self._loop.time() - call.started_s, OVERDUE_S_MAX)
        self._usual_s += (took_s - self._usual_s) / 8
        self._mains.pop(call, None)
        if self._suspects:
            for queue in call.queues:
                if self._suspects.get(queue.partition) in (None, call):
                    self._suspects.pop(queue.partition, None)
        # Behind the callers that were just woken: what they ask for next goes with it.
        self._schedule_flush()

    # --- connecting

    async def _connect(self) -> None:
        try:
            connected = await self.connection.connected(CONNECT_TIMEOUT_S)
        finally:
            self._connecting = None
        if connected:
            self._flush()
            return
        queues = list(self._queues.values())
        for queue in queues:
            self.unlist(queue)
        self._owner.unreachable(self, queues)

    # --- calls that take long

    @property
    def _overdue_s(self) -> float:
        return min(OVERDUE_S_MAX, max(OVERDUE_S_MIN, OVERDUE_FACTOR * self._usual_s))

    def _check_overdue(self) -> None:
        self._watch = None
        if not self._calls:
            return
        now = self._loop.time()
        due_s = self._overdue_s
        for main in list(self._mains):  # the oldest first
            left_s = self._overdue_s - (now - main.started_s)
            if left_s > 0:
                due_s = min(due_s, left_s)
                continue
            del self._mains[main]
            for queue in main.queues:
                self._suspects.setdefault(queue.partition, None)
            self._schedule_flush()
        slow = [call for call in self._calls if now - call.started_s >= SLOW_S]
        if slow:
            self._owner.slow(self, slow)
        self._watch = self._loop.call_later(max(due_s, 0.001), self._check_overdue)

    def _probe(self) -> None:
        for partition, queue in list(self._queues.items()):
            if len(self._calls) >= CALLS_MAX - 1:
                return
            if partition not in self._suspects or self._suspects[partition] is not None:
                continue
            section = self._take(queue, CALL_BYTES_MAX, self._probe_operations_max)
            if section is not None:
                self._suspects[partition] = self._send([queue], [section])

    @property
    def _probe_operations_max(self) -> int:
        return 1 if self.kind in SCANS else self.operations_max

    # --- answers of reads

    def learn_answer_size(self, operations: int, answer_bytes: int) -> None:
        """Reads and scans: aims at answers of READ_ANSWER_BYTES_AIM, by halves and doubles."""
        if answer_bytes > READ_ANSWER_BYTES_AIM:
            self.operations_max = max(1, operations // 2)
        elif operations >= self.operations_max and answer_bytes < READ_ANSWER_BYTES_AIM // 4:
            self.operations_max = min(CALL_OPERATIONS_MAX, self.operations_max * 2)

    def learn_too_large(self, operations: int) -> bool:
        """Reads and scans: an answer of so many was too large; whether fewer can be asked for."""
        self.operations_max = max(1, min(self.operations_max, operations) // 2)
        return operations > 1
