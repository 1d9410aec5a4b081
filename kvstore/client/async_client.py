"""The client for asyncio programs."""

from __future__ import annotations

import contextlib
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from random import Random, SystemRandom
from types import TracebackType
from typing import Final, NoReturn, Self, TypeVar

from cluster.ids import META_GROUP, GroupId, PartitionId, group_of
from cluster.partition.map import ClusterMap
from cluster.partition.ranges import partition_of_hash
from kvstore.client.arguments import as_bytes, checked_timeout_s, parsed_endpoints
from kvstore.client.backup import BackupEvent, partition_events
from kvstore.client.channel import OpenChannel
from kvstore.client.connection import Suspects, suspects_nobody
from kvstore.client.direct_channel import DirectChannel
from kvstore.client.dispatch import Dispatcher
from kvstore.client.leaders import LeaderPlacement, LeaderRun
from kvstore.client.level_sections import class_of
from kvstore.client.levels import Consistency, Level
from kvstore.client.range_operations import RangeOperations
from kvstore.client.receipts import Answer, Receipt
from kvstore.client.records import record_of, value_of
from kvstore.client.scrub import GroupScrub, ScrubProgress, ScrubRun
from kvstore.client.status import ClusterStatus, Location, ask_status
from kvstore.client.tokens import merge_token, token_of
from kvstore.codec.record import Record
from kvstore.codec.routing import key_hash
from kvstore.errors import ClientClosed, InvalidArgument

T = TypeVar("T")

ENDPOINTS_DEFAULT: Final = "127.0.0.1:7001"
TIMEOUT_S_DEFAULT: Final = 5.0

_LINEARIZABLE: Final = Consistency.LINEARIZABLE


