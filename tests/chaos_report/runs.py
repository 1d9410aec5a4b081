"""Directories as chaos runs leave them, made up: a cluster that behaves, and its faults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation

MS = 1_000_000
S = 1_000_000_000
BEGIN = 7 * S
"""Clocks do not begin at 0."""
NODES = ("n1", "n2", "n3")


@dataclass
class MadeUpRun:
    """What is to be written into a directory."""

    seconds: int = 60
    clients: int = 8
    history: History = field(default_factory=History)
    events: list[dict[str, object]] = field(default_factory=list)
    info: dict[str, object] = field(default_factory=dict)
    """In place of what run.json would say."""
    faults: int = 0

    def write(self, directory: Path) -> Path:
        """Writes it; gives the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "run.json").write_text(json.dumps(self.run_json() | self.info))
        lines = [json.dumps(event) + "\n" for event in self.events]
        (directory / "events.jsonl").write_text("".join(lines))
        self.history.write(directory / "history.jsonl")
        return directory

    def run_json(self) -> dict[str, object]:
        return {
            "format": 1,
            "command": ["kvstore", "chaos", "--seed", "17", "--for", f"{self.seconds}s"],
            "version": "0.1.0",
            "seed": 17,
            "target": "local",
            "workloads": ["register", "counter"],
            "faults": ["kill", "pause"],
            "clients": self.clients,
            "duration_s": float(self.seconds),
            "election_timeout_ms": 500,
            "nodes": list(NODES),
            "started_ns": BEGIN,
            "ended_ns": BEGIN + self.seconds * S,
            "interrupted": False,
        }

    def fault(
        self,
        kind: str,
        begin_s: float,
        end_s: float | None,
        targets: Sequence[str] = ("n1",),
        *,
        after_begin_ms: float | None = None,
        after_end_ms: float | None = None,
        detail: str = "",
    ) -> int:
        """One more fault; its id."""
        self.faults += 1
        number = self.faults
        begin_ns = at(begin_s)
        self.events.append(
            {
                **{"at_ns": begin_ns, "event": "fault-begins", "fault": kind, "id": number},
                **{"targets": list(targets), "detail": detail},
            }
        )
        if end_s is not None:
            self.events.append({"at_ns": at(end_s), "event": "fault-ends", "id": number})
        for since, after_ms in (("begin", after_begin_ms), ("end", after_end_ms)):
            if after_ms is not None:
                self.events.append(
                    {
                        **{"at_ns": begin_ns, "event": "recovered", "id": number},
                        **{"after_ms": after_ms, "since": since},
                    }
                )
        return number

    def say(self, event: str, second: float, **more: object) -> None:
        """Any other event."""
        self.events.append({"at_ns": at(second), "event": event, **more})


def at(second: float) -> int:
    """That second of the run, on its clock."""
    return BEGIN + int(second * S)


def stormy_run(
    seed: int = 1, *, seconds: int = 60, clients: int = 8, pause_ms: float = 20
) -> MadeUpRun:
    """Good histories of registers and counters, under kills and pauses with all that belongs to
    them."""
    random = Random(seed)
    run = MadeUpRun(seconds, clients)
    outages = _storm(random, run)
    _load(random, run, outages, pause_ms)
    return run


def _storm(random: Random, run: MadeUpRun) -> list[tuple[float, float]]:
    outages = []
    leaders = {"n1": 5, "n2": 6, "n3": 5}
    run.say("leaders", 0, leaders=dict(leaders))
    second = 4.0
    while second + 8 < run.seconds:
        kind = random.choice(["kill", "pause", "partition", "slow-disk"])
        node = random.choice(NODES)
        length_s = random.uniform(2, 6)
        outage_s = random.uniform(0.4, 1.6)
        run.fault(
            *(kind, second, second + length_s, [node]),
            after_begin_ms=outage_s * 1000,
            after_end_ms=random.uniform(5, 400),
            detail=f"of {node}",
        )
        outages.append((second, second + outage_s))
        if kind in ("kill", "pause"):
            state = "down" if kind == "kill" else "paused"
            run.say("node", second, node=node, state=state)
            run.say("node", second + length_s, node=node, state="running")
        moved = leaders[node]
        others = [other for other in NODES if other != node]
        for _ in range(moved):
            leaders[random.choice(others)] += 1
        leaders[node] = 0
        run.say("leaders", second + outage_s, leaders=dict(leaders), changes=moved)
        run.say("error", int(second), kind="Unavailable", count=random.randrange(5, 90))
        run.say("error", int(second), kind="DeadlineExceeded", count=random.randrange(1, 9))
        second += length_s + random.uniform(2, 6)
    return outages


def _load(
    random: Random, run: MadeUpRun, outages: Sequence[tuple[float, float]], pause_ms: float
) -> None:
    free_at = [at(0) + random.randrange(20 * MS) for _ in range(run.clients)]
    registers: dict[bytes, bytes | None] = {}
    counters: dict[bytes, int] = {}
    end_ns = at(run.seconds)
    schedule = []
    while True:
        client = min(range(run.clients), key=free_at.__getitem__)
        invoked_ns = free_at[client]
        duration_ns = int(random.lognormvariate(1.0, 0.5) * MS)
        for begin_s, outage_end_s in outages:
            if at(begin_s) <= invoked_ns < at(outage_end_s):
                duration_ns += at(outage_end_s) - invoked_ns
        if invoked_ns + duration_ns >= end_ns:
            break
        effect_ns = invoked_ns + random.randrange(duration_ns)
        schedule.append((effect_ns, client, invoked_ns, invoked_ns + duration_ns))
        free_at[client] += duration_ns + int(random.uniform(0, pause_ms) * MS)
    for effect_ns, client, invoked_ns, returned_ns in sorted(schedule):
        run.history.add(_operation(random, client, invoked_ns, returned_ns, registers, counters))
        assert effect_ns <= returned_ns


def _operation(
    random: Random,
    client: int,
    invoked_ns: int,
    returned_ns: int,
    registers: dict[bytes, bytes | None],
    counters: dict[bytes, int],
) -> Operation:
    key = b"register/%d" % random.randrange(20)
    fate = random.random()
    if fate < 0.1:
        name = b"counter/%d" % random.randrange(3)
        if random.random() < 0.5:
            counters[name] = counters.get(name, 0) + 1
            return Operation(
                client, Kind.INCREMENT, name, invoked_ns, Ending.OK, returned_ns, input=b"1"
            )
        output = b"%d" % counters.get(name, 0)
        return Operation(client, Kind.GET, name, invoked_ns, Ending.OK, returned_ns, output=output)
    if fate < 0.6:
        return Operation(
            *(client, Kind.GET, key, invoked_ns, Ending.OK, returned_ns),
            output=registers.get(key),
        )
    value = b"%d-%d" % (client, invoked_ns)
    if fate > 0.995:
        return Operation(client, Kind.PUT, key, invoked_ns, Ending.UNKNOWN, input=value)
    registers[key] = value
    return Operation(client, Kind.PUT, key, invoked_ns, Ending.OK, returned_ns, input=value)


def lose_a_write(run: MadeUpRun) -> Operation:
    """Makes the last register read after a write an old one; that read."""
    of_key = [e for e in run.history.operations if e.key == b"register/3" and e.is_ok]
    first = next(each for each in of_key if each.op is Kind.PUT)
    read = [each for each in of_key if each.op is Kind.GET][-1]
    read.output = first.input
    return read


Json = Mapping[str, object]
