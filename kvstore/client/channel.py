"""The seam below the client: a channel to one node. Direct ones are the rule; simulation opens
others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from google.protobuf.message import Message

CONNECT_TIMEOUT_S: Final = 1.0
"""How long to wait for a connection before other nodes are tried."""

BATCH_METHOD: Final = "/kvstore.v1.KV/Batch"
GET_MAP_METHOD: Final = "/kvstore.v1.Admin/GetMap"
STATUS_METHOD: Final = "/kvstore.v1.Admin/Status"
BACKUP_METHOD: Final = "/kvstore.v1.Admin/Backup"
SCRUB_METHOD: Final = "/kvstore.v1.Admin/Scrub"
REJOIN_METHOD: Final = "/kvstore.v1.Admin/Rejoin"
PREFER_LEADERS_METHOD: Final = "/kvstore.v1.Admin/PreferLeaders"

Method = Callable[..., Any]
"""A gRPC method: called with a request and timeout=, in seconds, it gives an awaitable response.
Failures raise AioRpcError."""


class ConnectionClosed(Exception):
    """The connection was closed under a call, as a rule by the client itself: the answer will not
    be known."""


async def call(method: Method, request: Message, timeout_s: float) -> Any:
    """The response of `method`; raises AioRpcError, or ConnectionClosed.

    gRPC says that a call was cancelled when its channel is closed, in the way in which asyncio says
    that the caller was. Callers who were not cancelled must not be told so.
    """
    try:
        response = await method(request, timeout=timeout_s)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionClosed("the client closed the connection") from None
    if response is None:
        # Seen of grpc.aio where a connection is reset: a call that ends well, with no message.
        raise ConnectionClosed("the connection was closed before the answer had come")
    return response


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

    @property
    def prefer_leaders(self) -> Method:
        """Admin.PreferLeaders."""
        ...

    def is_ready(self) -> bool:
        """Whether what is sent now goes out on an open connection; if not, begins to connect."""
        ...

    def is_down(self) -> bool:
        """Whether an attempt to connect failed, so lately that it is too early for the next one."""
        ...

    async def connected(self, timeout_s: float) -> bool:
        """Connects; False as soon as an attempt fails, or when `timeout_s` are over."""
        ...

    async def close(self) -> None:
        """Ends the connection, and what is under way on it."""
        ...


OpenChannel = Callable[[str], Channel]
"""Makes the channel to an address, "host:port"; nothing is sent before it is used."""