class AsyncClient(RangeOperations):
    """A kvstore cluster, for one event loop.

    ```python
    async with AsyncClient("127.0.0.1:7001,127.0.0.1:7002") as kv:
        await kv.put("greeting", "hello")
        value = await kv.get("greeting")  # b"hello"
    ```

    One client is meant to be shared by many tasks: operations that are asked for at the same time
    travel together. Keys and values are bytes; str is encoded as UTF-8. `endpoints` are one or
    more nodes, "host:port", from which the others are learned. `timeout_s` holds for every call
    that names no other. `suspects` is for programs that watch the nodes by other means, as a node
    does itself: where it is true of an address, nothing is sent there. `open_channel` is the seam
    at which simulation puts another network under the client. `random` draws the identity under
    which the client writes, among others: two clients must never be given the same stream.

    A write whose answer is lost is sent again until the caller's deadline, and applied once
    (docs/exactly-once.md).

    Every call may raise InvalidArgument, Unavailable (DeadlineExceeded among them),
    ResourceExhausted and ClientClosed; after these nothing was applied. Writes may raise
    OutcomeUnknown (SessionExpired among them): sent, not settled before the deadline, and perhaps
    applied, once. A task that is cancelled while it writes does not know either. Other errors
    stand with the calls that raise them.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = ENDPOINTS_DEFAULT,
        *,
        timeout_s: float = TIMEOUT_S_DEFAULT,
        random: Random | None = None,
        suspects: Suspects = suspects_nobody,
        open_channel: OpenChannel = DirectChannel,
    ) -> None:
        self._endpoints = parsed_endpoints(endpoints)
        self._timeout_s = checked_timeout_s(timeout_s)
        # Processes that fork must not write under the same identity.
        self._random = SystemRandom() if random is None else random
        self._suspects = suspects
        self._open_channel = open_channel
        self._dispatcher: Dispatcher | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "open"
        if self._closed:
            state = "closed"
        elif self._dispatcher is None or self._dispatcher.board.routes is None:
            state = "not connected yet"
        return f"<AsyncClient of {','.join(self._endpoints)}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncClient holds connections and cannot be pickled; make one there")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections; may be called twice.

        Calls that wait raise ClientClosed, or OutcomeUnknown where a write had been sent.
        """
        if self._dispatcher is not None:
            self._check_loop(self._dispatcher, get_running_loop())
            await self._dispatcher.close()
        self._closed = True

    async def get(
        self,
        key: bytes | str,
        *,
        consistency: Level = _LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> bytes | None:
        """The value under `key`, or None.

        Sees every write acknowledged before the call, unless `consistency` asks for less.
        """
        if consistency is not _LINEARIZABLE:
            found, _ = await self._read_at(key, consistency, None, timeout_s)
            return None if found is None else value_of(key, found)
        record = await self._read(key, timeout_s)
        return None if record is None else value_of(key, record)

    async def get_record(
        self,
        key: bytes | str,
        *,
        consistency: Level = _LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Record | None:
        """The value under `key` with its version, revisions and expiry, or None."""
        if consistency is not _LINEARIZABLE:
            found, _ = await self._read_at(key, consistency, None, timeout_s)
            return None if found is None else record_of(key, found)
        record = await self._read(key, timeout_s)
        return None if record is None else record_of(key, record)

    async def read(
        self,
        key: bytes | str,
        *,
        consistency: Level = _LINEARIZABLE,
        min_index: int | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """The record under `key`, or None, with a receipt: by whom, and from which state.

        `consistency` is "linearizable" (served by the leader), "session" or Stale(max_staleness_s)
        (served by any replica that can). A session is what this client does, and what the tokens
        stand for that it was given; for those who keep account by themselves, `min_index` takes its
        place: the index that the partition's replica must have applied. `Seen` is the same for
        several partitions.
        """
        record, receipt = await self._read_at(key, consistency, min_index, timeout_s)
        return Answer(None if record is None else record_of(key, record), receipt)

    async def _read_at(
        self, key: bytes | str, consistency: Level, min_index: int | None, timeout_s: float | None
    ) -> tuple[bytes | None, Receipt]:
        if type(key) is not bytes:
            key = as_bytes("key", key)
        kind, bound = class_of(consistency, min_index)
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = self._dispatcher
        if dispatcher is None or dispatcher.loop is not loop or not dispatcher.is_started:
            dispatcher = await self._start(loop, deadline_s)
        dispatcher.board.limits.check_key(key)
        return await dispatcher.read_at(kind, key, bound, deadline_s)

    def token(self) -> str:
        """What this client has seen, for another client to go on from; opaque, and no secret.

        Given to that one's `merge_token`, its session reads see all that this one's would.
        """
        return token_of(None if self._dispatcher is None else self._dispatcher.board)

    async def merge_token(self, token: str, *, timeout_s: float | None = None) -> None:
        """Goes on from `token` too, of another client of the same cluster."""
        loop = get_running_loop()
        dispatcher = await self._start(loop, loop.time() + self._timeout(timeout_s))
        merge_token(dispatcher.board, token)

    def index_of(self, key: bytes) -> int:
        """The greatest index that this client was answered for a key of the partition of `key`."""
        if self._dispatcher is None or not self._dispatcher.board.partitions:
            return 0
        board = self._dispatcher.board
        return board.floors[partition_of_hash(key_hash(key), board.partitions)]

    async def _read(self, key: bytes | str, timeout_s: float | None) -> bytes | None:
        if type(key) is not bytes:
            key = as_bytes("key", key)
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = self._dispatcher
        if dispatcher is None or dispatcher.loop is not loop or not dispatcher.is_started:
            dispatcher = await self._start(loop, deadline_s)
        dispatcher.board.limits.check_key(key)
        return await dispatcher.read(key, deadline_s)

    async def backup(
        self, partition: int, *, timeout_s: float | None = None
    ) -> AsyncGenerator[BackupEvent, None]:
        """The data of one partition as they are at one moment, for a backup (`client/backup.py`).

        Every write that was acknowledged before the call is in them. `timeout_s` is for the
        beginning, and for each chunk that follows.
        """
        wait_s = self._timeout(timeout_s)
        loop = get_running_loop()
        dispatcher = await self._start(loop, loop.time() + wait_s)
        partitions = dispatcher.board.partitions
        if not 0 <= partition < partitions:
            raise InvalidArgument(f"partition is {partition}; there are {partitions}")
        events = partition_events(dispatcher, PartitionId(partition), wait_s, self._random)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def locate(self, key: bytes | str, *, timeout_s: float | None = None) -> Location:
        """The partition of `key`, who leads it and who holds it, asked anew."""
        key = as_bytes("key", key)
        dispatcher, _ = await self._refreshed(timeout_s)
        dispatcher.board.limits.check_key(key)
        routes = dispatcher.board.known_routes
        partition = partition_of_hash(key_hash(key), len(routes.map.partitions))
        route = routes.route(partition)
        leader = None if route.leader is None else routes.node(route.leader).node_id
        replicas = tuple(routes.node(replica).node_id for replica in route.replicas)
        return Location(key, partition, leader, replicas)

    async def status(self, *, timeout_s: float | None = None) -> ClusterStatus:
        """What every node of the cluster says of itself; nodes that do not answer are marked."""
        dispatcher, deadline_s = await self._refreshed(timeout_s)
        remaining_s = max(0.001, deadline_s - dispatcher.loop.time())
        cluster_map = dispatcher.board.known_routes.map
        return await ask_status(dispatcher.connections, cluster_map, remaining_s)

    async def scrub(
        self,
        partitions: Sequence[int] | None = None,
        *,
        timeout_s: float | None = None,
        progress: ScrubProgress = lambda _done, _of: None,
    ) -> tuple[GroupScrub, ...]:
        """Compares the replicas of `partitions` (None: of all, and of the meta group).

        By hashes of all that they hold as of one log entry. Takes as long as it takes to read that;
        `timeout_s` bounds how long a partition may be without a leader that is at it. What could
        not be compared is among the answers. Raises InvalidArgument where there is no such
        partition.
        """
        dispatcher, _ = await self._refreshed(timeout_s)
        cluster_map = dispatcher.board.known_routes.map
        run = ScrubRun(
            dispatcher.connections,
            cluster_map,
            _groups(partitions, len(cluster_map.partitions)),
            newest_map=partial(self.cluster_map, timeout_s=timeout_s),
            timeout_s=self._timeout(timeout_s),
            progress=progress,
        )
        return await run.run()

    async def gather_leaders(
        self, node_id: str, *, timeout_s: float | None = None
    ) -> LeaderPlacement:
        """Has `node_id` lead every partition that it holds, from now on, and waits until it does.

        That stands in the cluster map: it lasts until `spread_leaders`, over restarts too. While
        the node is down, or its disk is full or stuck, others lead as ever. What does not follow
        within `timeout_s` is `unsettled` in the answer, and follows later. Raises InvalidArgument
        where there is no such node.
        """
        if not node_id:
            raise InvalidArgument("node_id is empty; it must be the name of a node")
        return await self._place_leaders(node_id, timeout_s)

    async def spread_leaders(self, *, timeout_s: float | None = None) -> LeaderPlacement:
        """Has all nodes lead as evenly many partitions as can be, as in the beginning."""
        return await self._place_leaders("", timeout_s)

    async def _place_leaders(self, node_id: str, timeout_s: float | None) -> LeaderPlacement:
        dispatcher, deadline_s = await self._refreshed(timeout_s)
        newest_map = partial(self.cluster_map, timeout_s=timeout_s)
        return await LeaderRun(dispatcher.connections, newest_map, deadline_s).run(node_id)

    async def cluster_map(self, *, timeout_s: float | None = None) -> ClusterMap:
        """The cluster's map, asked anew."""
        dispatcher, _ = await self._refreshed(timeout_s)
        return dispatcher.board.known_routes.map

    async def _refreshed(self, timeout_s: float | None) -> tuple[Dispatcher, float]:
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = await self._start(loop, deadline_s)
        await dispatcher.refresh(deadline_s)
        return dispatcher, deadline_s

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else checked_timeout_s(timeout_s)

    async def _start(self, loop: AbstractEventLoop, deadline_s: float) -> Dispatcher:
        """The dispatcher, with a map; made by the first call."""
        if self._closed:
            raise ClientClosed("the client is closed; nothing was done")
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(
                self._endpoints, self._random, self._suspects, self._open_channel
            )
        self._check_loop(self._dispatcher, loop)
        await self._dispatcher.start(deadline_s)
        return self._dispatcher

    def _check_loop(self, dispatcher: Dispatcher, loop: AbstractEventLoop) -> None:
        if dispatcher.loop is not loop:
            raise RuntimeError(
                "this AsyncClient was first used on another event loop, and its connections live "
                "there; make one client for each loop, or use Client from many threads"
            )


def _groups(partitions: Sequence[int] | None, count: int) -> list[GroupId]:
    if partitions is None:
        return [META_GROUP, *(group_of(PartitionId(number)) for number in range(count))]
    for number in partitions:
        if not 0 <= number < count:
            raise InvalidArgument(f"partition is {number}; it must be 0 to {count - 1}")
    return [group_of(PartitionId(number)) for number in dict.fromkeys(partitions)]
