"""What a chaos run leaves in its directory: run.json and events.jsonl (docs/format-chaos-run.md).

The history beside them is read by `kvstore.verify.history`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kvstore.chaos_report import fields
from kvstore.chaos_report.fields import Record
from kvstore.errors import ConfigurationError

RUN_NAME: Final = "run.json"
EVENTS_NAME: Final = "events.jsonl"
HISTORY_NAME: Final = "history.jsonl"

_FORMAT: Final = 1
_BYTES_MAX: Final = 1 << 20
"""Of run.json."""
_STATES: Final = ("running", "down", "paused")
NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What run.json says."""

    command: tuple[str, ...]
    """Repeats the run."""
    version: str
    seed: int
    target: str
    workloads: tuple[str, ...]
    faults: tuple[str, ...]
    clients: int
    duration_s: float
    """Asked for; it may have been interrupted earlier."""
    election_timeout_ms: int
    nodes: tuple[str, ...]
    started_ns: int
    ended_ns: int
    interrupted: bool
    bank_total: int | None
    """What the accounts of each bank hold together, if that is told."""

    @property
    def length_s(self) -> float:
        """How long it was."""
        return (self.ended_ns - self.started_ns) / NS_PER_S

    def second_of(self, at_ns: int) -> float:
        """`at_ns` in seconds since the start."""
        return (at_ns - self.started_ns) / NS_PER_S


@dataclass(slots=True)
class Fault:
    """Something that was done to the cluster."""

    id: int
    kind: str
    targets: tuple[str, ...]
    detail: str
    begin_ns: int
    end_ns: int | None = None
    """None: it had not ended when the run did."""
    after_begin_ms: float | None = None
    """Until writes of all partitions had resumed; None: not seen."""
    after_end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Leaders:
    """Which node led how many partitions from then on."""

    at_ns: int
    counts: dict[str, int]
    changes: int
    """Partitions that had changed their leader since the last time; where that is not told, so many
    as must have."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a node's process was from then on."""

    at_ns: int
    node: str
    state: str
    """running, down or paused."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How often clients met an error in the second from then on."""

    at_ns: int
    kind: str
    count: int


@dataclass(slots=True)
class Events:
    """What events.jsonl says, each kind by time."""

    faults: list[Fault] = field(default_factory=list)
    leaders: list[Leaders] = field(default_factory=list)
    states: list[NodeState] = field(default_factory=list)
    errors: list[Errors] = field(default_factory=list)


def read_run(directory: Path) -> RunInfo:
    """Reads run.json; raises ConfigurationError that names file, field and value, and OSError."""
    path = directory / RUN_NAME
    if not path.exists():
        raise ConfigurationError(
            f"{directory} holds no {RUN_NAME}: it is not the directory of a chaos run"
        )
    with path.open("rb") as file:
        content = file.read(_BYTES_MAX + 1)
    try:
        if len(content) > _BYTES_MAX:
            raise ValueError(f"larger than {_BYTES_MAX} bytes")
        return _run_info(fields.parsed(content))
    except ValueError as problem:
        raise ConfigurationError(f"{path}: {problem}") from problem


def _run_info(record: Record) -> RunInfo:
    version = fields.integer(record, "format")
    if version != _FORMAT:
        raise ValueError(f"format is {version}; this version of kvstore reads {_FORMAT}")
    info = RunInfo(
        command=fields.texts(record, "command"),
        version=fields.text(record, "version"),
        seed=fields.integer(record, "seed"),
        target=fields.text(record, "target"),
        workloads=fields.texts(record, "workloads"),
        faults=fields.texts(record, "faults"),
        clients=fields.integer(record, "clients"),
        duration_s=fields.number(record, "duration_s"),
        election_timeout_ms=fields.integer(record, "election_timeout_ms"),
        nodes=fields.texts(record, "nodes"),
        started_ns=fields.integer(record, "started_ns"),
        ended_ns=fields.integer(record, "ended_ns"),
        interrupted=fields.boolean(record, "interrupted"),
        bank_total=fields.optional_integer(record, "bank_total"),
    )
    if info.ended_ns < info.started_ns:
        raise ValueError(f"ended_ns is {info.ended_ns}, before started_ns {info.started_ns}")
    if info.election_timeout_ms == 0:
        raise ValueError("election_timeout_ms is 0; it has to be above")
    return info


