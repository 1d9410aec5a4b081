"""One gRPC channel per address: how it is set up, whether it is there, what can be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2

CONNECT_TIMEOUT_S: Final = 1.0
"""How long to wait for a connection before other nodes are tried."""

_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
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

Suspects = Callable[[str], bool]
"""Whether nothing should be handed to an address now, because its node is thought to be gone."""


def suspects_nobody(_address: str) -> bool:
    """The `Suspects` of a client that knows of the nodes only what its calls tell."""
    return False


Method = Callable[..., Any]
"""A gRPC method: called with a request and timeout=, in seconds, it gives an awaitable response."""


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


class Connection:
    """A channel to one address; connects when first used, and again whenever it is lost.

    While the address is suspected the connection counts as lost, though it may be open: what is
    sent to a node that hangs is neither done nor refused, and a write so sent has no known outcome.
    """

    __slots__ = ("_channel", "_suspects", "address", "batch", "get_map", "status")

    def __init__(self, address: str, suspects: Suspects = suspects_nobody) -> None:
        self.address = address
        self._suspects = suspects
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._channel = channel
        self.batch: Method = channel.unary_unary(
            "/kvstore.v1.KV/Batch",
            request_serializer=kv_pb2.BatchRequest.SerializeToString,
            response_deserializer=kv_pb2.BatchResponse.FromString,
        )
        self.get_map: Method = channel.unary_unary(
            "/kvstore.v1.Admin/GetMap",
            request_serializer=admin_pb2.GetMapRequest.SerializeToString,
            response_deserializer=admin_pb2.GetMapResponse.FromString,
        )
        self.status: Method = channel.unary_unary(
            "/kvstore.v1.Admin/Status",
            request_serializer=admin_pb2.StatusRequest.SerializeToString,
            response_deserializer=admin_pb2.StatusResponse.FromString,
        )

    def __repr__(self) -> str:
        return f"<Connection to {self.address}>"

    def is_ready(self) -> bool:
        """Whether what is sent now goes out on an open connection; if not, begins to connect."""
        state = self._channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY and not self._suspects(self.address)

    def is_down(self) -> bool:
        """Whether the last attempt to connect failed, or the node is suspected."""
        state = self._channel.get_state()
        return state is grpc.ChannelConnectivity.TRANSIENT_FAILURE or self._suspects(self.address)

    async def connected(self, timeout_s: float) -> bool:
        """Connects; False as soon as an attempt fails, or when `timeout_s` are over."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.is_ready():
                    state = self._channel.get_state()
                    if self.is_down() or state is grpc.ChannelConnectivity.SHUTDOWN:
                        return False
                    if state is not grpc.ChannelConnectivity.READY:
                        await self._channel.wait_for_state_change(state)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Ends the connection and what is under way on it."""
        await self._channel.close(None)


class Connections:
    """The connections of a client, by address."""

    __slots__ = ("_by_address", "_suspects")

    def __init__(self, suspects: Suspects = suspects_nobody) -> None:
        self._suspects = suspects
        self._by_address: dict[str, Connection] = {}

    def to(self, address: str) -> Connection:
        """The connection to `address`, made where missing."""
        connection = self._by_address.get(address)
        if connection is None:
            connection = self._by_address[address] = Connection(address, self._suspects)
        return connection

    def is_down(self, address: str) -> bool:
        """Whether it is known that `address` could not be reached."""
        connection = self._by_address.get(address)
        return connection is not None and connection.is_down()

    async def keep_only(self, addresses: Collection[str]) -> None:
        """Closes the connections to all other addresses."""
        gone = [address for address in self._by_address if address not in addresses]
        for connection in [self._by_address.pop(address) for address in gone]:
            await connection.close()
