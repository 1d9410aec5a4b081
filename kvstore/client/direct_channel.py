"""The client's channel as it is between kvstore and kvstore: gRPC without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from kvstore.client.channel import (
    BATCH_METHOD,
    CONNECT_TIMEOUT_S,
    GET_MAP_METHOD,
    PREFER_LEADERS_METHOD,
    REJOIN_METHOD,
    SCRUB_METHOD,
    STATUS_METHOD,
    Method,
)
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from kvstore.http2.calls import failure
from kvstore.http2.dialer import Dialer

_BACKOFF_S_MIN: Final = 0.1
_BACKOFF_S_MAX: Final = 1.0
_IDLE_S: Final = 20.0
_ANSWER_S: Final = 5.0
"""A node that vanished without closing its connections is noticed in less than half a minute."""


class DirectChannel:
    """See Channel."""

    __slots__ = ("_dialer", "batch", "get_map", "prefer_leaders", "rejoin", "scrub", "status")

    def __init__(self, address: str) -> None:
        self._dialer = Dialer(
            address,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            backoff_s_min=_BACKOFF_S_MIN,
            backoff_s_max=_BACKOFF_S_MAX,
            idle_s=_IDLE_S,
            answer_s=_ANSWER_S,
        )
        self.batch: Method = self._method(BATCH_METHOD, kv_pb2.BatchResponse.FromString)
        self.get_map: Method = self._method(GET_MAP_METHOD, admin_pb2.GetMapResponse.FromString)
        self.status: Method = self._method(STATUS_METHOD, admin_pb2.StatusResponse.FromString)
        self.scrub: Method = self._method(SCRUB_METHOD, admin_pb2.ScrubResponse.FromString)
        self.rejoin: Method = self._method(REJOIN_METHOD, admin_pb2.RejoinResponse.FromString)
        self.prefer_leaders: Method = self._method(
            PREFER_LEADERS_METHOD, admin_pb2.PreferLeadersResponse.FromString
        )

    def _method(self, path: str, decode: Callable[[bytes], Any]) -> Method:
        dialer = self._dialer

        async def connect_and_call(request: Message, timeout_s: float) -> Any:
            loop = asyncio.get_running_loop()
            end_s = loop.time() + timeout_s
            if not await dialer.connected(timeout_s):
                problem = dialer.problem or "the connection is closed"
                raise failure(grpc.StatusCode.UNAVAILABLE, problem)
            return await call(request, timeout=max(0.001, end_s - loop.time()))

        def call(request: Message, *, timeout: float) -> Any:
            link = dialer.link
            if link is None:
                return connect_and_call(request, timeout)
            return link.unary(path, request.SerializeToString(), timeout, decode)

        return call

    def is_ready(self) -> bool:
        """See Channel."""
        if self._dialer.link is not None:
            return True
        self._dialer.start()
        return False

    def is_down(self) -> bool:
        """See Channel."""
        return self._dialer.is_down

    async def connected(self, timeout_s: float) -> bool:
        """See Channel."""
        return await self._dialer.connected(timeout_s)

    async def close(self) -> None:
        """See Channel."""
        await self._dialer.close()
