"""The node's gRPC server: its port, its services, health and reflection."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from typing import Any, Final, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio  # type: ignore[attr-defined]  # the stubs lack it
from grpc_reflection.v1alpha import reflection

from kvstore.generated.cluster.v1 import peer_pb2
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from kvstore.http2.serving import MethodTable
from kvstore.rpc.front_door import FrontDoor
from kvstore.rpc.options import server_options

_SERVICES: Final = (
    kv_pb2.DESCRIPTOR.services_by_name["KV"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name,
    peer_pb2.DESCRIPTOR.services_by_name["Peer"].full_name,
    health.SERVICE_NAME,
    reflection.SERVICE_NAME,
)


class NodeServer:
    """Holds the port from the start, and serves once it is given services.

    gRPC's own server listens on a socket that only this machine can reach, and only by a name that
    nobody can guess: visitors come in by the front door.
    """

    def __init__(self, listen: str) -> None:
        """Binds `listen`, "host:port"; raises ConfigurationError when it cannot be had."""
        self._inner: Final = f"kvstore-{os.getpid()}-{secrets.token_hex(16)}"
        self._door = FrontDoor(listen, self._inner)
        self._server: grpc.aio.Server | None = None
        self._health: Any = aio.HealthServicer()

    async def start(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """Serves `handlers`, health and reflection."""
        server = self._server = grpc.aio.server(options=server_options())
        server.add_insecure_port(f"unix-abstract:{self._inner}")
        server.add_generic_rpc_handlers(tuple(handlers))
        generic = cast("Any", _GenericOnly(server))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, generic)
        reflection.enable_server_reflection(_SERVICES, generic)
        await self.set_serving(serving=False)
        await server.start()
        await self._door.open(MethodTable(handlers))

    async def set_serving(self, *, serving: bool) -> None:
        """What the health service answers for the node as a whole (service "")."""
        status = health_pb2.HealthCheckResponse
        await self._health.set("", status.SERVING if serving else status.NOT_SERVING)

    async def stop(self, grace_s: float | None) -> None:
        """Takes no more calls, and ends those still under way after `grace_s` (None: at once)."""
        closing = [self._door.close(grace_s)]
        if self._server is not None:
            closing.append(self._server.stop(grace_s))
        await asyncio.gather(*closing)
        self._door.close_passages()


class _GenericOnly:
    """Passes generic handlers on and leaves registered methods out.

    With any method registered, grpc.aio's server pays for a further task per call of all methods.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Not needed: the generic handler of the same service has the same methods."""
