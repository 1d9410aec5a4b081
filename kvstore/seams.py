"""What a node is given of the world outside it: one of each seam.

A process gives it the real ones (`kvstore/process.py`), simulation its own. The node is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import grpc

from cluster.ids import ReplicaId
from kvstore.client.channel import OpenChannel
from kvstore.environment import Clock, FileSystem, GroupMessage, Worker
from kvstore.storage.engine import Engine
from kvstore.storage.sessions import SESSIONS_MAX
from kvstore.wire.peer import Introduction


class Server(Protocol):
    """The node's port, held from the start; serves once it is given services."""

    async def start(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """Serves `handlers`."""
        ...

    async def set_serving(self, *, serving: bool) -> None:
        """What health checks are told."""
        ...

    async def stop(self, grace_s: float | None) -> None:
        """Takes no more calls, and ends those still under way after `grace_s` (None: at once)."""
        ...


class PeerLinks(Protocol):
    """A Transport that is closed with the node."""

    def send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Transport."""
        ...

    def follow(self, addresses: Mapping[ReplicaId, str]) -> None:
        """Links to exactly these peers from now on; those that stay are not disturbed."""
        ...

    async def close(self) -> None:
        """Ends all links."""
        ...


class OpenPeerLinks(Protocol):
    """Makes the links to the other nodes."""

    def __call__(
        self,
        me: ReplicaId,
        introduce: Callable[[ReplicaId], Introduction],
        on_refused: Callable[[str], None],
        random: Random,
    ) -> PeerLinks:
        """`introduce` says what this node says of itself; `on_refused` is told that a peer will
        never take anything from this node, and why. None are open before `follow`."""
        ...


@dataclass(frozen=True, slots=True)
class Seams:
    """One of each. All are used on the event loop that runs when the node is started."""

    clock: Clock
    files: FileSystem
    random: Random
    """Seeded so that clients cannot guess it: checksums of the commit log are salted with it."""
    process_id: int
    bind: Callable[[str], Server]
    """Takes the port of an address; raises ConfigurationError when it cannot be had."""
    open_engine: Callable[[str], Engine]
    """Opens the engine in a folder."""
    start_log_worker: Callable[[], Worker]
    """Who writes the commit log."""
    start_flush_worker: Callable[[], Worker]
    """Who flushes the engine."""
    open_peer_links: OpenPeerLinks
    open_channel: OpenChannel
    """For the node's own client."""
    call_soon: Callable[[Callable[[], None]], object]
    """Runs the rounds of the host; see HostHooks."""
    sessions_max: int = SESSIONS_MAX
    """Sessions of clients that a partition keeps; the same in all of one world."""
