"""Hosts that crash, lose power and are cut off while clients write and read and logs are compacted,
from one seed each."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from cluster.ids import GroupId, ReplicaId, group_of
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.requests import Status
from kvstore.simulation.checkers import all_checkers
from tests.replica.world import Answers, Member, World, value_of

STEPS = 400
KEYS = [b"a", b"b", b"c", b"d", b"e"]


@dataclass
class Register:
    """What is known of one key, which one client writes: rising numbers, one write at a time."""

    key: bytes
    next: int = 1
    acknowledged: int = 0
    highest_sent: int = 0
    write: tuple[int, Answers] | None = None
    reads: list[tuple[int, Answers]] = field(default_factory=list)
    """With the number acknowledged when each began."""

    def settle(self) -> None:
        if self.write is not None and self.write[1].answer is not None:
            number, answers = self.write
            if answers.status is Status.OK:
                self.acknowledged = number
            self.write = None
        for floor, answers in self.reads:
            if answers.status is Status.OK:
                found = int(value_of(answers) or b"0")
                assert floor <= found <= self.highest_sent, f"read {found} after {floor}"
        self.reads = [(floor, answers) for floor, answers in self.reads if answers.answer is None]


class Faults:
    """Draws what happens next; never takes a majority's disks, for what is synced stays."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self.down: dict[ReplicaId, Member] = {}
        self.losing_power: set[ReplicaId] = set()

    def step(self) -> None:
        world, random = self.world, self.random
        for me in sorted(self.losing_power):
            if world.members[me].problem is not None or random.random() < 0.2:
                self.crash(me)
        choice = random.random()
        if choice < 0.02 and world.members:
            self.crash(random.choice(list(world.members)))
        elif choice < 0.06 and self.down:
            self.start(random.choice(list(self.down)))
        elif choice < 0.08:
            world.isolate(random.choice(world.members_ids))
        elif choice < 0.10:
            world.cut.add((random.choice(world.members_ids), random.choice(world.members_ids)))
        elif choice < 0.15:
            world.heal()
        elif choice < 0.18 and world.members:
            worker = random.choice(list(world.members.values())).worker
            worker.is_holding = not worker.is_holding
            if not worker.is_holding:
                worker.release()
        elif choice < 0.19 and world.members:
            me = random.choice(list(world.members))
            world.members[me].files.fail_all_after(random.randrange(16))
            self.losing_power.add(me)

    def crash(self, me: ReplicaId) -> None:
        self.losing_power.discard(me)
        self.down[me] = self.world.crash(me, self.random if self.random.random() < 0.5 else None)

    def problems(self) -> list[BaseException]:
        """Those of nodes that have no reason to have any."""
        members = self.world.members.items()
        found = [member.problem for me, member in members if me not in self.losing_power]
        return [problem for problem in found if problem is not None]

    def start(self, me: ReplicaId) -> None:
        member = self.down.pop(me)
        self.world.start(me, member.files, member.engine)

    def end(self) -> None:
        for me in sorted(self.losing_power):
            self.crash(me)
        for me in list(self.down):
            self.start(me)
        self.world.heal()
        for member in self.world.members.values():
            member.worker.is_holding = False
            member.worker.release()


def operate(world: World, register: Register, random: Random) -> None:
    """The key's client goes to a node that takes itself for the leader; two may."""
    group = group_of(world.partition_of(register.key))
    leaders = [
        me
        for me, member in world.members.items()
        if group in member.host.replicas and member.host.replicas[group].is_leader
    ]
    if not leaders:
        return
    me = random.choice(leaders)
    if register.write is None and random.random() < 0.5:
        number = register.next
        register.next += 1
        register.highest_sent = number
        register.write = (number, world.put(register.key, b"%d" % number, at=me))
    else:
        register.reads.append((register.acknowledged, world.get(register.key, at=me)))


@pytest.mark.parametrize("seed", range(40))
def test_acknowledged_writes_stay_and_reads_are_linearizable(seed: int) -> None:
    random = Random(seed)
    checkers = all_checkers()
    world = World(
        random.choice([1, 3, 3, 3, 5]),
        partitions=3,
        seed=seed,
        checkers=checkers,
        segment_bytes=random.choice([1 << 10, 1 << 11, 1 << 12, 1 << 16]),
        compaction=CompactionPolicy(
            random.choice([0, 1, 2]), random.choice([1, 2, 8]), random.choice([5, 100])
        ),
        snapshot_chunk_bytes=random.choice([20, 100, 256 << 10]),
    )
    registers = [Register(key) for key in KEYS]
    faults = Faults(world, random)
    world.until(world.serves)
    for _ in range(STEPS):
        faults.step()
        for register in registers:
            if random.random() < 0.4:
                operate(world, register, random)
        # Not always to rest: faults strike while messages and writes are under way.
        for _ in range(random.randrange(30)):
            if world.soon:
                world.soon.popleft()()
        if random.random() < 0.5:
            world.tick()
        for register in registers:
            register.settle()
        # A crashed node's clients never learn what became of their requests.
        abandon_lost(world, registers)
        assert faults.problems() == []
    faults.end()
    world.until(lambda: all_have_leaders(world), ticks=2000)
    for register in registers:
        read_back(world, register)
    world.until(lambda: all_are_level(world), ticks=2000)
    world.tick(30)
    assert world.problems() == []
    for checker in checkers:
        checker.at_end(world)


def read_back(world: World, register: Register) -> None:
    """Reads until that succeeds: leaders may yet move to where they are preferred."""
    for _ in range(20):
        if try_to_read(world, register):
            return
    raise AssertionError(f"{register.key!r} cannot be read")


def try_to_read(world: World, register: Register) -> bool:
    group = group_of(world.partition_of(register.key))
    world.until(lambda: world.leader_of(group) is not None)
    read = world.get(register.key)
    world.until(lambda: read.answer is not None)
    register.reads.append((register.acknowledged, read))
    register.settle()
    return read.status is Status.OK


def abandon_lost(world: World, registers: list[Register]) -> None:
    """Lets a client go on when the node that had its write is gone, or may never answer."""
    for register in registers:
        if register.write is not None and len(world.members) < world.size:
            register.write = None


def all_have_leaders(world: World) -> bool:
    return world.serves() and all(
        world.leader_of(GroupId(group)) is not None for group in range(world.partitions + 1)
    )


def all_are_level(world: World) -> bool:
    """Whether every replica has applied what its group has, from the log or from a snapshot."""
    applied: dict[GroupId, set[int]] = {}
    for member in world.nodes:
        for group, replica in member.host.replicas.items():
            applied.setdefault(group, set()).add(replica.core.applied)
    return all(len(indexes) == 1 for indexes in applied.values())
