"""Who leads what: asked of all nodes now and then, and written down when it changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from kvstore.chaos.recorder import Recorder
from kvstore.client import AsyncClient
from kvstore.client.status import ClusterStatus
from kvstore.errors import KVStoreError
from kvstore.local.catch_up import entries_behind

_EVERY_S: Final = 0.5
_TIMEOUT_S: Final = 1.0


class Watcher:
    """See the module."""

    def __init__(self, client: AsyncClient, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._places: list[str | None] = []
        self.leads: dict[str, int] = {}
        """How many partitions each node leads, as far as was heard last."""
        self.changes = 0
        """Of the leader of a partition, so far."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> ClusterStatus | None:
        """Asks once; None: nobody answered."""
        try:
            status = await self._client.status(timeout_s=_TIMEOUT_S)
        except KVStoreError:
            return None
        places = [None if g.leader is None else str(g.leader) for g in status.partitions]
        if places != self._places:
            changes = sum(
                now is not None and now != before
                for now, before in zip(places, self._places, strict=False)
            )
            self._places = places
            self.changes += changes
            count = Counter(place for place in places if place is not None)
            self.leads = {str(n.node_id): count[str(n.node_id)] for n in status.nodes}
            self._recorder.event("leaders", leaders=self.leads, changes=changes)
        return status

    async def leading(self) -> str | None:
        """The node that leads most partitions now; None: nobody says that it leads."""
        await self.look()
        led = {node: count for node, count in self.leads.items() if count}
        return max(led, key=lambda node: led[node], default=None)


class Wholeness:
    """Whether nothing is missing in a cluster, as of the moment at which this was made."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self._nodes = tuple(nodes)
        self._targets: dict[str, dict[int, int]] = {node: {} for node in self._nodes}

    def missing(self, status: ClusterStatus | None) -> str:
        """What is missing, for people; empty: nothing."""
        if status is None:
            return "no node answers"
        for node in status.nodes:
            if not node.is_reachable:
                return f"{node.node_id} does not answer: {node.problem}"
        copies = min(len(status.nodes), max(len(group.replicas) for group in status.partitions))
        for group in status.partitions:
            if group.leader is None:
                return f"partition {group.group - 1} has no leader"
            if len(group.replicas) < copies:
                return f"partition {group.group - 1} has {len(group.replicas)} replicas"
        for node_id, targets in self._targets.items():
            behind = entries_behind(status, node_id, targets)
            if behind:
                return f"{node_id} is {behind} entries behind"
        return ""
