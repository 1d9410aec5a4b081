"""The faults, a small class each: how it is begun, and how it is healed."""

from __future__ import annotations

from typing import Final

from kvstore.chaos.faults.base import Begun, Fault, Scene
from kvstore.chaos.faults.clocks import MovedClocks
from kvstore.chaos.faults.disks import DiskFull
from kvstore.chaos.faults.network import Bridge, Drop, Isolate, OneWay, Partition, Slow
from kvstore.chaos.faults.processes import (
    Kill,
    LeaderKill,
    LeaderPause,
    Pause,
    RestartAll,
    RollingRestart,
    Wipe,
)
from kvstore.chaos.schedule import FaultKind

__all__ = ["Begun", "Fault", "Scene", "make_fault"]

_CLASSES: Final[dict[FaultKind, type[Fault]]] = {
    FaultKind.KILL: Kill,
    FaultKind.PAUSE: Pause,
    FaultKind.LEADER_KILL: LeaderKill,
    FaultKind.LEADER_PAUSE: LeaderPause,
    FaultKind.PARTITION: Partition,
    FaultKind.ONE_WAY: OneWay,
    FaultKind.ISOLATE: Isolate,
    FaultKind.BRIDGE: Bridge,
    FaultKind.SLOW: Slow,
    FaultKind.DROP: Drop,
    FaultKind.DISK_FULL: DiskFull,
    FaultKind.RESTART_ALL: RestartAll,
    FaultKind.ROLLING_RESTART: RollingRestart,
    FaultKind.WIPE: Wipe,
    FaultKind.CLOCK: MovedClocks,
}


def make_fault(kind: FaultKind, scene: Scene) -> Fault:
    """A fault of this kind, not yet begun."""
    return _CLASSES[kind](scene)
