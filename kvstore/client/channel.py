"""The seam below the client: a channel to one node. By gRPC here; simulation opens others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
import grpc.aio
from google.protobuf.message import Message

from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2

CONNECT_TIMEOUT_S: Final = 1.0
"""How long to wait for a connection before other nodes are tried."""

BATCH_METHOD: Final = "/kvstore.v1.KV/Batch"
GET_MAP_METHOD: Final = "/kvstore.v1.Admin/GetMap"
STATUS_METHOD: Final = "/kvstore.v1.Admin/Status"
BACKUP_METHOD: Final = "/kvstore.v1.Admin/Backup"
SCRUB_METHOD: Final = "/kvstore.v1.Admin/Scrub"
REJOIN_METHOD: Final = "/kvstore.v1.Admin/Rejoin"

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # A proxy from the environment is for web traffic and would break long-lived connections.
    ("grpc.enable_http_proxy", 0),
    # Else channels of one process share connections, and the backoff of a failed one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A node that vanished without closing its connections is noticed in less than half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Retries are decided in this package, which knows what may be sent twice.
    ("grpc.enable_retries", 0),
)

Method = Callable[..., Any]
"""A gRPC method: called with a request and timeout=, in seconds, it gives an awaitable response.
Failures raise AioRpcError."""


class ConnectionClosed(Exception):
    """The client itself closed the connection under a call: the answer will not be known."""


async def call(method: Method, request: Message, timeout_s: float) -> Any:
    """The response of `method`; raises AioRpcError, or ConnectionClosed.

    gRPC says that a call was cancelled when its channel is closed, in the way in which asyncio says
    that the caller was. Callers who were not cancelled must not be told so.
    """
    try:
        return await method(request, timeout=timeout_s)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionClosed("the client closed the connection") from None


class Channel(Protocol):
    """What the client needs of a way to one address.

    It connects when first asked whether it is ready, and again whenever the connection is lost.
    """

    @property
    def batch(self) -> Method:
        """KV.Batch."""
        ...

    @property
    def get_map(self) -> Method:
        """Admin.GetMap."""
        ...

    @property
    def status(self) -> Method:
        """Admin.Status."""
        ...

    @property
    def scrub(self) -> Method:
        """Admin.Scrub."""
        ...

    @property
    def rejoin(self) -> Method:
        """Admin.Rejoin."""
        ...

    def is_ready(self) -> bool:
        """Whether what is sent now goes out on an open connection; if not, begins to connect."""
        ...

    def is_down(self) -> bool:
        """Whether the last attempt to connect failed."""
        ...

    async def connected(self, timeout_s: float) -> bool:
        """Connects; False as soon as an attempt fails, or when `timeout_s` are over."""
        ...

    async def close(self) -> None:
        """Ends the connection, and what is under way on it."""
        ...


OpenChannel = Callable[[str], Channel]
"""Makes the channel to an address, "host:port"; nothing is sent before it is used."""


class GrpcChannel:
    """See Channel."""

    __slots__ = ("_channel", "batch", "get_map", "rejoin", "scrub", "status")

    def __init__(self, address: str) -> None:
        channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._channel = channel
        self.batch: Method = channel.unary_unary(
            BATCH_METHOD,
            request_serializer=kv_pb2.BatchRequest.SerializeToString,
            response_deserializer=kv_pb2.BatchResponse.FromString,
        )
        self.get_map: Method = channel.unary_unary(
            GET_MAP_METHOD,
            request_serializer=admin_pb2.GetMapRequest.SerializeToString,
            response_deserializer=admin_pb2.GetMapResponse.FromString,
        )
        self.status: Method = channel.unary_unary(
            STATUS_METHOD,
            request_serializer=admin_pb2.StatusRequest.SerializeToString,
            response_deserializer=admin_pb2.StatusResponse.FromString,
        )
        self.scrub: Method = channel.unary_unary(
            SCRUB_METHOD,
            request_serializer=admin_pb2.ScrubRequest.SerializeToString,
            response_deserializer=admin_pb2.ScrubResponse.FromString,
        )
        self.rejoin: Method = channel.unary_unary(
            REJOIN_METHOD,
            request_serializer=admin_pb2.RejoinRequest.SerializeToString,
            response_deserializer=admin_pb2.RejoinResponse.FromString,
        )

    def is_ready(self) -> bool:
        """See Channel."""
        return self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def is_down(self) -> bool:
        """See Channel."""
        return self._channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE

    async def connected(self, timeout_s: float) -> bool:
        """See Channel."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.is_ready():
                    state = self._channel.get_state()
                    if state in (
                        grpc.ChannelConnectivity.TRANSIENT_FAILURE,
                        grpc.ChannelConnectivity.SHUTDOWN,
                    ):
                        return False
                    if state is not grpc.ChannelConnectivity.READY:
                        await self._channel.wait_for_state_change(state)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """See Channel."""
        await self._channel.close(None)
