"""Every kind of fault: how it begins, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from kvstore.simulation.client import SimulatedClient
from kvstore.simulation.cluster import Cluster
from kvstore.simulation.network import Link
from kvstore.simulation.node import SimulatedNode, State

_DISK_OPERATIONS: Final = ("write", "sync", "sync", "read", "create", "allocate", "sync_folder")
_AT_LEADERS: Final = 0.5
_ROOM_BYTES_MAX: Final = 4096
_CLOCK_JUMP_S_MAX: Final = 30.0
_WALL_JUMP_MS_MAX: Final = 86_400_000

Undo = Callable[[], None]
Inject = Callable[["Scene"], Undo | None]
"""Begins a fault and gives what ends it; None where there is nothing to do it to."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where faults happen."""

    cluster: Cluster
    clients: list[SimulatedClient]
    random: Random

    def nodes(self, *states: State) -> list[SimulatedNode]:
        """The nodes in one of `states`."""
        return [node for node in self.cluster.machines.values() if node.state in states]

    def a_node(self, *states: State) -> SimulatedNode | None:
        """One of them."""
        found = self.nodes(*states)
        return self.random.choice(found) if found else None

    def a_leader(self) -> SimulatedNode | None:
        """A running node that leads something."""
        leaders = [self.cluster.machines[name] for name in self.cluster.leader_names()]
        found = [node for node in leaders if node.state is State.RUNNING]
        return self.random.choice(found) if found else None

    def a_target(self) -> str:
        """Any node, but more often than not one that leads: there faults have consequences."""
        leader = self.a_leader()
        if leader is not None and self.random.random() < _AT_LEADERS:
            return leader.name
        return self.random.choice(list(self.cluster.machines))

    def machine_names(self) -> list[str]:
        """Of all nodes and clients."""
        return [*self.cluster.machines, *(client.name for client in self.clients)]


def _nothing() -> None:
    """Some faults have no end."""


# The network


def _cut(scene: Scene, links: list[Link]) -> Undo:
    network = scene.cluster.network
    for source, target in links:
        network.cut(source, target)

    def heal() -> None:
        for source, target in links:
            network.heal(source, target)

    return heal


def _both_ways(some: list[str], others: list[str]) -> list[Link]:
    return [link for a in some for b in others for link in ((a, b), (b, a))]


def _isolate(scene: Scene) -> Undo | None:
    node = scene.a_target()
    others = [name for name in scene.machine_names() if name != node]
    if scene.random.random() < 0.5:
        # Its clients still reach it: an old leader must not answer them from what it remembers.
        others = [name for name in scene.cluster.machines if name != node]
    return _cut(scene, _both_ways([node], others))


def _split(scene: Scene) -> Undo | None:
    names = scene.machine_names()
    scene.random.shuffle(names)
    middle = scene.random.randint(1, max(1, len(names) - 1))
    return _cut(scene, _both_ways(names[:middle], names[middle:]))


def _one_way(scene: Scene) -> Undo | None:
    node = scene.a_target()
    others = [name for name in scene.cluster.machines if name != node]
    chosen = scene.random.sample(others, scene.random.randint(1, len(others))) if others else []
    outgoing = scene.random.random() < 0.5
    return _cut(scene, [(node, each) if outgoing else (each, node) for each in chosen])


def _slow_link(scene: Scene) -> Undo | None:
    return _worsen(scene, slowness=scene.random.choice((10.0, 100.0, 1000.0)), loss=0.0)


def _lossy_link(scene: Scene) -> Undo | None:
    return _worsen(scene, slowness=1.0, loss=scene.random.choice((0.2, 0.5, 0.9)))


def _worsen(scene: Scene, *, slowness: float, loss: float) -> Undo | None:
    names = scene.machine_names()
    node = scene.random.choice(list(scene.cluster.machines))
    chosen = scene.random.sample(names, scene.random.randint(1, len(names)))
    links = [
        scene.cluster.network.link(*link)
        for other in chosen
        if other != node
        for link in ((node, other), (other, node))
    ]
    for link in links:
        link.slowness *= slowness
        link.loss += loss

    def mend() -> None:
        for link in links:
            link.slowness /= slowness
            link.loss -= loss
            link.last_arrival_s = 0.0

    return mend


def _reset(scene: Scene) -> Undo | None:
    machines = [*scene.clients, *scene.cluster.machines.values()]
    channels = [channel for machine in machines for channel in machine.channels]
    if not channels:
        return None
    scene.random.choice(channels).reset("connection reset by a fault")
    return _nothing


def _client_cut_off(scene: Scene) -> Undo | None:
    client = scene.random.choice(scene.clients).name
    nodes = list(scene.cluster.machines)
    chosen = scene.random.sample(nodes, scene.random.randint(1, len(nodes)))
    return _cut(scene, _both_ways([client], chosen))


def _client_vanishes(scene: Scene) -> Undo | None:
    client = scene.random.choice(scene.clients)
    if client.loop is None:
        return None
    client.vanish()

    def come_back() -> None:
        if not client.is_stopping:
            client.start()

    return come_back


# Disks


def _slow_disk(scene: Scene) -> Undo | None:
    return _slow_down(scene, scene.random.choice((10.0, 50.0)))


def _stuck_disk(scene: Scene) -> Undo | None:
    return _slow_down(scene, 1000.0)


