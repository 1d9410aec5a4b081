"""One `Batch` call: its sections on their way into the host, and their answers on the way out."""

from __future__ import annotations

from asyncio import Future
from typing import Final

from cluster.ids import PartitionId, group_of
from cluster.partition.ranges import partition_of_hash
from kvstore.codec.byteslist import CodecError, decode_list
from kvstore.codec.command import decode_command
from kvstore.codec.limits import Limits
from kvstore.codec.routing import key_hash
from kvstore.codec.scan import Scan, decode_scan
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.requests import Answer, ReadRequest, Request, Status, WriteRequest
from kvstore.rpc.node_view import NodeView

SECTIONS_MAX: Final = 4096
"""Of one call: more than one of each kind for every partition that a cluster may have."""


class BatchReply:
    """Gathers the answers of one call; `done` completes when the last has come."""

    __slots__ = ("_missing", "answers", "done")

    def __init__(self, done: Future[None], sections: int) -> None:
        self.answers: list[Answer | None] = [None] * sections
        self.done = done
        self._missing = sections

    def settle(self, slot: int, answer: Answer) -> None:
        """See Reply."""
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
        parts = zip(request.partition_ids, request.kinds, request.bodies, strict=True)
        for slot, (number, kind, body) in enumerate(parts):
            partition = PartitionId(number)
            try:
                if partition >= partitions:
                    raise InvalidArgument(f"partition is {partition}; there are {partitions}")
                if kind == pb.SECTION_KIND_WRITE:
                    _check_command(body, partition, partitions, limits)
                    write = WriteRequest(reply, slot, body)
                    requests.append(write)
                    host.write(group_of(partition), write, expires_in_ticks)
                else:
                    read = ReadRequest(reply, slot, _question(kind, body, limits))
                    requests.append(read)
                    host.read(group_of(partition), read, expires_in_ticks)
            except (InvalidArgument, CodecError) as problem:
                reply.settle(slot, Answer(Status.INVALID, detail=str(problem)))
        return requests


def _check_command(body: bytes, partition: PartitionId, partitions: int, limits: Limits) -> None:
    """Everything that must hold of a command before it is proposed."""
    if len(body) > limits.batch_bytes_max:
        raise InvalidArgument(
            f"a partition's section has {len(body)} bytes; the limit is {limits.batch_bytes_max}"
        )
    command = decode_command(body)
    if not command.keys:
        raise InvalidArgument("a command has no operations; the least is 1")
    for key in command.keys:
        limits.check_key(key)
        if partition_of_hash(key_hash(key), partitions) != partition:
            raise InvalidArgument(f"key {key!r} does not belong to partition {partition}")
    for argument in command.arguments:
        limits.check_value(argument)


def _question(kind: int, body: bytes, limits: Limits) -> list[bytes] | Scan:
    if kind == pb.SECTION_KIND_SCAN:
        return decode_scan(body)
    if kind != pb.SECTION_KIND_READ:
        raise InvalidArgument(f"section kind {kind} is not known here")
    keys, end = decode_list(body)
    if end != len(body) or not keys:
        raise CodecError("a read is a list of one key or more, and nothing else")
    for key in keys:
        limits.check_key(key)
    return keys


def response_of(reply: BatchReply) -> pb.BatchResponse:
    """The response that carries the answers, all of which have come."""
    answers = [answer for answer in reply.answers if answer is not None]
    statuses = [int(answer.status) for answer in answers]
    response = pb.BatchResponse(
        statuses=statuses,  # type: ignore[arg-type]  # numbers are what the enum field stores
        results=[answer.result for answer in answers],
    )
    if any(status != Status.OK for status in statuses):
        response.details.extend([answer.detail for answer in answers])
        response.leaders.extend([answer.leader or 0 for answer in answers])
    return response
