"""Client processes: started, begun together, measured from outside, ended.

Whoever loads speaks the lines of `kvstore.bench.processes`, whatever is loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from benchmarks.procfs import cpu_seconds_of
from kvstore.bench.load import LoadPlan
from kvstore.bench.outcome import Outcome
from kvstore.bench.processes import together

_READY_TIMEOUT_S: Final = 180.0
_GRACE_S: Final = 120.0


class ClientFailed(Exception):
    """A client process did not do what it was asked for."""


class ClientProcess:
    """One of them. What it says on standard error is passed on."""

    def __init__(self, line: Sequence[str], plan: str = "") -> None:
        """Starts `line`; `plan` is what it is told first, where it takes anything."""
        # A session of its own: Ctrl-C is for us, who then end it.
        self._process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        if plan:
            self._say(plan)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Returns when it is connected."""
        if self._hear(_READY_TIMEOUT_S) != {"ready": True}:
            raise ClientFailed("a client process did not get ready")

    def go(self) -> None:
        """Lets it begin."""
        self._say("go")

    def outcome(self, timeout_s: float) -> Outcome:
        """What came of it, once it is done; the process stays, so that it can be looked at."""
        while True:
            said = self._hear(timeout_s)
            if "outcome" in said:
                return Outcome.from_wire(said["outcome"])

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ClientFailed("a client process ended before it was done") from None

    def _hear(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise ClientFailed(f"a client process ended, or took more than {timeout_s:.0f} s")
        said: dict[str, Any] = json.loads(line)
        return said


def kvstore_clients(endpoints: str, plan: LoadPlan, timeout_s: float = 5.0) -> list[ClientProcess]:
    """The processes of `plan`, started."""
    line = (sys.executable, "-P", "-m", "kvstore.bench")
    plans = [replace(plan, process=number) for number in range(plan.processes)]
    return [
        ClientProcess(
            line, json.dumps({"endpoints": endpoints, "timeout_s": timeout_s, **asdict(each)})
        )
        for each in plans
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """One run; processor times are of the time that was measured."""

    outcome: Outcome
    server_cpu_s: float
    client_cpu_s: float
    idle_cpu_s: float
    """Of the servers that stood by."""
    ended_s: float
    """On the monotonic clock: when the last client was done."""

    def summary(self) -> dict[str, object]:
        """With processor time per 1,000 operations, in seconds."""
        thousands = self.outcome.operations / 1000
        return self.outcome.summary() | {
            "server_cpu_s_per_1000": _per(self.server_cpu_s, thousands),
            "client_cpu_s_per_1000": _per(self.client_cpu_s, thousands),
            "idle_cpu_s_per_s": _per(self.idle_cpu_s, self.outcome.elapsed_s),
        }


def _per(amount: float, count: float) -> float:
    return round(amount / count, 4) if count else 0.0


def measure(
    clients: Sequence[ClientProcess],
    warm_up_s: float,
    seconds: float,
    servers: Collection[int] = (),
    idle: Collection[int] = (),
) -> Measured:
    """Lets `clients` do their load at the same time; raises ClientFailed. They are ended."""
    try:
        for client in clients:
            client.wait_ready()
        for client in clients:
            client.go()
        time.sleep(warm_up_s)
        watched = (servers, [client.pid for client in clients], idle)
        before = [cpu_seconds_of(pids) for pids in watched]
        outcomes = [client.outcome(seconds + _GRACE_S) for client in clients]
        ended_s = time.monotonic()
        spent = [cpu_seconds_of(pids) - was for pids, was in zip(watched, before, strict=True)]
    finally:
        for client in clients:
            client.end()
    return Measured(together(outcomes), spent[0], spent[1], spent[2], ended_s)