def _slow_down(scene: Scene, slowness: float) -> Undo | None:
    node = scene.random.choice(list(scene.cluster.machines.values()))
    node.speed.slowness *= slowness

    def mend() -> None:
        node.speed.slowness /= slowness

    return mend


def _failing_disk(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.may_fail = True
    operation = scene.random.choice(_DISK_OPERATIONS)
    node.files.fail(operation, after=scene.random.randrange(10))
    return _nothing


def _full_disk(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.may_fail = True
    files = node.files
    files.capacity_bytes = files.used_bytes + scene.random.randrange(_ROOM_BYTES_MAX)

    def make_room() -> None:
        files.capacity_bytes = None

    return make_room


def _bit_rot(scene: Scene) -> Undo | None:
    """Only where it can be told from a torn write: in segments that others follow."""
    node = scene.a_node(State.RUNNING, State.PAUSED, State.DOWN)
    if node is None or node.is_rotten or not scene.cluster.may_lose_another():
        return None
    folder = f"{node.settings.data_dir}/log"
    if not node.files.exists(folder):
        return None
    segments = [name for name in node.files.list(folder) if name.endswith(".segment")]
    if len(segments) < 2:
        return None
    path = f"{folder}/{scene.random.choice(segments[:-1])}"
    content = bytearray(node.files.contents(path))
    content[scene.random.randrange(len(content))] ^= 1 << scene.random.randrange(8)
    node.files.replace(path, bytes(content))
    node.is_rotten = True
    return _nothing


# Nodes


def _crash(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None:
        return None
    node.crash()
    return node.start


def _kill(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None:
        return None
    node.kill()
    return node.start


def _kill_leader(scene: Scene) -> Undo | None:
    node = scene.a_leader()
    if node is None:
        return None
    node.kill()
    return node.start


def _crash_all(scene: Scene) -> Undo | None:
    nodes = scene.nodes(State.RUNNING, State.PAUSED)
    for node in nodes:
        node.crash()

    def start() -> None:
        for node in nodes:
            node.start()

    return start


def _stop(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.stop()
    return _nothing


def _wipe(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING, State.PAUSED, State.DOWN)
    if node is None or node.is_rotten or not scene.cluster.may_lose_another():
        return None
    node.lose("wiped")
    return _nothing


def _pause(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING)
    if node is None:
        return None
    node.pause()
    return node.resume


def _pause_leader(scene: Scene) -> Undo | None:
    node = scene.a_leader()
    if node is None:
        return None
    node.pause()
    return node.resume


def _sleeping_leader(scene: Scene) -> Undo | None:
    """A leader sleeps and, when it wakes, hears nothing of its peers for a moment: it does not know
    yet that others have gone on without it, and its clients still reach it."""
    node = scene.a_leader()
    if node is None:
        return None
    others = [name for name in scene.cluster.machines if name != node.name]
    heal = _cut(scene, _both_ways([node.name], others))
    node.pause()

    def wake() -> None:
        node.resume()
        delay_s = node.settings.election_timeout_ms_min / 1000
        scene.cluster.kernel.after(delay_s * scene.random.uniform(0.2, 1.5), heal)

    return wake


# Clocks


def _clock_jump(scene: Scene) -> Undo | None:
    node = scene.a_node(State.RUNNING, State.PAUSED)
    if node is None or node.loop is None:
        return None
    node.loop.jump(scene.random.uniform(0.0, _CLOCK_JUMP_S_MAX))
    return _nothing


def _wall_clock_jump(scene: Scene) -> Undo | None:
    node = scene.random.choice(list(scene.cluster.machines.values()))
    node.wall_offset_ms += scene.random.randint(-_WALL_JUMP_MS_MAX, _WALL_JUMP_MS_MAX)
    return _nothing


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    inject: Inject
    lasts: float = 1.0
    """Its mean length, in longest election timeouts."""
    weight: float = 1.0


KINDS: Final[dict[str, Kind]] = {
    "isolate": Kind(_isolate, 2.0, 2.0),
    "split": Kind(_split, 2.0, 2.0),
    "one way": Kind(_one_way, 2.0, 2.0),
    "slow link": Kind(_slow_link),
    "lossy link": Kind(_lossy_link, 2.0),
    "reset": Kind(_reset),
    "client cut off": Kind(_client_cut_off),
    "client vanishes": Kind(_client_vanishes),
    "slow disk": Kind(_slow_disk),
    "stuck disk": Kind(_stuck_disk),
    "failing disk": Kind(_failing_disk),
    "full disk": Kind(_full_disk),
    "bit rot": Kind(_bit_rot, weight=0.2),
    "crash": Kind(_crash, 1.0, 2.0),
    "kill": Kind(_kill, 0.3, 2.0),
    "kill leader": Kind(_kill_leader, 0.3),
    "crash all": Kind(_crash_all, 0.2, 0.5),
    "stop": Kind(_stop),
    "wipe": Kind(_wipe, weight=0.2),
    "short pause": Kind(_pause, 0.2),
    "long pause": Kind(_pause, 2.0),
    "pause leader": Kind(_pause_leader, 1.5),
    "sleeping leader": Kind(_sleeping_leader, 2.0, 2.0),
    "clock jump": Kind(_clock_jump),
    "wall clock jump": Kind(_wall_clock_jump, weight=0.5),
}
"""By the name that profiles know."""
