"""Clocks that jump, or run at another rate, on one node or differently on each."""

from __future__ import annotations

from math import log10
from random import Random
from typing import Final

from kvstore.chaos.faults.base import Begun, Fault
from kvstore.chaos.target import ClockMove

_OF_ALL: Final = 0.3
"""How often it meets all nodes."""
_JUMPS: Final = 0.5
"""How often the monotonic clock jumps; else it runs at another rate."""
_AHEAD_TIMEOUTS_MIN: Final = 2.0
"""In longest election timeouts."""
_AHEAD_S_MAX: Final = 300.0
_RATE_LOG2_MAX: Final = 1.0
"""Half as fast to twice as fast. Nothing that a node promises rests on the rates of two clocks:
leases for reads, which would, are off (cluster/raft/lease.py)."""
_WALL_S: Final = (1.0, 100_000.0)


class MovedClocks(Fault):
    """See FaultKind.CLOCK. When it is healed clocks run at their rate again, and the wall clock is
    right; the monotonic one stays as far ahead as it came."""

    _victims: tuple[str, ...] = ()

    async def begin(self) -> Begun:
        """See Fault."""
        random = Random(self.round.strength)
        nodes = self.round.nodes
        self._victims = victims = nodes if random.random() < _OF_ALL else nodes[:1]
        told = []
        for node in victims:
            move = draw_move(random, self.target.election_timeout_ms / 1000)
            await self.target.move_clocks(node, move)
            told.append(move.text() if len(victims) == 1 else f"{node} {move.text()}")
        return Begun(victims, "; ".join(told))

    async def heal(self) -> None:
        """See Fault."""
        for node in self._victims:
            await self.target.move_clocks(node, ClockMove())


def draw_move(random: Random, election_timeout_s: float) -> ClockMove:
    """A jump of the monotonic clock or another rate; with it, half of the time, a jump of the wall
    clock in either direction."""
    ahead_s, rate, wall_s = 0.0, 1.0, 0.0
    if random.random() < _JUMPS:
        ahead_s = _log_uniform(random, _AHEAD_TIMEOUTS_MIN * election_timeout_s, _AHEAD_S_MAX)
    else:
        rate = 2.0 ** random.uniform(-_RATE_LOG2_MAX, _RATE_LOG2_MAX)
    if random.random() < 0.5:
        wall_s = random.choice((-1, 1)) * _log_uniform(random, *_WALL_S)
    return ClockMove(ahead_s, rate, wall_s)


def _log_uniform(random: Random, least: float, most: float) -> float:
    return float(10 ** random.uniform(log10(least), log10(max(least, most))))
