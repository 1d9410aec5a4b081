"""One round of a run: a fault is begun, left for a while, healed, and recovered from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from kvstore.chaos.faults import Fault, Scene, make_fault
from kvstore.chaos.prober import Prober, Watch
from kvstore.chaos.recorder import Recorder
from kvstore.chaos.schedule import FaultKind, Round
from kvstore.chaos.summary import Summary
from kvstore.chaos.target import NodeState, Target
from kvstore.chaos.watcher import Watcher, Wholeness
from kvstore.errors import Unavailable

RECOVERY_S_MAX: Final = 60.0
_POLL_S: Final = 0.1

_OVER_ONCE_BEGUN: Final = frozenset({FaultKind.ROLLING_RESTART})
"""Of these there is nothing left by the time they have begun."""

WaitUntil = Callable[[float], Awaitable[None]]
"""Sleeps so many seconds, less where the run is to end."""


class Rounds:
    """Makes the faults of one run; nothing else harms the cluster."""

    def __init__(
        self,
        target: Target,
        recorder: Recorder,
        prober: Prober,
        watcher: Watcher,
        summary: Summary,
    ) -> None:
        self._target = target
        self._recorder = recorder
        self._prober = prober
        self._watcher = watcher
        self._summary = summary
        self._fault: Fault | None = None
        self.states: Final = dict.fromkeys(target.nodes, NodeState.RUNNING)
        self.now: str = ""
        """The fault that is on, for people; empty: none is."""

    async def run(self, round_: Round, wait: WaitUntil) -> None:
        """A whole round; raises KVStoreError when the cluster does not come back."""
        scene = Scene(self._target, round_, self._watcher.leading, self.whole, self._note)
        fault = make_fault(round_.kind, scene)
        self.now = f"{round_.kind.value} begins"
        begun_ns = self._recorder.now_ns()
        self._fault = fault
        begun = await fault.begin()
        self._summary.faults[round_.kind.value] += 1
        self.now = f"{round_.kind.value} of {', '.join(begun.targets)}: {begun.detail}"
        self._recorder.event(
            "fault-begins",
            begun_ns,
            fault=round_.kind.value,
            targets=list(begun.targets),
            id=round_.number,
            detail=begun.detail,
        )
        watch = None if round_.kind in _OVER_ONCE_BEGUN else self._prober.watch()
        await wait(round_.hold_s)
        if watch is not None and watch.done.done():
            self._recovered(round_.number, "begin", watch, self._summary.since_begin_ms)
        await self.heal(round_.number)

    async def heal(self, number: int = 0) -> None:
        """Undoes the fault that is on, if one is, and waits until the cluster is whole again."""
        fault, self._fault = self._fault, None
        if fault is None:
            return
        self.now = f"{fault.round.kind.value} is healed"
        self._recorder.event("fault-ends", id=fault.round.number)
        watch = self._prober.watch()
        await fault.heal()
        await self.whole()
        await watch.done
        self._recovered(number, "end", watch, self._summary.since_end_ms)
        self.now = ""

    async def whole(self) -> None:
        """Until all partitions have taken a write since this was called, and all nodes serve and
        have what was committed before it; raises Unavailable when that takes too long."""
        watch = self._prober.watch()
        wholeness = Wholeness(self._target.nodes)
        deadline_s = time.monotonic() + RECOVERY_S_MAX
        missing = "the writes of some partition"
        while not watch.done.done() or (missing := wholeness.missing(await self._watcher.look())):
            await self.check()
            if time.monotonic() > deadline_s:
                raise Unavailable(
                    f"the cluster was not whole again within {RECOVERY_S_MAX:.0f} s: {missing}"
                )
            await asyncio.sleep(_POLL_S)

    async def check(self) -> None:
        """Raises Unavailable when a node has ended by itself."""
        fallen = await self._target.fallen()
        if fallen is not None:
            raise Unavailable(fallen)

    def _recovered(self, number: int, since: str, watch: Watch, into: list[float]) -> None:
        after_ms = round(watch.done.result(), 1)
        into.append(after_ms)
        at_ns = watch.since_ns + int(after_ms * 1e6)
        self._recorder.event("recovered", at_ns, id=number, since=since, after_ms=after_ms)

    def _note(self, node: str, state: NodeState) -> None:
        self.states[node] = state
        self._recorder.event("node", node=node, state=state.value)
