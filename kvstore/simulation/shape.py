"""What a seed draws before anything runs: the cluster, its settings, its network and its load."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from kvstore.config import NodeSettings
from kvstore.simulation.faults.profile import Profile
from kvstore.simulation.network import Conditions

_PORT: Final = 7001
_SAFETY_S: Final = (15.0, 30.0)
_OPERATIONS_PER_S: Final = (1, 2, 4, 8)
"""Of all clients. An operation costs far more real time than the ticks while nothing is asked."""


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do; times in seconds."""

    clients: int
    workers: int
    """Of each client: operations that it may have under way at once."""
    keys: int
    think_s_mean: float
    """Between two operations of a worker."""
    timeout_s: float
    """Of each operation."""
    burst_max: int
    """Operations that a client begins at once around a fault, at most."""
    plain: float
    """Share of operations that go to any node by the plain service, which passes them on."""
    scans: float
    """Share of operations that are scans."""
    value_bytes_max: int


@dataclass(frozen=True, slots=True)
class Shape:
    """See the module."""

    nodes: int
    settings: dict[str, NodeSettings]
    """By node."""
    conditions: Conditions
    disk_latency_s_mean: float
    load: Load
    safety_s: float
    """How long the phase with faults lasts."""
    clock_rates: dict[str, float] = field(default_factory=dict)
    """By node, where it is not 1."""

    @property
    def any_settings(self) -> NodeSettings:
        """Those of one node: all but its own name are the same on all."""
        return next(iter(self.settings.values()))

    @property
    def election_timeout_s(self) -> float:
        """The longest."""
        return self.any_settings.election_timeout_ms_max / 1000

    def __str__(self) -> str:
        of_all, load = self.any_settings, self.load
        return (
            f"{self.nodes} nodes, {of_all.partitions} partitions of {of_all.replicas} replicas,"
            f" {load.clients} clients of {load.workers} workers on {load.keys} keys,"
            f" {self.safety_s:.0f} s of faults"
        )


def draw_shape(random: Random, profile: Profile) -> Shape:
    """The shape of a seed."""
    nodes = random.choice((1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7))
    shape = Shape(
        nodes=nodes,
        settings=_draw_settings(random, nodes),
        conditions=_draw_conditions(random, profile),
        disk_latency_s_mean=random.choice((0.0002, 0.001, 0.004)),
        load=_draw_load(random),
        safety_s=random.uniform(*_SAFETY_S),
        clock_rates=_draw_clock_rates(random, nodes, profile),
    )
    scrub = {
        "scrub_bytes_per_s": random.choice((0, 4096, 1 << 20)),
        "scrub_interval_s": random.choice((3, 10)),
    }
    settings = {name: each.model_copy(update=scrub) for name, each in shape.settings.items()}
    return replace(shape, settings=settings)


def node_names(nodes: int) -> list[str]:
    """n1, n2, …"""
    return [f"n{number}" for number in range(1, nodes + 1)]


def _draw_settings(random: Random, nodes: int) -> dict[str, NodeSettings]:
    names = node_names(nodes)
    tick_ms = random.choice((50, 100, 100))
    election_ms = tick_ms * random.choice((10, 12, 16))
    # Constructed without validation: segments and queues are far smaller than a user may ask for,
    # so that a short run fills them.
    fields: dict[str, object] = {
        name: entry.default for name, entry in NodeSettings.model_fields.items()
    } | {
        "initial_nodes": {name: f"{name}:{_PORT}" for name in names},
        "data_dir": Path("/data"),
        "partitions": random.choice((1, 2, 3, 4, 8, 16)),
        "replicas": random.choice((1, 2, 3, 3, 3, 5)) if nodes > 1 else 1,
        "tick_ms": tick_ms,
        "heartbeat_ms": 2 * tick_ms,
        "election_timeout_ms_min": election_ms,
        "election_timeout_ms_max": 2 * election_ms,
        "commit_log_segment_bytes": random.choice((1 << 10, 1 << 10, 1 << 11, 1 << 13, 1 << 16)),
        "pending_requests_max": random.choice((4, 64, 4096)),
        "inflight_messages_max": random.choice((1, 4, 128)),
        "commit_log_kept_segments": random.choice((0, 1, 4)),
        "commit_log_lagging_segments": random.choice((0, 1, 8)),
        "snapshot_chunk_bytes": random.choice((32, 256, 1 << 18)),
        # Disks rot far more often than they may.
        "rebuilds_max": 1000,
    }
    return {
        name: NodeSettings.model_construct(
            None,
            **fields
            | {
                "node_id": name,
                "listen": f"{name}:{_PORT}",
                # Every second node keeps nothing back: its log meets the end of the disk.
                "disk_reserve_bytes": 4096 * (place % 2),
            },
        )
        for place, name in enumerate(names)
    }


def _draw_conditions(random: Random, profile: Profile) -> Conditions:
    delay_s = random.choice((0.0001, 0.0005, 0.002, 0.01))
    conditions = Conditions(delay_s_min=delay_s / 2, delay_s_mean=delay_s)
    if profile.noisy_network:
        conditions.loss = random.choice((0.0, 0.001, 0.01, 0.05))
        conditions.repeat = random.choice((0.0, 0.01, 0.05))
        conditions.overtake = random.choice((0.0, 0.02, 0.2))
    return conditions


def _draw_load(random: Random) -> Load:
    clients, workers = random.randint(1, 4), random.randint(1, 4)
    operations_per_s = random.choice(_OPERATIONS_PER_S)
    return Load(
        clients=clients,
        workers=workers,
        keys=random.choice((1, 2, 4, 8, 16)),
        think_s_mean=clients * workers / operations_per_s,
        timeout_s=random.choice((0.5, 2.0, 5.0)),
        burst_max=random.choice((0, 2, 6, 12)) * 2 // clients,
        plain=random.choice((0.0, 0.2)),
        scans=random.choice((0.0, 0.05)),
        value_bytes_max=random.choice((16, 64, 512)),
    )


def _draw_clock_rates(random: Random, nodes: int, profile: Profile) -> dict[str, float]:
    if not profile.drifting_clocks:
        return {}
    return {name: random.uniform(0.8, 1.25) for name in node_names(nodes)}
