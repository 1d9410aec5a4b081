"""Faults of clocks. That they run at different rates is part of a run's shape."""

from __future__ import annotations

from typing import Final

from kvstore.simulation.faults.scene import Scene, Undo, no_end
from kvstore.simulation.node import State

_CLOCK_JUMP_S_MAX: Final = 30.0
_WALL_JUMP_MS_MAX: Final = 86_400_000


def clock_jump(scene: Scene) -> Undo | None:
    """The clock of a node goes ahead at once."""
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None or node.loop is None:
        return None
    ahead_s = scene.random.uniform(0.0, _CLOCK_JUMP_S_MAX)
    node.loop.jump(ahead_s)
    scene.cluster.jumps.append((scene.cluster.kernel.now_ns, ahead_s))
    return no_end


def wall_clock_jump(scene: Scene) -> Undo | None:
    """The wall clock of a node is set."""
    node = scene.random.choice(list(scene.cluster.machines.values()))
    node.wall_offset_ms += scene.random.randint(-_WALL_JUMP_MS_MAX, _WALL_JUMP_MS_MAX)
    return no_end
