"""Faults of disks."""

from __future__ import annotations

from typing import Final

from kvstore.simulation.faults.scene import Scene, Undo, no_end
from kvstore.simulation.node import State
from kvstore.simulation.silent_damage import SilentDamage

_DISK_OPERATIONS: Final = ("write", "sync", "sync", "read", "create", "allocate", "sync_folder")
_IN_ENGINE: Final = 0.5
_ROOM_BYTES_MAX: Final = (512, 4096, 16_384)
_VOTERS_MIN: Final = 3
"""Of two that differ nobody can be named."""


def slow_disk(scene: Scene) -> Undo | None:
    """Writes of a node take long."""
    slowness = scene.random.choice((10.0, 50.0, 1000.0))
    node = scene.random.choice(list(scene.cluster.machines.values()))
    node.speed.slowness *= slowness

    def mend() -> None:
        node.speed.slowness /= slowness

    return mend


def stuck_disk(scene: Scene) -> Undo | None:
    """Writes of a node do not return for now."""
    node = scene.cluster.machines[scene.a_target()]
    node.speed.hangs += 1

    def mend() -> None:
        node.speed.hangs -= 1

    return mend


def failing_disk(scene: Scene) -> Undo | None:
    """One of the next operations on a disk fails."""
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.may_fail = True
    operation = scene.random.choice(_DISK_OPERATIONS)
    node.files.fail(operation, after=scene.random.randrange(10))
    return no_end


def full_disk(scene: Scene) -> Undo | None:
    """A disk has room for little more, or for nothing: its node goes on without. Only one that is
    no member yet needs room, to write down whose member it is."""
    members = [
        node for node in scene.nodes(State.RUNNING) if node.is_up and node.host.meta.map is not None
    ]
    if not members:
        return None
    files = scene.random.choice(members).files
    files.capacity_bytes = files.used_bytes + scene.random.randrange(
        scene.random.choice(_ROOM_BYTES_MAX)
    )

    def make_room() -> None:
        files.capacity_bytes = None

    return make_room


def bit_rot(scene: Scene) -> Undo | None:
    """In the engine, or in the log where it can be told from a torn write: in segments that others
    follow."""
    node = scene.a_node(State.RUNNING, State.PAUSED, State.DOWN)
    if node is None or not scene.cluster.may_lose_another(node.name):
        return None
    if scene.random.random() < _IN_ENGINE:
        if not node.engine.rot(scene.random.randrange(1 << 16)):
            return None
        scene.cluster.expect_rebuilding(node.name)
        node.is_rotten = True
        return no_end
    folder = f"{node.settings.data_dir}/log"
    if not node.files.exists(folder):
        return None
    segments = [name for name in node.files.list(folder) if name.endswith(".segment")]
    if len(segments) < 2:
        return None
    path = f"{folder}/{scene.random.choice(segments[:-1])}"
    offset = scene.random.randrange(len(node.files.contents(path)))
    scene.cluster.expect_rebuilding(node.name)
    node.files.rot(path, offset, 1 << scene.random.randrange(8))
    node.is_rotten = True
    return no_end


def silent_damage(scene: Scene) -> Undo | None:
    """A value of a follower changes in its engine, where scrubs look for it."""
    node = scene.a_node(State.RUNNING)
    if (
        node is None
        or not node.is_up
        or not node.settings.scrub_bytes_per_s
        or not scene.cluster.may_lose_another(node.name)
    ):
        return None
    groups = [
        group
        for group, replica in node.host.replicas.items()
        if replica.state is not None
        and not replica.is_leader
        and len(replica.voters) >= _VOTERS_MIN
    ]
    if not groups or node.host.is_stopped:
        return None
    node.damage = SilentDamage.inflict(node.engine, scene.random.choice(groups), scene.random)
    if node.damage is None:
        return None
    scene.cluster.expect_rebuilding(node.name)
    return no_end
