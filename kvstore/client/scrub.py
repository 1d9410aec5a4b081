"""Asks the leaders to compare the replicas of their groups, and waits for what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import grpc.aio

from cluster.ids import GroupId, NodeId, ReplicaId
from cluster.partition.map import ClusterMap
from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.connection import Connections
from kvstore.client.outcomes import judge
from kvstore.client.status import ask_status
from kvstore.errors import KVStoreError
from kvstore.generated.kvstore.v1 import admin_pb2

POLL_S: Final = 0.2
CALL_TIMEOUT_S: Final = 2.0


@unique
class ScrubVerdict(StrEnum):
    """How a comparison ended."""

    AGREED = "agreed"
    """All replicas have the same state."""
    PARTIAL = "partial"
    """Those that answered have; not all answered."""
    DIVERGED = "diverged"
    """Some are named: a majority has another state, or they cannot read theirs."""
    UNDECIDED = "undecided"
    """They differ, and no state has a majority."""
    UNAVAILABLE = "unavailable"
    """No leader could be asked in time."""


@unique
class Finding(StrEnum):
    """What a comparison says of one replica."""

    SOUND = "sound"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    DIFFERS = "differs"
    """From others, and nobody knows who is right."""
    SILENT = "silent"
    """It did not answer."""


@dataclass(frozen=True, slots=True)
class ReplicaScrub:
    """What one replica had at the index of the comparison."""

    node: NodeId | None
    """None: no node of the map."""
    replica: ReplicaId
    finding: Finding
    hash: int | None


@dataclass(frozen=True, slots=True)
class GroupScrub:
    """The comparison of one group."""

    group: GroupId
    verdict: ScrubVerdict
    index: int | None
    """As of which the states were compared; None: they were not."""
    replicas: tuple[ReplicaScrub, ...] = ()
    problem: str = ""
    """Why they were not."""


ScrubProgress = Callable[[int, int], None]
"""Told how many groups are done, of how many."""

_VERDICTS: Final[Mapping[int, ScrubVerdict]] = {
    admin_pb2.SCRUB_OUTCOME_AGREED: ScrubVerdict.AGREED,
    admin_pb2.SCRUB_OUTCOME_PARTIAL: ScrubVerdict.PARTIAL,
    admin_pb2.SCRUB_OUTCOME_DIVERGED: ScrubVerdict.DIVERGED,
    admin_pb2.SCRUB_OUTCOME_UNDECIDED: ScrubVerdict.UNDECIDED,
}


class ScrubRun:
    """One request to compare `groups`. However long that takes, it goes on as long as leaders are
    at it; a group that has none for `timeout_s` is given up."""

    def __init__(
        self,
        connections: Connections,
        cluster_map: ClusterMap,
        groups: Iterable[GroupId],
        *,
        newest_map: Callable[[], Awaitable[ClusterMap]],
        timeout_s: float,
        progress: ScrubProgress,
    ) -> None:
        self._connections = connections
        self._newest_map = newest_map
        self._timeout_s = timeout_s
        self._progress = progress
        self._names: dict[ReplicaId, NodeId] = {}
        self._follow(cluster_map)
        self._loop = asyncio.get_running_loop()
        # By group: the answer, or None.
        self._done: dict[GroupId, GroupScrub | None] = dict.fromkeys(groups)
        # By group: the address of the leader that was asked.
        self._asked: dict[GroupId, str] = {}
        # By group: what was committed before anybody was asked. Whatever comparison is of a later
        # index will do: that its leader's first answer was lost does not make it an old one.
        self._committed: dict[GroupId, int] = {}
        self._unasked_since_s = dict.fromkeys(self._done, self._loop.time())
        self._problems: dict[GroupId, str] = {}

    async def run(self) -> tuple[GroupScrub, ...]:
        """What came of it, in the order of the groups; never fails."""
        while True:
            await self._ask_leaders()
            await self._poll()
            self._give_up()
            done = [each for each in self._done.values() if each is not None]
            self._progress(len(done), len(self._done))
            if len(done) == len(self._done):
                return tuple(done)
            await asyncio.sleep(POLL_S)

    async def _ask_leaders(self) -> None:
        """Asks those that lead what nobody was asked for."""
        unasked = [group for group in self._open() if group not in self._asked]
        if not unasked:
            return
        if any(group in self._problems for group in unasked):
            # The node that leads may have been rebuilt: it is another replica then.
            with contextlib.suppress(KVStoreError):
                self._follow(await self._newest_map())
        status = await ask_status(self._connections, self._map, self._timeout_s)
        groups = {each.group: each for each in (status.meta, *status.partitions)}
        by_address: dict[str, list[GroupId]] = {}
        for group in unasked:
            seen = groups[group]
            if seen.leader is None:
                self._problems[group] = "no node leads it"
            else:
                self._committed.setdefault(group, seen.commit_index or 0)
                by_address.setdefault(self._addresses[seen.leader], []).append(group)
        await self._call_all(by_address, begin=True)

    def _follow(self, cluster_map: ClusterMap) -> None:
        self._map = cluster_map
        self._names |= {node.replica: node.node_id for node in cluster_map.nodes}
        self._addresses = {node.node_id: node.address for node in cluster_map.nodes}

    async def _poll(self) -> None:
        by_address: dict[str, list[GroupId]] = {}
        for group in self._open():
            if group in self._asked:
                by_address.setdefault(self._asked[group], []).append(group)
        await self._call_all(by_address, begin=False)

    async def _call_all(self, by_address: Mapping[str, list[GroupId]], *, begin: bool) -> None:
        await asyncio.gather(
            *(self._call(address, groups, begin) for address, groups in by_address.items())
        )

    async def _call(self, address: str, groups: Sequence[GroupId], begin: bool) -> None:
        request = admin_pb2.ScrubRequest(group_ids=groups, begin=begin)
        try:
            answer: admin_pb2.ScrubResponse = await call(
                self._connections.to(address).scrub, request, CALL_TIMEOUT_S
            )
        except (grpc.aio.AioRpcError, ConnectionClosed) as error:
            detail = judge(error, "Scrub").detail
            for group in groups:
                self._lose(group, f"{address}: {detail}")
            return
        for each in answer.groups:
            self._take(address, each, begin)

    def _take(self, address: str, answer: admin_pb2.ScrubProgress, begin: bool) -> None:
        group, result = GroupId(answer.group_id), answer.result
        if result.index > self._committed[group]:
            self._done[group] = self._scrub_of(group, result)
        elif begin and answer.is_leader:
            self._asked[group] = address
        elif not (answer.is_leader and answer.is_under_way):
            self._lose(group, f"{address} does not lead it any more")

    def _lose(self, group: GroupId, problem: str) -> None:
        self._problems[group] = problem
        if self._asked.pop(group, None) is not None:
            self._unasked_since_s[group] = self._loop.time()

    def _give_up(self) -> None:
        for group in self._open():
            waited_s = self._loop.time() - self._unasked_since_s[group]
            if group not in self._asked and waited_s > self._timeout_s:
                problem = self._problems.get(group, "no node leads it")
                self._done[group] = GroupScrub(
                    group, ScrubVerdict.UNAVAILABLE, None, problem=problem
                )

    def _open(self) -> list[GroupId]:
        return [group for group, done in self._done.items() if done is None]

    def _scrub_of(self, group: GroupId, result: admin_pb2.ScrubResult) -> GroupScrub:
        verdict = _VERDICTS.get(result.outcome)
        if verdict is None:
            return GroupScrub(
                group, ScrubVerdict.UNAVAILABLE, None, problem="an answer that is not known here"
            )
        replicas = tuple(
            ReplicaScrub(
                self._names.get(ReplicaId(each.replica_id)),
                ReplicaId(each.replica_id),
                _finding(each, verdict),
                each.hash if each.is_readable else None,
            )
            for each in result.answers
        )
        return GroupScrub(group, verdict, result.index, replicas)


def _finding(answer: admin_pb2.ScrubAnswer, verdict: ScrubVerdict) -> Finding:
    if not answer.has_answered:
        return Finding.SILENT
    if not answer.is_readable:
        return Finding.UNREADABLE
    if not answer.is_named:
        return Finding.SOUND
    return Finding.DAMAGED if verdict is ScrubVerdict.DIVERGED else Finding.DIFFERS
