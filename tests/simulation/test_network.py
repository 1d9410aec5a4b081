"""What arrives over a simulated network, and when."""

from __future__ import annotations

from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.network import DELAY_S_MAX, STREAM_PATIENCE_S, Conditions, Network
from kvstore.simulation.trace import Trace

A, B = "a", "b"
MANY = 500


class World:
    """Two machines, and what has arrived at the second."""

    def __init__(self, **conditions: float) -> None:
        self.kernel = Kernel(1, Trace())
        self.network = Network(self.kernel, Conditions(**conditions))
        self.arrived: list[int] = []
        self.given_up: list[int] = []

    def send_rounds(self, count: int = MANY) -> None:
        for number in range(count):
            self.network.send_round(A, B, lambda number=number: self.arrived.append(number))  # type: ignore[misc]
            self.run_for(0.0001)

    def send_on_stream(self, number: int) -> None:
        self.network.send_on_stream(
            A, B, lambda: self.arrived.append(number), lambda: self.given_up.append(number)
        )

    def run_for(self, seconds: float) -> None:
        self.kernel.run_until(self.kernel.now_ns + int(seconds * NS_PER_S))


def test_rounds_arrive_once_and_in_order_on_a_calm_link() -> None:
    world = World()
    world.send_rounds()
    world.run_for(1.0)
    assert world.arrived == list(range(MANY))


def test_rounds_are_lost() -> None:
    world = World(loss=0.2)
    world.send_rounds()
    world.run_for(1.0)
    assert MANY / 2 < len(world.arrived) < MANY
    assert world.arrived == sorted(world.arrived)


def test_rounds_are_repeated() -> None:
    world = World(repeat=0.2)
    world.send_rounds()
    world.run_for(DELAY_S_MAX)
    assert MANY < len(world.arrived) < 2 * MANY
    assert set(world.arrived) == set(range(MANY))


def test_rounds_are_overtaken() -> None:
    world = World(overtake=0.2)
    world.send_rounds()
    world.run_for(DELAY_S_MAX)
    assert sorted(world.arrived) == list(range(MANY))
    assert world.arrived != sorted(world.arrived)


def test_a_cut_link_carries_nothing_one_way_until_every_cut_is_healed() -> None:
    world = World()
    world.network.cut(A, B)
    world.network.cut(A, B)
    world.network.heal(A, B)
    assert world.network.send_round(A, B, lambda: None) == "cut"
    back: list[int] = []
    world.network.send_round(B, A, lambda: back.append(1))
    world.network.heal(A, B)
    world.send_rounds(1)
    world.run_for(1.0)
    assert (world.arrived, back) == ([0], [1])


def test_a_slow_link_is_slow_within_a_bound() -> None:
    world = World()
    world.network.link(A, B).slowness = 1e9
    world.send_rounds(3)
    world.run_for(0.5)
    assert world.arrived == []
    world.run_for(DELAY_S_MAX)
    assert world.arrived == [0, 1, 2]


def test_a_stream_loses_nothing() -> None:
    world = World(loss=0.3)
    for number in range(MANY):
        world.send_on_stream(number)
    world.run_for(5.0)
    assert sorted(world.arrived) == list(range(MANY))


def test_a_stream_delivers_after_a_short_cut() -> None:
    world = World()
    world.network.cut(A, B)
    world.send_on_stream(1)
    world.run_for(2.0)
    assert world.arrived == []
    world.network.heal(A, B)
    world.run_for(2.0)
    assert (world.arrived, world.given_up) == ([1], [])


def test_a_stream_breaks_when_a_cut_lasts() -> None:
    world = World()
    world.network.cut(A, B)
    world.send_on_stream(1)
    world.run_for(STREAM_PATIENCE_S + 0.1)
    world.network.heal(A, B)
    world.run_for(5.0)
    assert (world.arrived, world.given_up) == ([], [1])
