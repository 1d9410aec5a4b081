"""One seed: a phase with faults, in which nothing may break, then one in which all has to work."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO

import structlog

from cluster.ids import GroupId
from cluster.raft.quorum import is_majority
from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.client import SimulatedClient
from kvstore.simulation.cluster import Cluster
from kvstore.simulation.exactly_once import ends_of, judge_changes
from kvstore.simulation.faults.injector import Injector
from kvstore.simulation.faults.profile import Profile
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.prober import Prober
from kvstore.simulation.recorder import Recorder
from kvstore.simulation.shape import Shape, draw_shape
from kvstore.simulation.trace import Event, Trace
from kvstore.simulation.visitor import Visitor, draw_visits
from kvstore.verify.decide import Limits
from kvstore.verify.linearizability import Verdict, judge_registers

LIVENESS_TIMEOUTS: Final = 10
"""Of elections, the longest: within so many, all that was asked for has ended and works again."""
_FREQUENT: Final = frozenset({"round", "send", "receive", "persisted", "call", "flush"})
_REST_TIMEOUTS: Final = 4
_JUDGE_POSITIONS_MAX: Final = 100_000

MakeCheckers = Callable[[], Iterable[object]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A promise that was broken in a run."""

    invariant: str
    detail: str
    cause: str
    """Where an error that nobody handled came from: its traceback; empty where there was none."""
    recent: tuple[Event, ...]
    """The last events before."""

    @classmethod
    def of(cls, problem: Exception, recent: Iterable[Event]) -> Failure:
        """What `problem`, a Violation as a rule, has ended the run with."""
        cause: BaseException | None = problem
        invariant, detail = "the simulation runs", repr(problem)
        if isinstance(problem, Violation):
            cause, invariant, detail = problem.__cause__, problem.invariant, problem.detail
        lines = [] if cause is None else traceback.format_exception(cause)
        return cls(invariant, detail, "".join(lines), tuple(recent))

    def readable(self, count: int) -> list[Event]:
        """The last events that people want to see first: rounds and messages are left out."""
        return [event for event in self.recent if event.kind not in _FREQUENT][-count:]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed."""

    seed: int
    profile: str
    shape: str
    hash: str
    """Of its trace: the same for the same seed, always."""
    events: int
    virtual_s: float
    operations: dict[str, int]
    """Judged, by how they ended."""
    faults: dict[str, int]
    """Injected, by kind."""
    undecided: int
    """Keys that the judge could not decide within its bounds."""
    failure: Failure | None = None


class Run:
    """See the module. Everything that happens in it follows from `seed` and `profile`."""

    def __init__(
        self, seed: int, profile: Profile, trace: Trace, checkers: Iterable[object]
    ) -> None:
        self.kernel: Final = Kernel(seed, trace)
        self.shape: Final[Shape] = draw_shape(self.kernel.random("shape"), profile)
        self.cluster: Final = Cluster(self.kernel, self.shape, checkers)
        self.recorder: Final = Recorder(self.kernel, self.cluster.observers)
        self.clients: Final = [
            SimulatedClient(self.cluster, number, self.recorder)
            for number in range(1, self.shape.load.clients + 1)
        ]
        for client in self.clients:
            client.witnesses = [other for other in self.clients if other is not client]
        visits = draw_visits(self.kernel.random("visits"))
        self.visitors: Final = [
            Visitor(self.cluster, number, self.recorder, visits)
            for number in range(1, visits.visitors + 1)
        ]
        self.injector: Final = Injector(self.cluster, self.clients, profile)
        self._undecided = 0

    def run(self) -> None:
        """All of it; raises the first violation."""
        kernel = self.kernel
        for node in self.cluster.machines.values():
            node.start()
        for client in self.clients:
            client.start()
        for visitor in self.visitors:
            visitor.start()
        self.injector.start()
        kernel.run_until(int(self.shape.safety_s * NS_PER_S))
        healthy = self.injector.end()
        self._see_that_it_lives(healthy)
        self._see_that_damage_is_found(healthy)
        self._see_that_all_are_rebuilt()
        kernel.run_until(kernel.now_ns + self._timeouts_ns(_REST_TIMEOUTS))
        # A scrub or a heartbeat may have something written at this very moment.
        kernel.run_until(kernel.now_ns + self._timeouts_ns(1), self._is_nothing_written)
        self.cluster.observers.at_end(self.cluster)
        kernel.run_until(kernel.now_ns)
        self._judge()

    def _see_that_it_lives(self, healthy: list[str]) -> None:
        """Everything under way ends in time, and what is asked for anew is done."""
        kernel = self.kernel
        for client in self.clients:
            client.is_stopping = True
        for visitor in self.visitors:
            visitor.is_stopping = True
        prober = Prober(self.cluster, len(self.clients) + 1, self.recorder, healthy)
        prober.start()
        deadline_ns = kernel.now_ns + self._timeouts_ns(LIVENESS_TIMEOUTS)

        def left_to_do() -> list[str]:
            return [*prober.missing, *self._under_way()] or self._not_rebuilt()

        if not kernel.run_until(deadline_ns, lambda: not left_to_do()):
            left = [*prober.missing, *self._under_way(), *self._not_rebuilt()]
            raise Violation(
                "liveness",
                f"{LIVENESS_TIMEOUTS} election timeouts after faults ended on {healthy}, not done:"
                f" {', '.join(left)}",
            )

    def _see_that_damage_is_found(self, healthy: list[str]) -> None:
        """A scrub that is asked for stops whoever has a state that nobody wrote, if a majority can
        tell."""
        kernel = self.kernel
        # Whose data were lost, and cannot be had from others, has nothing to compare.
        there = {
            node.replica_id
            for node in self.cluster.nodes
            if node.name in healthy and node.damage is None
        }

        def undetected() -> list[tuple[str, GroupId]]:
            return [
                (node.name, node.damage.group)
                for node in self.cluster.nodes
                if node.damage is not None
                and node.is_damaged_in_silence
                and is_majority(
                    node.host.replicas[node.damage.group].core.configuration, there.__contains__
                )
            ]

        for _ in range(LIVENESS_TIMEOUTS):
            groups = {group for _name, group in undetected()}
            if not groups:
                return
            for node in self.cluster.nodes:
                for group in sorted(groups & node.host.replicas.keys()):
                    if node.host.replicas[group].is_leader:
                        node.host.scrubber.rounds.ask(group)
            kernel.run_until(kernel.now_ns + self._timeouts_ns(1), lambda: not undetected())
        raise Violation("damage is found", f"{LIVENESS_TIMEOUTS} scrubs left {undetected()}")

    def _see_that_all_are_rebuilt(self) -> None:
        """Also those that a scrub has found."""
        deadline_ns = self.kernel.now_ns + self._timeouts_ns(LIVENESS_TIMEOUTS)
        if not self.kernel.run_until(deadline_ns, lambda: not self._not_rebuilt()):
            raise Violation(
                "liveness", f"{LIVENESS_TIMEOUTS} election timeouts later: {self._not_rebuilt()}"
            )

    def _not_rebuilt(self) -> list[str]:
        """The nodes whose data were lost, or are known to be damaged, and are not all back."""
        machines = self.cluster.machines
        return [
            f"{name} rebuilt"
            for name in self.cluster.unsound()
            if self.cluster.can_be_rebuilt(name) and not machines[name].is_damaged_in_silence
        ]

    def _is_nothing_written(self) -> bool:
        return not any(node.host.pipeline.waiting for node in self.cluster.nodes)

    def _under_way(self) -> list[str]:
        """What clients still wait for."""
        return [
            f"{record.op} {record.key.decode()} of c{record.client}"
            for record in self.recorder.open.values()
        ]

    def _timeouts_ns(self, count: int) -> int:
        """So many election timeouts, by the slowest clock."""
        slowest = min([1.0, *self.shape.clock_rates.values()])
        return int(count * self.shape.election_timeout_s / slowest * NS_PER_S)

    def _judge(self) -> None:
        records = self.recorder.records
        fastest = max([1.0, *self.shape.clock_rates.values()])
        history = self.recorder.history(ends_of(records, fastest, self.cluster.jumps))
        judge_changes(records, history)
        judgement = judge_registers(history, Limits(positions_max=_JUDGE_POSITIONS_MAX))
        self._undecided = sum(each.verdict is Verdict.UNDECIDED for each in judgement.findings)
        if judgement.verdict is Verdict.VIOLATION:
            raise Violation("linearizability", judgement.text())

    def report(self, seed: int, profile: Profile, violation: Exception | None) -> Report:
        """What came of it."""
        trace = self.kernel.trace
        operations: dict[str, int] = {}
        for record in self.recorder.records:
            operations[record.outcome] = operations.get(record.outcome, 0) + 1
        return Report(
            seed=seed,
            profile=profile.name,
            shape=str(self.shape),
            hash=trace.hash,
            events=trace.events,
            virtual_s=self.cluster.now_s,
            operations=operations,
            faults=dict(self.injector.counts),
            undecided=self._undecided,
            failure=None if violation is None else Failure.of(violation, trace.recent),
        )


def run_seed(
    seed: int,
    profile: Profile,
    make_checkers: MakeCheckers,
    trace_file: TextIO | None = None,
) -> Report:
    """Runs one seed to its end or to its first violation. One at a time in a process."""
    trace = Trace(trace_file)
    run = Run(seed, profile, trace, make_checkers())
    violation: Exception | None = None
    with _logs_into(run.kernel), _collected():
        try:
            run.run()
        except Exception as problem:  # a checker or a part of the simulation may fail, too
            violation = problem
        finally:
            run.kernel.end()
    violation = violation or run.kernel.violation
    return run.report(seed, profile, violation)


@contextmanager
def _logs_into(kernel: Kernel) -> Iterator[None]:
    """What nodes log goes into the trace."""

    def into_trace(_logger: object, level: str, event: Any) -> Any:
        words = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
        kernel.trace.say(kernel.now_ns, "log", level, event["event"], words)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[into_trace], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _collected() -> Iterator[None]:
    """Cycles are collected after a run, not in it: it is quicker, and finalizers run at a known
    time."""
    was_enabled = gc.isenabled()
    gc.disable()
    # What was there before is not looked through again after every run.
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if was_enabled:
            gc.enable()


__all__ = ["Failure", "Report", "Run", "run_seed"]
