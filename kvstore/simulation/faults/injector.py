"""Draws faults, one after another and several at a time, and ends them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvstore.simulation.client import SimulatedClient
from kvstore.simulation.cluster import Cluster
from kvstore.simulation.faults.kinds import KINDS
from kvstore.simulation.faults.profile import Profile
from kvstore.simulation.faults.scene import Scene, Undo
from kvstore.simulation.kernel import Timer
from kvstore.simulation.network import Conditions
from kvstore.simulation.node import SimulatedNode, State

_QUIET_S: Final = 1.0
"""On average, before the first."""
_BUSY: Final = 0.5
_BUSY_S: Final = 0.5
"""How long clients are busy around each."""


class Injector:
    """See the module."""

    def __init__(self, cluster: Cluster, clients: list[SimulatedClient], profile: Profile) -> None:
        random = cluster.kernel.random("faults")
        self.counts: Final[dict[str, int]] = {}
        """Faults so far, by kind."""
        self._cluster = cluster
        self._scene = Scene(cluster, clients, random)
        self._random = random
        self._names = list(profile.kinds)
        if len(self._names) > 1:
            # A seed has some kinds often rather than all of them once.
            self._names = random.sample(self._names, random.randint(1, len(self._names)))
        self._interval_s = random.choice((0.5, 1.0, 2.0, 4.0))
        self._going: dict[int, Undo] = {}
        self._number = 0
        self._has_ended = False
        self._next: Timer | None = None

    def start(self) -> None:
        """Begins to draw."""
        if self._names:
            delay_s = self._random.expovariate(1 / _QUIET_S)
            self._next = self._cluster.kernel.after(delay_s, self._draw)

    def _draw(self) -> None:
        random, kernel = self._random, self._cluster.kernel
        self._next = kernel.after(random.expovariate(1 / self._interval_s), self._draw)
        (name,) = random.choices(self._names, weights=[KINDS[each].weight for each in self._names])
        self._hurry()
        kernel.after(random.uniform(0, _BUSY_S), lambda: self._inject(name))

    def _hurry(self) -> None:
        """Faults show where something is under way: when one begins or ends, clients are busy. Not
        all: those that were not do not know yet what has changed."""
        for client in self._scene.clients:
            if self._random.random() < _BUSY:
                client.hurry(_BUSY_S)

    def _inject(self, name: str) -> None:
        random, kernel = self._random, self._cluster.kernel
        if self._has_ended:
            return
        kind = KINDS[name]
        lasts_s = random.expovariate(1 / (kind.lasts * self._cluster.shape.election_timeout_s))
        undo = kind.inject(self._scene)
        if undo is None:
            return
        self.counts[name] = self.counts.get(name, 0) + 1
        self._number += 1
        number = self._number
        self._going[number] = undo
        kernel.note("fault", name, number, round(lasts_s, 6))
        kernel.after(lasts_s, lambda: self._end(number))

    def _end(self, number: int) -> None:
        undo = self._going.pop(number, None)
        if undo is not None:
            self._cluster.kernel.note("fault over", number)
            if not self._has_ended:
                self._hurry()
            undo()

    def end(self) -> list[str]:
        """Ends all faults on a majority of the nodes, by names; the others stay without."""
        self._has_ended = True
        if self._next is not None:
            self._next.cancel()
        for number in list(self._going):
            self._end(number)
        calm, was = Conditions(), self._cluster.network.conditions
        calm.delay_s_min, calm.delay_s_mean = was.delay_s_min, was.delay_s_mean
        self._cluster.network.conditions = calm
        for node in self._cluster.machines.values():
            node.files.mend()
            self._find_rot(node)
        healthy = self._choose_healthy()
        for name in healthy:
            node = self._cluster.machines[name]
            node.resume()
            node.start()
        self._leave_out(sorted(self._cluster.machines.keys() - set(healthy)), healthy)
        self._cluster.kernel.note("healed", *healthy)
        return healthy

    def _choose_healthy(self) -> list[str]:
        machines, unsound = self._cluster.machines, self._cluster.unsound()
        sound = [name for name in machines if name not in unsound]
        majority = len(machines) // 2 + 1
        count = self._random.randint(majority, len(sound)) if self._names else len(sound)
        chosen = set(self._random.sample(sound, count))
        # Whoever can be rebuilt has to be.
        return [
            name
            for name, node in machines.items()
            if name in chosen or (name in unsound and node.state is not State.LOST)
        ]

    @staticmethod
    def _find_rot(node: SimulatedNode) -> None:
        """What is rotten in a log is found by a start; in an engine it may not be for long."""
        if node.is_rotten:
            node.engine.mend()
            node.kill()

    def _leave_out(self, names: Iterable[str], healthy: list[str]) -> None:
        """What is not healthy is down, hangs, or cannot be reached; but what is silently damaged
        takes part, to be found."""
        for name in names:
            node = self._cluster.machines[name]
            if node.damage is not None:
                node.resume()
                node.start()
                continue
            choice = self._random.random()
            if choice < 0.4:
                node.crash()
            elif choice < 0.7:
                node.pause()
            else:
                for other in healthy:
                    self._cluster.network.cut(name, other)
                    self._cluster.network.cut(other, name)
