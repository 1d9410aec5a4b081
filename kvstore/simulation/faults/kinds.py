"""Every kind of fault: how it begins, how long it lasts, how often it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.simulation.faults import clocks, disks, network, nodes
from kvstore.simulation.faults.scene import Inject


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    inject: Inject
    lasts: float = 1.0
    """Its mean length, in longest election timeouts."""
    weight: float = 1.0


KINDS: Final[dict[str, Kind]] = {
    "isolate": Kind(network.isolate, 2.0, 2.0),
    "split": Kind(network.split, 2.0, 2.0),
    "one way": Kind(network.one_way, 2.0, 2.0),
    "slow link": Kind(network.slow_link),
    "lossy link": Kind(network.lossy_link, 2.0),
    "reset": Kind(network.reset),
    "client cut off": Kind(network.client_cut_off),
    "client vanishes": Kind(network.client_vanishes),
    "slow disk": Kind(disks.slow_disk),
    "stuck disk": Kind(disks.stuck_disk, 3.0),
    "failing disk": Kind(disks.failing_disk),
    "full disk": Kind(disks.full_disk, 6.0, 2.0),
    "bit rot": Kind(disks.bit_rot, weight=0.2),
    "silent damage": Kind(disks.silent_damage, weight=2.0),
    "crash": Kind(nodes.crash, 1.0, 2.0),
    "kill": Kind(nodes.kill, 0.3, 2.0),
    "kill leader": Kind(nodes.kill_leader, 0.3),
    "crash all": Kind(nodes.crash_all, 0.2, 0.5),
    "stop": Kind(nodes.stop),
    "wipe": Kind(nodes.wipe, weight=0.2),
    "short pause": Kind(nodes.pause, 0.2),
    "long pause": Kind(nodes.pause, 2.0),
    "pause leader": Kind(nodes.pause_leader, 1.5),
    "sleeping leader": Kind(nodes.sleeping_leader, 2.0, 2.0),
    "deposed leader": Kind(nodes.deposed_leader, weight=2.0),
    "clock jump": Kind(clocks.clock_jump),
    "wall clock jump": Kind(clocks.wall_clock_jump, weight=0.5),
}
"""By the name that profiles know."""