def read_events(directory: Path) -> Events:
    """Reads events.jsonl; one that is not there has none. Raises as `read_run` does."""
    path = directory / EVENTS_NAME
    if not path.exists():
        return Events()
    with path.open("rb") as file:
        return parse_events(file, str(path), may_be_torn=True)


def parse_events(lines: Iterable[str | bytes], name: str, *, may_be_torn: bool = False) -> Events:
    """Reads lines of JSON. Blank ones, and events that this version does not know, are passed
    over; so is, with `may_be_torn`, a last line without an end that is no event."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            reader.take(fields.parsed(line))
        except ValueError as problem:
            if may_be_torn and line[-1:] not in ("\n", b"\n"):
                continue
            raise ConfigurationError(f"{name}, line {number}: {problem}") from problem
    return reader.finish()


class _Reader:
    """Puts the events of faults together."""

    def __init__(self) -> None:
        self._events = Events()
        self._by_id: dict[int, Fault] = {}

    def take(self, record: Record) -> None:
        at_ns, events = fields.integer(record, "at_ns"), self._events
        match fields.text(record, "event"):
            case "fault-begins":
                self._begin(record, at_ns)
            case "fault-ends":
                self._fault(record).end_ns = at_ns
            case "recovered":
                self._recover(record)
            case "leaders":
                self._lead(record, at_ns)
            case "node":
                state = fields.one_of(record, "state", _STATES)
                events.states.append(NodeState(at_ns, fields.text(record, "node"), state))
            case "error":
                kind, count = fields.text(record, "kind"), fields.integer(record, "count")
                events.errors.append(Errors(at_ns, kind, count))

    def _begin(self, record: Record, at_ns: int) -> None:
        fault = Fault(
            id=fields.integer(record, "id"),
            kind=fields.text(record, "fault"),
            targets=fields.texts(record, "targets"),
            detail="" if record.get("detail") is None else fields.text(record, "detail"),
            begin_ns=at_ns,
        )
        if fault.id in self._by_id:
            raise ValueError(f"id is {fault.id}, which another fault has")
        self._by_id[fault.id] = fault
        self._events.faults.append(fault)

    def _fault(self, record: Record) -> Fault:
        number = fields.integer(record, "id")
        fault = self._by_id.get(number)
        if fault is None:
            raise ValueError(f"id is {number}, and no fault with it has begun")
        return fault

    def _lead(self, record: Record, at_ns: int) -> None:
        counts = fields.counts(record, "leaders")
        changes = fields.optional_integer(record, "changes")
        if changes is None:
            before = self._events.leaders[-1].counts if self._events.leaders else counts
            gains = [count - before.get(node, 0) for node, count in counts.items()]
            changes = sum([gain for gain in gains if gain > 0])
        self._events.leaders.append(Leaders(at_ns, counts, changes))

    def _recover(self, record: Record) -> None:
        fault, after_ms = self._fault(record), fields.number(record, "after_ms")
        if fields.one_of(record, "since", ("begin", "end")) == "begin":
            fault.after_begin_ms = after_ms
        else:
            fault.after_end_ms = after_ms

    def finish(self) -> Events:
        """All of them by time."""
        events = self._events
        events.faults.sort(key=lambda each: each.begin_ns)
        events.leaders.sort(key=lambda each: each.at_ns)
        events.states.sort(key=lambda each: each.at_ns)
        events.errors.sort(key=lambda each: each.at_ns)
        return events
