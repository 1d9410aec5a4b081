"""A whole run: the cluster is made ready, loaded, broken, healed, read back and left as it was."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kvstore.chaos.load import Load
from kvstore.chaos.prober import Prober, probe_keys
from kvstore.chaos.recorder import Recorder
from kvstore.chaos.rounds import Rounds
from kvstore.chaos.schedule import FaultKind, schedule
from kvstore.chaos.summary import Summary
from kvstore.chaos.target import Target
from kvstore.chaos.watcher import Watcher
from kvstore.chaos.workloads import WORKLOADS
from kvstore.chaos.workloads.bank import BANK_TOTAL
from kvstore.client import AsyncClient
from kvstore.errors import KVStoreError
from kvstore.verify.operation import Ending

RUN_FILE: Final = "run.json"
FORMAT: Final = 1
_READ_BACK_S: Final = 120.0
_READ_BACK_INTERRUPTED_S: Final = 15.0
_TELL_EVERY_S: Final = 1.0
_LOGS_FOLDER: Final = "logs"
_CLUSTER_FOLDER: Final = "cluster"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    command: tuple[str, ...]
    """The command line that repeats it."""
    version: str
    seed: int
    workloads: tuple[str, ...]
    kinds: tuple[FaultKind, ...]
    clients: int
    rate: float
    """Operations a second, at most; 0: as many as there are answers."""
    duration_s: float
    prefix: bytes
    """Begins all keys."""
    folder: Path
    """For what the run leaves; it is there."""


class Run:
    """One run; its attributes can be looked at while it goes on."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan: Final = plan
        self.target: Final = target
        self.summary: Final = Summary()
        self.recorder: Final = Recorder(plan.folder)
        self.phase = "starting the cluster"
        self.rounds: Rounds | None = None
        self.watcher: Watcher | None = None
        self.began_s: float | None = None
        """When the faults began, of the monotonic clock."""
        self._started_ns = self.recorder.now_ns()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ends the run early: what is broken is healed, and what was recorded is kept."""
        self.summary.interrupted = True
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to end early."""
        return self.summary.interrupted

    @property
    def left_s(self) -> float:
        """Until the last fault is healed, roughly."""
        if self.began_s is None:
            return self.plan.duration_s
        return max(0.0, self.began_s + self.plan.duration_s - time.monotonic())

    async def run(self) -> Summary:
        """All of it. A cluster that does not come back is said in the summary; raises
        ConfigurationError and OSError where the run could not begin."""
        self._write_plan()
        try:
            try:
                await self.target.open(self.plan.kinds, self.plan.folder / _CLUSTER_FOLDER)
                await self._loaded()
            finally:
                self.phase = "ending the cluster"
                self._keep_logs()
                await self.target.close()
        finally:
            self.phase = "done"
            self._count()
            self.recorder.tell_errors()
            self.recorder.close()
            self._write_plan()
        return self.summary

    async def _loaded(self) -> None:
        plan, target = self.plan, self.target
        async with AsyncExitStack() as stack:
            load = Load(
                target.endpoints,
                target.open_channel,
                self.recorder,
                [WORKLOADS[name](plan.prefix) for name in plan.workloads],
                clients=plan.clients,
                rate=plan.rate,
                seed=plan.seed,
            )
            self.phase = "preparing"
            # Those who only watch are not cut off by a fault.
            observer = await stack.enter_async_context(AsyncClient(target.endpoints))
            watcher = self.watcher = Watcher(observer, self.recorder)
            partitions = len((await observer.cluster_map(timeout_s=30.0)).partitions)
            prober = Prober(
                await stack.enter_async_context(load.client()),
                probe_keys(plan.prefix, partitions),
            )
            await load.prepare()
            prober.start()
            stack.push_async_callback(prober.close)
            self.rounds = Rounds(target, self.recorder, prober, watcher, self.summary)
            load.start()
            async with _in_background(watcher.run()), _in_background(self._tell()):
                await self._survived(self._break(self.rounds, load))
                self.phase = "healing"
                await self._survived(self.rounds.heal())
                self.phase = "ending the load"
                await load.stop()
                await prober.close()
                self.phase = "reading everything back"
                limit_s = _READ_BACK_INTERRUPTED_S if self.is_stopping else _READ_BACK_S
                self.summary.read_back = await load.read_back(limit_s)
                if target.is_shared:
                    self.phase = "deleting its keys"
                    await self._survived(load.delete(plan.prefix))
            self.summary.leader_changes = watcher.changes

    async def _break(self, rounds: Rounds, load: Load) -> None:
        """The faults, until the time is over; the last one may be left to be healed."""
        self.phase = "waiting for a whole cluster"
        await rounds.whole()
        self.phase = "running"
        self.began_s = time.monotonic()
        plan, target = self.plan, self.target
        timeout_s = target.election_timeout_ms / 1000
        for round_ in schedule(plan.seed, plan.kinds, target.nodes, timeout_s):
            await self._wait(round_.calm_s)
            load.check()
            if self._stop.is_set() or self.left_s <= 0:
                break
            await rounds.run(round_, self._wait)
        await self._wait(self.left_s)
        await rounds.check()

    async def _survived(self, work: Awaitable[None]) -> None:
        """Does `work`; what the cluster makes of it is said in the summary, the first thing."""
        try:
            await work
        except KVStoreError as problem:
            self.summary.trouble = self.summary.trouble or str(problem)

    async def _wait(self, wait_s: float) -> None:
        """Until then, or until the run is asked to end, or its time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, self.left_s)):
                await self._stop.wait()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            self.recorder.tell_errors()
            self.recorder.flush()

    def _count(self) -> None:
        endings, summary = self.recorder.endings, self.summary
        summary.operations = self.recorder.operations
        summary.done = endings[Ending.OK]
        summary.refused = endings[Ending.FAIL]
        summary.unknown = endings[Ending.UNKNOWN]
        summary.reads.update(self.recorder.reads)
        summary.errors.update(self.recorder.errors)
        if summary.trouble is None and not summary.done:
            summary.trouble = "not one operation was done: there is nothing to judge"
        elif summary.trouble is None and not (summary.read_back or summary.interrupted):
            summary.trouble = "not everything could be read back in the end"

    def _keep_logs(self) -> None:
        for log in self.target.logs():
            with suppress(OSError):
                folder = self.plan.folder / _LOGS_FOLDER
                folder.mkdir(exist_ok=True)
                shutil.copyfile(log, folder / f"{log.parent.name}.log")

    def _write_plan(self) -> None:
        plan = self.plan
        found = {
            "format": FORMAT,
            "command": list(plan.command),
            "version": plan.version,
            "seed": plan.seed,
            "target": self.target.name,
            "workloads": list(plan.workloads),
            "faults": [kind.value for kind in plan.kinds],
            "clients": plan.clients,
            "duration_s": plan.duration_s,
            "election_timeout_ms": self.target.election_timeout_ms,
            "nodes": list(self.target.nodes),
            "started_ns": self._started_ns,
            "ended_ns": self.recorder.now_ns(),
            "bank_total": BANK_TOTAL,
            "interrupted": self.summary.interrupted or self.phase != "done",
        }
        path = self.plan.folder / RUN_FILE
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def fresh_folder(parent: Path, seed: int) -> Path:
    """A new folder in `parent` that is named by the seed; raises OSError."""
    for number in range(1, 1000):
        folder = parent / (f"chaos-{seed}" if number == 1 else f"chaos-{seed}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise FileExistsError(f"{parent} has a thousand folders of seed {seed}")
