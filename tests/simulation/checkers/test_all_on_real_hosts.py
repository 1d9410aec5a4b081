"""All checkers on real hosts: what they pass over under faults, and what they find if planted.

That they pass over what is right is tested for many seeds in `tests/replica`.
"""

from __future__ import annotations

from random import Random

import pytest

from cluster.ids import ReplicaId, group_of
from cluster.raft.log import RaftLog
from cluster.raft.messages import Message
from cluster.raft.progress import Progress
from cluster.raft.state import ReplicaState
from kvstore.simulation.checkers import Violation, all_checkers
from kvstore.storage.memory_engine import MemoryEngine
from tests.replica.world import Member, World

KEYS = [b"%d" % number for number in range(100)]


class Life:
    """Leaders change, nodes lose power and disks stall, while clients write; then all rests."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(3, partitions=2, seed=seed, checkers=all_checkers())
        self.down: dict[ReplicaId, Member] = {}

    def run(self) -> None:
        world, random = self.world, self.random
        for step in range(200):
            self.write(step)
            for _ in range(random.randrange(40)):
                if world.soon:
                    world.soon.popleft()()
            world.tick()
            for problem in world.problems():  # what a checker raised inside a host
                raise problem
            self.strike()
        self.heal()
        world.tick(100)
        for checker in world.checkers:
            checker.at_end(world)

    def write(self, step: int) -> None:
        for key in KEYS[:5]:
            group = group_of(self.world.partition_of(key))
            for me, member in self.world.members.items():
                replica = member.host.replicas.get(group)
                if replica is not None and replica.is_leader and self.random.random() < 0.3:
                    self.world.put(key, b"%d" % step, at=me)

    def strike(self) -> None:
        world, choice = self.world, self.random.random()
        if choice < 0.05 and not self.down:
            me = self.random.choice(world.members_ids)
            self.down[me] = world.crash(me)
        elif choice < 0.10:
            self.start()
        elif choice < 0.15:
            world.isolate(self.random.choice(world.members_ids))
        elif choice < 0.25:
            world.heal()
        elif choice < 0.35:
            worker = self.random.choice(list(world.members.values())).worker
            worker.is_holding = not worker.is_holding
            worker.release()

    def start(self) -> None:
        for me, member in self.down.items():
            self.world.start(me, member.files, MemoryEngine())
        self.down.clear()

    def heal(self) -> None:
        self.start()
        self.world.heal()
        for member in self.world.members.values():
            member.worker.is_holding = False
            member.worker.release()


def test_nothing_is_found_where_nothing_is_planted() -> None:
    for seed in range(5):
        Life(seed).run()


def found(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, mistake: object) -> str:
    """The first invariant that is seen broken with `mistake` in place of the real thing."""
    monkeypatch.setattr(owner, name, mistake)
    for seed in range(40):
        try:
            Life(seed).run()
        except Violation as violation:
            return violation.invariant
    return "nothing"


def test_messages_that_do_not_wait_for_the_disk_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(state: ReplicaState, message: Message) -> None:
        state.messages.append(message)

    assert found(monkeypatch, ReplicaState, "send", send) == "persisted before sent"


def test_entries_that_count_when_they_are_sent_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Progress.sent

    def sent(progress: Progress, count: int, size: int, now: int) -> None:
        real(progress, count, size, now)
        progress.match = max(progress.match, progress.next - 1)

    assert found(monkeypatch, Progress, "sent", sent) in ("committed on disks", "bounded replicas")


def test_votes_for_whoever_asks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def up_to_date(log: RaftLog, last_index: int, last_term: int) -> bool:
        return True

    assert found(monkeypatch, RaftLog, "is_up_to_date", up_to_date) in (
        "leader completeness",
        "state machine safety",
    )
