"""Faults of the network, and of clients."""

from __future__ import annotations

from kvstore.simulation.faults.scene import Scene, Undo, both_ways, cut, no_end


def isolate(scene: Scene) -> Undo | None:
    """A node is cut off from all others, with its clients or without them."""
    node = scene.a_target()
    others = [name for name in scene.machine_names() if name != node]
    if scene.random.random() < 0.5:
        # Its clients still reach it: an old leader must not answer them from what it remembers.
        others = [name for name in scene.cluster.machines if name != node]
    return cut(scene, both_ways([node], others))


def split(scene: Scene) -> Undo | None:
    """All machines, clients too, fall into two sides."""
    names = scene.machine_names()
    scene.random.shuffle(names)
    middle = scene.random.randint(1, max(1, len(names) - 1))
    return cut(scene, both_ways(names[:middle], names[middle:]))


def one_way(scene: Scene) -> Undo | None:
    """A node hears others and is not heard by them, or the other way round."""
    node = scene.a_target()
    others = [name for name in scene.cluster.machines if name != node]
    chosen = scene.random.sample(others, scene.random.randint(1, len(others))) if others else []
    outgoing = scene.random.random() < 0.5
    return cut(scene, [(node, each) if outgoing else (each, node) for each in chosen])


def slow_link(scene: Scene) -> Undo | None:
    """Some links of a node are slow."""
    return _worsen(scene, slowness=scene.random.choice((10.0, 100.0, 1000.0)), loss=0.0)


def lossy_link(scene: Scene) -> Undo | None:
    """Some links of a node lose much."""
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


def reset(scene: Scene) -> Undo | None:
    """A connection breaks."""
    machines = [*scene.clients, *scene.cluster.machines.values()]
    channels = [channel for machine in machines for channel in machine.channels]
    if not channels:
        return None
    scene.random.choice(channels).reset("connection reset by a fault")
    return no_end


def client_cut_off(scene: Scene) -> Undo | None:
    """A client cannot reach some nodes."""
    client = scene.random.choice(scene.clients).name
    nodes = list(scene.cluster.machines)
    chosen = scene.random.sample(nodes, scene.random.randint(1, len(nodes)))
    return cut(scene, both_ways([client], chosen))


def client_vanishes(scene: Scene) -> Undo | None:
    """A client's process ends in the middle of what it does."""
    client = scene.random.choice(scene.clients)
    if client.loop is None:
        return None
    client.vanish()

    def come_back() -> None:
        if not client.is_stopping:
            client.start()

    return come_back
