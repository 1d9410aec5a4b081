"""Several client processes with the same load at the same time, as one.

Each is `python -m kvstore.bench`: it is told its plan on standard input as one line of JSON, says
"ready" once it is connected, begins when it is told "go", says what came of it, and stays until it
is told another line or its input ends. Errors and whatever else it writes go to standard error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

import uvloop

from kvstore.bench.load import Load, LoadPlan
from kvstore.bench.outcome import Outcome
from kvstore.bench.workloads import KeyChoice, Kind, Workload
from kvstore.client import AsyncClient
from kvstore.errors import KVStoreError, Unavailable

READY_TIMEOUT_S: Final = 120.0
GRACE_S: Final = 60.0
"""For what is under way at the end, beyond the time that the load takes."""
REPORT_EVERY_S: Final = 0.5
_LINE_BYTES_MAX: Final = 8 << 20

Watch = Callable[[int], None]
"""Told how many calls have succeeded so far, in all processes together."""


async def run_processes(endpoints: str, timeout_s: float, plan: LoadPlan, watch: Watch) -> Outcome:
    """Runs `plan` in `plan.processes` processes; raises Unavailable where one of them fails."""
    members = [
        _Member(await _spawn(), replace(plan, process=number)) for number in range(plan.processes)
    ]
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await asyncio.gather(*(each.prepare(endpoints, timeout_s) for each in members))
        for each in members:
            each.go()
        calls = [0] * len(members)

        def count(number: int, so_far: int) -> None:
            calls[number] = so_far
            watch(sum(calls))

        async with asyncio.timeout(plan.warm_up_s + plan.seconds + timeout_s + GRACE_S):
            outcomes = await asyncio.gather(*(each.outcome(count) for each in members))
    except TimeoutError:
        raise Unavailable("a client process did not answer in time; what it did is done") from None
    finally:
        for each in members:
            await each.end()
    return together(outcomes)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """As if one client had done it all."""
    first, *others = outcomes
    for each in others:
        first.add(each)
    return first


async def _spawn() -> Process:
    # -P: the folder that the user happens to stand in is no place to import from.
    line = (sys.executable, "-P", "-m", "kvstore.bench")
    # A session of its own: Ctrl-C is for us, who then end it.
    return await asyncio.create_subprocess_exec(
        *line, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES_MAX, start_new_session=True
    )


class _Member:
    """One of the processes."""

    def __init__(self, process: Process, plan: LoadPlan) -> None:
        self._process = process
        self._plan = plan

    async def prepare(self, endpoints: str, timeout_s: float) -> None:
        plan = {"endpoints": endpoints, "timeout_s": timeout_s, **asdict(self._plan)}
        self._say(json.dumps(plan))
        if await self._hear() != {"ready": True}:
            raise Unavailable("a client process did not get ready")

    def go(self) -> None:
        self._say("go")

    async def outcome(self, count: Callable[[int, int], None]) -> Outcome:
        while True:
            said = await self._hear()
            if "calls" in said:
                count(self._plan.process, said["calls"])
            else:
                return Outcome.from_wire(said["outcome"])

    async def end(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was made with a pipe
        self._process.stdin.write(line.encode() + b"\n")

    async def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was made with a pipe
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            raise Unavailable(f"a client process ended with code {code}; see what it wrote")
        said: dict[str, Any] = json.loads(line)
        return said


def be_process() -> None:
    """What such a process does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_be_process())
        except KVStoreError as problem:
            sys.exit(f"kvstore: {problem}")


async def _be_process() -> None:
    said: dict[str, Any] = json.loads(sys.stdin.readline())
    endpoints, timeout_s = said.pop("endpoints"), said.pop("timeout_s")
    plan = plan_of(said)
    async with AsyncClient(endpoints, timeout_s=timeout_s) as client:
        await client.get(b"bench")  # connects, and learns the map
        _tell({"ready": True})
        if await asyncio.to_thread(sys.stdin.readline) != "go\n":
            return  # nobody is there any more
        load = Load(plan)
        reporting = asyncio.create_task(_report(load))
        outcome = await load.run(plan.next_operations(client))
        reporting.cancel()
        _tell({"outcome": outcome.to_wire()})
        # Whoever measures from outside looks at the process before it is gone.
        await asyncio.to_thread(sys.stdin.readline)


def plan_of(said: dict[str, Any]) -> LoadPlan:
    """The plan whose `asdict` went through JSON."""
    workload = said.pop("workload")
    mix = {Kind(kind): share for kind, share in workload["mix"].items()}
    choice = KeyChoice(workload["choice"])
    return LoadPlan(Workload(workload["name"], mix, choice, workload["batch"]), **said)


async def _report(load: Load) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        _tell({"calls": load.calls})


def _tell(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
