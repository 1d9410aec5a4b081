"""The node's gRPC server: its port, its services, health and reflection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio  # type: ignore[attr-defined]  # the stubs lack it
from grpc_reflection.v1alpha import reflection

from kvstore.errors import ConfigurationError
from kvstore.generated.cluster.v1 import peer_pb2
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from kvstore.rpc.options import server_options

_SERVICES: Final = (
    kv_pb2.DESCRIPTOR.services_by_name["KV"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name,
    peer_pb2.DESCRIPTOR.services_by_name["Peer"].full_name,
    health.SERVICE_NAME,
    reflection.SERVICE_NAME,
)


class NodeServer:
    """Holds the port from the start, and serves once it is given services."""

    def __init__(self, listen: str) -> None:
        """Binds `listen`, "host:port"; raises ConfigurationError when it cannot be had."""
        self._server = grpc.aio.server(options=server_options())
        try:
            bound = self._server.add_insecure_port(listen)
        except RuntimeError:
            bound = 0
        if not bound:
            raise ConfigurationError(
                f"cannot listen on {listen}: the port is in use or the address is not this"
                " machine's; end what uses it or choose another with --listen"
            )
        self._health: Any = aio.HealthServicer()
        self._is_started = False

    async def start(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """Serves `handlers`, health and reflection."""
        self._server.add_generic_rpc_handlers(tuple(handlers))
        generic = cast("Any", _GenericOnly(self._server))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, generic)
        reflection.enable_server_reflection(_SERVICES, generic)
        await self.set_serving(serving=False)
        await self._server.start()
        self._is_started = True

    async def set_serving(self, *, serving: bool) -> None:
        """What the health service answers for the node as a whole (service "")."""
        status = health_pb2.HealthCheckResponse
        await self._health.set("", status.SERVING if serving else status.NOT_SERVING)

    async def stop(self, grace_s: float | None) -> None:
        """Takes no more calls, and ends those still under way after `grace_s` (None: at once)."""
        if not self._is_started:
            # Only a server that was started lets go of its port when it is stopped.
            await self._server.start()
            self._is_started = True
        await self._server.stop(grace_s)


class _GenericOnly:
    """Passes generic handlers on and leaves registered methods out.

    With any method registered, grpc.aio's server pays for a further task per call of all methods.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Not needed: the generic handler of the same service has the same methods."""
