"""The mesh of network namespaces: each node in one of its own, and what is said is broken by rules.

What is cut is lost, and not held as by the proxy: of a direction that is cut the acknowledgements
are lost, too, so what goes the other way comes to a halt after the first bytes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final

from kvstore.chaos.mesh import CLIENTS, LocalNetwork, Pair
from kvstore.chaos.namespaces import commands
from kvstore.chaos.namespaces.plan import (
    Command,
    NetworkPlan,
    Remains,
    Rule,
    free_subnet,
    grouped,
    remains,
)
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.threads import in_thread
from kvstore.errors import ConfigurationError, InvariantViolation, Unavailable
from kvstore.local import Place

_RESET_S: Final = 0.2
"""How long connections are reset: as long as a heartbeat or so is sure to be sent on each."""


def check_namespaces() -> None:
    """Raises ConfigurationError where there can be no network namespaces."""
    lacking = commands.missing()
    if lacking is not None:
        raise ConfigurationError(
            f"network is namespaces, and {lacking}; --network proxy needs nothing"
        )


class NamespaceMesh(LocalNetwork):
    """See the module. One at a time in a process: its pid is in all names."""

    def __init__(self, nodes: Iterable[str], tell: Callable[[str], None]) -> None:
        """`tell` is told, in a sentence, what was left by runs that were killed. Raises
        ConfigurationError where there can be no network namespaces."""
        check_namespaces()
        self._nodes = tuple(nodes)
        self._tell = tell
        self._made: NetworkPlan | None = None
        self._on: list[Rule] = []
        self._lock = Lock()
        """Held while anything is changed: `end_now` is called while a thread may be at work."""
        self._ended = False

    def refusal(self, kind: FaultKind) -> str | None:
        """See LocalNetwork."""
        if kind is FaultKind.SLOW:
            return "namespaces and iptables lose packets and do not delay them: use --network proxy"
        return None

    @property
    def places(self) -> Mapping[str, Place]:
        """See LocalNetwork."""
        plan = self._plan
        return {
            node: Place(plan.address(node), commands.entering(plan.namespace(node)))
            for node in self._nodes
        }

    def ways(self, dialler: str) -> dict[str, str]:
        """See LocalNetwork: everybody connects directly."""
        return {}

    async def open(self) -> None:
        """See LocalNetwork. Removes, first, what is left of runs that are gone; tries each rule."""
        await in_thread(self._open)

    async def cut(self, pairs: Sequence[Pair]) -> None:
        """See Mesh."""
        await in_thread(self._add, self._plan.cutting(pairs))

    async def slow(self, pairs: Sequence[Pair], *, delay_s: float, bytes_per_s: float) -> None:
        """See Mesh: `refusal` refuses it."""
        raise InvariantViolation("asked to slow what `refusal` should have refused")

    async def reset(self, one: str, other: str) -> None:
        """See Mesh: those on which something is said within a moment, and those that are made."""
        rules = self._plan.resetting(one, other)
        try:
            await in_thread(self._add, rules)
            await asyncio.sleep(_RESET_S)
        finally:
            await in_thread(self._remove, rules)

    async def clear(self, pairs: Sequence[Pair] | None = None) -> None:
        """See Mesh."""
        await in_thread(self._remove, None if pairs is None else self._plan.cutting(pairs))

    async def close(self) -> None:
        """See LocalNetwork."""
        await in_thread(self.end_now)

    def end_now(self) -> None:
        """See LocalNetwork; ends nodes that are still there."""
        with self._lock:
            self._ended = True
            if self._made is not None:
                _remove_all([each for each in _all_remains() if each.pid == self._made.pid])
            self._made = None
            self._on.clear()

    @property
    def _plan(self) -> NetworkPlan:
        if self._made is None:
            raise InvariantViolation("the network is used before it is open, or after its end")
        return self._made

    def _open(self) -> None:
        pid = os.getpid()
        # This process has made none so far: what has its pid is of another one.
        left = [each for each in _all_remains() if each.pid == pid or not commands.runs(each.pid)]
        _remove_all(left)
        for each in left:
            self._tell(
                f"a run that was killed (pid {each.pid}) had left its network and maybe nodes"
                " in it: they are removed"
            )
        plan = NetworkPlan(pid, self._nodes, free_subnet(commands.routes(), pid))
        with self._lock:
            self._check_going()
            self._made = plan  # Before any of it is there: `close` removes what there is.
        for command in plan.making():
            self._run(command)
        for rules in (
            plan.cutting([(CLIENTS, self._nodes[0]), (self._nodes[0], CLIENTS)]),
            plan.resetting(CLIENTS, self._nodes[0]),
        ):
            self._add(rules)
            self._remove(rules)

    def _add(self, rules: Sequence[Rule]) -> None:
        """Of which none is in force twice."""
        for alike in grouped(rule for rule in dict.fromkeys(rules) if rule not in self._on):
            self._run(self._plan.adding(alike))
            self._on += alike

    def _remove(self, rules: Sequence[Rule] | None) -> None:
        """Those that are in force; None: all."""
        for alike in grouped(rule for rule in self._on if rules is None or rule in rules):
            self._run(self._plan.removing(alike))
            self._on = [rule for rule in self._on if rule not in alike]

    def _run(self, command: Command) -> None:
        with self._lock:
            self._check_going()
            commands.run(command)

    def _check_going(self) -> None:
        if self._ended:
            raise Unavailable("the network has been taken away")


def _all_remains() -> list[Remains]:
    return remains(commands.namespaces(), commands.links())


def _remove_all(found: Sequence[Remains]) -> None:
    """Removes it, as far as it can be; raises Unavailable, in the end, for the first thing that
    could not."""
    first: Unavailable | None = None
    for each in found:
        for namespace in each.namespaces:
            with suppress(Unavailable):
                commands.kill_all_in(namespace)
        for command in each.removing():
            try:
                commands.run(command)
            except Unavailable as problem:
                first = first or problem
    if first is not None:
        raise first
