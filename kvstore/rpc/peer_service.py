"""The peer service: rounds that come in from other nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
from grpc.aio import EOF  # type: ignore[attr-defined]  # the stubs lack it

from cluster.ids import ReplicaId
from kvstore.codec.byteslist import CodecError
from kvstore.environment import GroupMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb
from kvstore.rpc.errors import refuse
from kvstore.rpc.introductions import Objection
from kvstore.wire.peer import Introduction, decode_introduction, decode_round, is_introduced_as

PEER_SERVICE: Final = "cluster.v1.Peer"
ROUNDS_METHOD: Final = f"/{PEER_SERVICE}/Rounds"
REFUSED_FOR_GOOD: Final = grpc.StatusCode.DATA_LOSS
"""The sender's data are not those by which the cluster knows it, and never will be."""
_REFUSED: Final = grpc.StatusCode.FAILED_PRECONDITION

Context = grpc.aio.ServicerContext[Any, Any]


class Doorkeeper(Protocol):
    """Who says which peers are taken: see Introductions."""

    @property
    def version(self) -> int:
        """Rises when a stream that was taken may have to be refused."""
        ...

    def objection(self, sender: ReplicaId, to: ReplicaId, said: Introduction) -> Objection | None:
        """What is wrong with a peer that says it is `sender` and means `to`; None: nothing is."""
        ...


class PeerService:
    """See the module. `meet` is told of each peer that was introduced, and `receive` takes each
    round."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        meet: Callable[[ReplicaId, Introduction], None],
        receive: Callable[[ReplicaId, list[GroupMessage]], None],
    ) -> None:
        self._doorkeeper = doorkeeper
        self._meet = meet
        self._receive = receive

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a server is given."""
        return grpc.method_handlers_generic_handler(
            PEER_SERVICE,
            {
                "Rounds": grpc.stream_unary_rpc_method_handler(
                    self.rounds, pb.Round.FromString, pb.RoundsSummary.SerializeToString
                )
            },
        )

    async def rounds(self, _requests: object, context: Context) -> pb.RoundsSummary:
        """Takes rounds until the sender ends the stream or turns out not to belong here."""
        introduced: tuple[ReplicaId, Introduction] | None = None
        version = 0
        while True:
            # read() rather than the iterator: one task switch a round less.
            message = await context.read()
            if message is EOF:
                return pb.RoundsSummary()
            sender = ReplicaId(message.sender_replica_id)
            if (
                introduced is None
                or introduced[0] != sender
                or version != self._doorkeeper.version
                or not is_introduced_as(message, introduced[1])
            ):
                said = decode_introduction(message)
                wrong = self._doorkeeper.objection(
                    sender, ReplicaId(message.receiver_replica_id), said
                )
                if wrong is not None:
                    code = REFUSED_FOR_GOOD if wrong.is_final else _REFUSED
                    await refuse(context, code, wrong.sentence)
                if introduced is None or introduced[0] != sender:
                    self._meet(sender, said)
                introduced, version = (sender, said), self._doorkeeper.version
            try:
                messages = decode_round(message)
            except CodecError as problem:
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(problem))
            self._receive(sender, messages)
