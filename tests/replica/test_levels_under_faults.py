"""Session and stale reads of hosts that crash and are cut off: by true time, no promise is broken.

Each key has one client, which writes rising numbers and reads from any replica. What a session has
written or read it never loses sight of. What a stale read finds was the newest acknowledged number
at some moment within the age that it states.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from cluster.ids import group_of
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.requests import Status
from kvstore.simulation.checkers import all_checkers
from tests.replica.test_host_under_faults import Faults
from tests.replica.world import Answers, World, stale_value_of, value_of

STEPS = 400
KEYS = [b"a", b"b", b"c", b"d"]
BOUNDS_S = (0.0, 0.05, 0.3, 1.0, 5.0)


@dataclass
class Session:
    """What one client knows of its key."""

    key: bytes
    tally: Counter[str]
    next: int = 1
    index: int = 0
    """The greatest that an answer named: the session's token."""
    seen: int = 0
    """The greatest number that it wrote or read."""
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    """(when, number), in order."""
    write: tuple[int, Answers] | None = None
    reads: list[tuple[int, Answers]] = field(default_factory=list)
    """With what had been seen when each began."""
    stale_reads: list[tuple[float, float, Answers]] = field(default_factory=list)
    """With the true time when each began, and its bound."""

    def operate(self, world: World, random: Random) -> None:
        at = random.choice(sorted(world.members))
        if group_of(world.partition_of(self.key)) not in world.members[at].host.replicas:
            return
        choice = random.random()
        if choice < 0.3:
            leader = world.leader_of(group_of(world.partition_of(self.key)))
            if self.write is None and leader is not None:
                self.write = (self.next, world.put(self.key, b"%d" % self.next, at=leader))
                self.next += 1
        elif choice < 0.65:
            self.reads.append((self.seen, world.session_get(self.key, at, self.index)))
        else:
            bound_s = random.choice(BOUNDS_S)
            began_s = world.now_s()
            self.stale_reads.append((began_s, bound_s, world.stale_get(self.key, at, bound_s)))

    def settle(self, world: World) -> None:
        if self.write is not None and self.write[1].answer is not None:
            number, answers = self.write
            self.write = None
            if answers.answer is not None and answers.status is Status.OK:
                self.acknowledged.append((world.now_s(), number))
                self._see(number, answers.answer.index)
        for floor, answers in self.reads:
            self.tally[f"session {_name(answers)}"] += 1
            if answers.answer is not None and answers.status is Status.OK:
                found = int(value_of(answers) or b"0")
                assert floor <= found < self.next, f"read {found} after {floor}"
                self._see(found, answers.answer.index)
        for began_s, bound_s, answers in self.stale_reads:
            self.tally[f"stale {_name(answers)}"] += 1
            if answers.status is Status.OK:
                self._check_stale(began_s, bound_s, answers)
        self.reads = [each for each in self.reads if each[1].answer is None]
        self.stale_reads = [each for each in self.stale_reads if each[2].answer is None]

    def _see(self, number: int, index: int) -> None:
        self.seen = max(self.seen, number)
        self.index = max(self.index, index)

    def _check_stale(self, began_s: float, bound_s: float, answers: Answers) -> None:
        age_s, value = stale_value_of(answers)
        # The age is in whole milliseconds, rounded up.
        assert age_s <= bound_s + 0.001, f"{age_s} s old, where {bound_s} is the most"
        found = int(value or b"0")
        before = [number for when, number in self.acknowledged if when < began_s - age_s]
        floor = max(before, default=0)
        assert floor <= found < self.next, f"{found} read, {age_s} s after {floor}"
        self.tally["older than acknowledged"] += found < max(
            (number for when, number in self.acknowledged if when < began_s), default=0
        )

    def forget_lost(self, world: World) -> None:
        """A crashed node's clients never learn what became of their requests."""
        if len(world.members) < world.size:
            self.write = None
            self.reads.clear()
            self.stale_reads.clear()


def _name(answers: Answers) -> str:
    return "waits" if answers.status is None else answers.status.name


def run(seed: int, tally: Counter[str]) -> None:
    random = Random(seed)
    checkers = all_checkers()
    world = World(
        3,
        partitions=3,
        seed=seed,
        checkers=checkers,
        segment_bytes=random.choice([1 << 11, 1 << 16]),
        compaction=CompactionPolicy(random.choice([0, 2]), random.choice([1, 8]), 5),
        snapshot_chunk_bytes=100,
    )
    sessions = [Session(key, tally) for key in KEYS]
    faults = Faults(world, random)
    world.until(world.serves)
    for _ in range(STEPS):
        faults.step()
        for session in sessions:
            if world.members and random.random() < 0.5:
                session.operate(world, random)
        # Not always to rest: faults strike while messages and writes are under way.
        for _ in range(random.randrange(30)):
            if world.soon:
                world.soon.popleft()()
        if random.random() < 0.5:
            world.tick()
        for session in sessions:
            session.settle(world)
            session.forget_lost(world)
        assert faults.problems() == []
    faults.end()
    world.until(world.serves, ticks=2000)
    world.tick(30)
    assert world.problems() == []


@pytest.mark.parametrize("first", range(0, 40, 8))
def test_sessions_never_go_back_and_no_stale_read_is_older_than_it_says(first: int) -> None:
    tally: Counter[str] = Counter()
    for seed in range(first, first + 8):
        run(seed, tally)
    # Else this would show little.
    assert tally["session OK"] > 500
    assert tally["stale OK"] > 300
    assert tally["older than acknowledged"] > 10
    assert tally["session BEHIND"] > 0
    assert tally["stale BEHIND"] > 0
