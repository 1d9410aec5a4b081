"""One `Batch` call: its sections on their way into the host, and their answers on the way out."""

from __future__ import annotations

from asyncio import Future
from typing import Final

from cluster.ids import PartitionId, group_of
from kvstore.codec.byteslist import CodecError
from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.requests import Answer, ReadRequest, Request, Status, WriteRequest
from kvstore.rpc.checks import check_command, question_of
from kvstore.rpc.level_sections import LEVEL_KINDS, level_read
from kvstore.rpc.node_view import NodeView

SECTIONS_MAX: Final = 4096
"""Of one call: more than one of each kind for every partition that a cluster may have."""
ANSWERS_BYTES_MAX: Final = MESSAGE_BYTES_MAX - (4 << 20)
"""Of the results in one response. No section alone has more: of a read it is one largest record, or
ANSWER_BYTES_MAX; of a write WORK_BYTES_MAX and a number for each operation. What is left is for the
cluster's map and what is said of each section."""

_NO_ROOM: Final = "its answer does not fit in the message beside those of others: ask again"


class BatchReply:
    """Gathers the answers of one call; `done` completes when the last has come.

    Those that come when the message is full are let go of. What was written has its results kept
    (docs/exactly-once.md); what was read is read again.
    """

    __slots__ = ("_missing", "_room", "answers", "done")

    def __init__(self, done: Future[None], sections: int) -> None:
        self.answers: list[Answer | None] = [None] * sections
        self.done = done
        self._missing = sections
        self._room = ANSWERS_BYTES_MAX

    def settle(self, slot: int, answer: Answer) -> None:
        """See Reply."""
        if len(answer.result) > self._room:
            answer = Answer(Status.NO_ROOM, detail=_NO_ROOM)
        self._room -= len(answer.result)
        self.answers[slot] = answer
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(None)


class Sections:
    """Checks the sections of calls and hands them to the host."""

    __slots__ = ("_view",)

    def __init__(self, view: NodeView) -> None:
        self._view = view

    def enter(
        self, request: pb.BatchRequest, reply: BatchReply, expires_in_ticks: int
    ) -> list[Request]:
        """Hands each section to the host; what breaks a rule is answered at once."""
        host, partitions, limits = self._view.host, self._view.partitions, self._view.limits
        requests: list[Request] = []
        kinds, bodies = list(request.kinds), list(request.bodies)
        for slot, number in enumerate(list(request.partition_ids)):
            kind, body = kinds[slot], bodies[slot]
            partition = PartitionId(number)
            try:
                if partition >= partitions:
                    raise InvalidArgument(f"partition is {partition}; there are {partitions}")
                if kind == pb.SECTION_KIND_WRITE:
                    check_command(body, partition, partitions, limits)
                    write = WriteRequest(reply, slot, body)
                    requests.append(write)
                    host.write(group_of(partition), write, expires_in_ticks)
                elif kind in LEVEL_KINDS:
                    level = level_read(reply, slot, kind, body, limits)
                    requests.append(level)
                    host.read_anywhere(group_of(partition), level, expires_in_ticks)
                else:
                    read = ReadRequest(reply, slot, question_of(kind, body, limits))
                    requests.append(read)
                    host.read(group_of(partition), read, expires_in_ticks)
            except (InvalidArgument, CodecError) as problem:
                reply.settle(slot, Answer(Status.INVALID, detail=str(problem)))
        return requests


def response_of(reply: BatchReply) -> pb.BatchResponse:
    """The response that carries the answers, all of which have come."""
    answers = [answer for answer in reply.answers if answer is not None]
    statuses = [int(answer.status) for answer in answers]
    response = pb.BatchResponse(
        statuses=statuses,  # type: ignore[arg-type]  # numbers are what the enum field stores
        results=[answer.result for answer in answers],
        indexes=[answer.index for answer in answers],
        terms=[answer.term for answer in answers],
        revisions=[answer.revision for answer in answers],
    )
    if any(status != Status.OK for status in statuses):
        response.details.extend([answer.detail for answer in answers])
        response.leaders.extend([answer.leader or 0 for answer in answers])
    return response
