"""Faults of nodes: they end, hang, and are lost."""

from __future__ import annotations

from typing import Final

from kvstore.simulation.faults.scene import Scene, Undo, both_ways, cut, no_end
from kvstore.simulation.node import State

_GONE_FOR_GOOD: Final = 0.2
_PLAIN: Final = 0.5


def crash(scene: Scene) -> Undo | None:
    """The power of a node goes."""
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None:
        return None
    node.crash()
    return node.start


def kill(scene: Scene) -> Undo | None:
    """A node's process is killed."""
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None:
        return None
    node.kill()
    return node.start


def kill_leader(scene: Scene) -> Undo | None:
    """The process of a leader is killed."""
    node = scene.a_leader()
    if node is None:
        return None
    node.kill()
    return node.start


def crash_all(scene: Scene) -> Undo | None:
    """The power of all nodes goes at once."""
    nodes = scene.nodes(State.RUNNING, State.PAUSED)
    for node in nodes:
        node.crash()

    def start() -> None:
        for node in nodes:
            node.start()

    return start


def stop(scene: Scene) -> Undo | None:
    """A node is asked to stop, as for an upgrade."""
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.stop()
    return no_end


def wipe(scene: Scene) -> Undo | None:
    """A node loses its data, and comes back: as if it were new, and has to be refused, or to be
    given a new place. Some do not come back."""
    node = scene.a_node(State.RUNNING, State.PAUSED, State.DOWN)
    cluster = scene.cluster
    if node is None or not cluster.may_lose_another(node.name):
        return None
    all_know = cluster.do_all_know(node.name)
    cluster.expect_rebuilding(node.name)
    if scene.random.random() < _GONE_FOR_GOOD:
        node.lose("wiped")
        return no_end
    node.wipe("wiped")
    node.is_stranger = all_know and scene.random.random() < _PLAIN
    node.rejoins = not node.is_stranger
    return node.start


def pause(scene: Scene) -> Undo | None:
    """A node hangs."""
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.pause()
    return node.resume


def pause_leader(scene: Scene) -> Undo | None:
    """A leader hangs."""
    node = scene.a_leader()
    if node is None:
        return None
    node.pause()
    return node.resume


def sleeping_leader(scene: Scene) -> Undo | None:
    """A leader sleeps and, when it wakes, hears nothing of its peers for a moment: it does not know
    yet that others have gone on without it, and its clients still reach it."""
    node = scene.a_leader()
    if node is None:
        return None
    others = [name for name in scene.cluster.machines if name != node.name]
    heal = cut(scene, both_ways([node.name], others))
    node.pause()

    def wake() -> None:
        node.resume()
        delay_s = node.settings.election_timeout_ms_min / 1000
        scene.cluster.kernel.after(delay_s * scene.random.uniform(0.2, 1.5), heal)

    return wake


def deposed_leader(scene: Scene) -> Undo | None:
    """A leader is cut off from its peers while its clients write to it, and comes back as soon as
    others lead and have written: their entries take the place of its own, and whoever still waits
    there must not be told that his was done."""
    node = scene.a_leader()
    if node is None:
        return None
    kernel, random = scene.cluster.kernel, scene.random
    timeout_s = node.settings.election_timeout_ms_min / 1000
    heal = cut(scene, both_ways([node.name], [n for n in scene.cluster.machines if n != node.name]))

    def write() -> None:
        for client in scene.clients:
            client.hurry(timeout_s / 4)

    write()
    kernel.after(timeout_s * random.uniform(1.0, 2.0), write)
    kernel.after(timeout_s * random.uniform(1.5, 2.5), heal)
    return no_end
