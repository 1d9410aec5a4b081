"""The peer service: rounds that come in from other nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc.aio import EOF  # type: ignore[attr-defined]  # the stubs lack it

from cluster.ids import ReplicaId
from kvstore.codec.byteslist import CodecError
from kvstore.environment import GroupMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb
from kvstore.rpc.errors import refuse
from kvstore.wire.peer import decode_round

PEER_SERVICE: Final = "cluster.v1.Peer"
ROUNDS_METHOD: Final = f"/{PEER_SERVICE}/Rounds"

Context = grpc.aio.ServicerContext[Any, Any]


class PeerService:
    """See the module. `recognise` says what is wrong with an introduction, if anything; `meet` is
    told of each peer that was introduced, and `receive` takes each round."""

    def __init__(
        self,
        recognise: Callable[[ReplicaId, ReplicaId, str], str | None],
        meet: Callable[[ReplicaId], None],
        receive: Callable[[ReplicaId, list[GroupMessage]], None],
    ) -> None:
        self._recognise = recognise
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
        introduced: tuple[ReplicaId, str] | None = None
        while True:
            # read() rather than the iterator: one task switch a round less.
            message = await context.read()
            if message is EOF:
                return pb.RoundsSummary()
            sender = ReplicaId(message.sender_replica_id)
            if introduced != (sender, message.cluster_id):
                to = ReplicaId(message.receiver_replica_id)
                wrong = self._recognise(sender, to, message.cluster_id)
                if wrong is not None:
                    await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, wrong)
                introduced = (sender, message.cluster_id)
                self._meet(sender)
            try:
                messages = decode_round(message)
            except CodecError as problem:
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(problem))
            self._receive(sender, messages)
