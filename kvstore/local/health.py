"""Asks nodes over gRPC's health protocol whether they serve."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    # Else a new channel gets the connection of the old one, which is not tried again for a while.
    ("grpc.use_local_subchannel_pool", 1),
)


class HealthProbe:
    """Connections to nodes, kept from question to question; closed with the `with` block."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.Channel] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def serves(self, address: str, timeout_s: float = 1.0) -> bool:
        """Whether the node at `address` serves: it runs and each partition has a leader."""
        channel = self._channels.get(address)
        if channel is None:
            channel = grpc.insecure_channel(address, options=_OPTIONS)
            self._channels[address] = channel
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=timeout_s)
        except grpc.RpcError:
            # A synchronous channel that failed to connect looks again only after 5 s, whatever its
            # options say: the next question gets a new one.
            self._channels.pop(address).close()
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
