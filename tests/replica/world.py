"""Several hosts in one thread, without clock or sockets: what is called soon runs when told.

The real host, log pipeline, commit log and applier; the network is a queue, the disk is in memory,
and a log write completes when the world says so. Deterministic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar

from xxhash import xxh3_64_intdigest

from cluster.ids import META_GROUP, GroupId, Index, NodeId, PartitionId, ReplicaId, group_of
from cluster.membership import PeerContacts
from cluster.partition.map import ClusterMap, ClusterSettings
from cluster.partition.placement import initial_map
from cluster.partition.ranges import partition_of_hash
from cluster.raft import RaftConfig
from kvstore.codec.byteslist import decode_optional_list
from kvstore.codec.command import OperationKind, encode_command
from kvstore.codec.read_level import decode_stale_result
from kvstore.codec.record import record_value
from kvstore.codec.routing import key_hash
from kvstore.commitlog.commit_log import CommitLog
from kvstore.commitlog.options import CommitLogOptions
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.replica.admission import AdmissionLimits
from kvstore.replica.bundles import Stores
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.compactor import Compactor
from kvstore.replica.disk_guard import DiskGuard
from kvstore.replica.follower_reads import SessionRead, StaleRead
from kvstore.replica.host import Host, HostHooks
from kvstore.replica.log_records import STICKY_KINDS
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.recovery import RecoveredLogs, ReplicaMaker
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from kvstore.replica.scrubber import ScrubPolicy
from kvstore.replica.space import SpaceWatch
from kvstore.replica.stewardship import Stewardship
from kvstore.simulation.checkers import Checker
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.storage.applier import apply_round
from kvstore.storage.memory_engine import MemoryEngine

T = TypeVar("T")
M = TypeVar("M", bound=PeerMessage)
RAFT = RaftConfig()
TICK_MS = 50
TICK_S = TICK_MS / 1000
LONG_TICKS = 200


class Answers:
    """A reply that remembers."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def settle(self, slot: int, answer: Answer) -> None:
        assert self.answer is None, "answered twice"
        self.answer = answer

    @property
    def status(self) -> Status | None:
        return None if self.answer is None else self.answer.status


class HeldWorker:
    """Runs a job when the world lets it, and tells of its end in a later turn."""

    def __init__(self, world: World, on_persisted: Callable[[], None]) -> None:
        self._world = world
        self._on_persisted = on_persisted
        self.held: deque[Callable[[], None]] = deque()
        self.is_holding = False

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        def run() -> None:
            outcome: T | BaseException
            try:
                outcome = job()
            except Exception as problem:
                outcome = problem
            done(outcome)
            self._on_persisted()

        self.held.append(run)
        if not self.is_holding:
            self._world.soon.append(self.release)

    def release(self) -> None:
        while self.held:
            self.held.popleft()()

    def close(self) -> None:
        self.held.clear()


@dataclass
class Link:
    """A Transport that queues, and loses what goes to nodes that are down or cut off."""

    world: World
    sender: ReplicaId

    def send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        held = tuple(messages)
        for checker in self.world.checkers:
            checker.on_send(self.world.members[self.sender], to, held)
        self.world.soon.append(lambda: self.world.deliver(self.sender, to, held))


class Member:
    """One node's life between a start and a crash."""

    def __init__(
        self, world: World, me: ReplicaId, files: MemoryFileSystem, engine: MemoryEngine
    ) -> None:
        self.files = files
        self.engine = engine
        self.problem: BaseException | None = None
        self._world = world
        self.replica_id = me
        self.recovered = recovered = RecoveredLogs()
        files.make_folder("log")
        self.commit_log = log = CommitLog.open(
            files,
            "log",
            CommitLogOptions(segment_bytes=world.segment_bytes, sticky_kinds=STICKY_KINDS),
            recovered.visit,
        )
        self.worker = HeldWorker(world, self._on_persisted)
        self.flush_worker = HeldWorker(world, lambda: None)
        self.maker = ReplicaMaker(
            me=me,
            config=RAFT,
            engine=engine,
            reader=log,
            recovered=recovered,
            random=Random(world.random.random()),
        )
        self.host = Host(
            me=me,
            config=RAFT,
            limits=AdmissionLimits(),
            transport=Link(world, me),
            stores=Stores(
                log=log,
                log_worker=self.worker,
                engine=engine,
                flush_worker=self.flush_worker,
                apply_round=partial(apply_round, engine),
                meta=MetaMachine(engine),
                snapshot_chunk_bytes=world.snapshot_chunk_bytes,
            ),
            random=Random(world.random.random()),
            scrub=world.scrub,
            contacts=PeerContacts(me, world.members_ids, RAFT.election_ticks_min),
            space=SpaceWatch(world.disk_reserve_bytes, f"the disk of n{me}"),
            hooks=HostHooks(self._call_soon, world.clock_of(me), self._on_map, self._on_failure),
        )
        self.stewardship = Stewardship(self.host, me, world.first_map)
        self.compactor = Compactor(
            self.host,
            policy=world.compaction,
            log=log,
            log_worker=self.worker,
            flush=engine.flush,
            flush_worker=self.flush_worker,
            unclaimed=lambda: recovered.first_segment,
        )
        self.disk_guard = DiskGuard(
            self.host,
            log=log,
            log_worker=self.worker,
            free_bytes=partial(files.free_bytes, "log"),
            hasten=self.compactor.hasten,
        )
        self.host.add_replica(self.maker.make(META_GROUP, frozenset(world.members_ids)))
        self._on_map()

    def serves(self) -> bool:
        """Whether it has all its replicas, and each knows its leader."""
        host = self.host
        return host.meta.map is not None and all(
            replica.core.leader is not None for replica in host.replicas.values()
        )

    def is_damaged(self, _group: GroupId) -> bool:
        """Never on purpose, where checkers watch."""
        return False

    def _call_soon(self, round_: Callable[[], None]) -> None:
        def run() -> None:
            round_()
            if self._world.members.get(self.replica_id) is self:
                for checker in self._world.checkers:
                    checker.on_round(self)

        self._world.soon.append(run)

    def _on_persisted(self) -> None:
        for checker in self._world.checkers:
            checker.on_persisted(self)

    def _on_map(self) -> None:
        cluster_map = self.host.meta.map
        if cluster_map is None:
            return
        for partition in cluster_map.partitions_of(self.replica_id):
            if group_of(partition) not in self.host.replicas:
                replicas = cluster_map.replicas_of(partition)
                replica = self.maker.make(group_of(partition), frozenset(replicas))
                self.host.add_replica(replica)

    def _on_failure(self, problem: BaseException) -> None:
        self.problem = problem


@dataclass
class World:
    """A cluster of `size` nodes and `partitions` partitions, watched by `checkers`."""

    size: int = 3
    partitions: int = 4
    seed: int = 1
    checkers: Sequence[Checker] = ()
    segment_bytes: int = 1 << 16
    compaction: CompactionPolicy = field(default_factory=CompactionPolicy)
    snapshot_chunk_bytes: int = 1 << 18
    scrub: ScrubPolicy = field(default_factory=ScrubPolicy)
    disk_reserve_bytes: int = 1 << 12
    soon: deque[Callable[[], None]] = field(default_factory=deque)
    cut: set[tuple[ReplicaId, ReplicaId]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.members_ids = [ReplicaId(number) for number in range(1, self.size + 1)]
        self.ahead_s = {me: 1000.0 * me for me in self.members_ids}
        """Of the true time: the clock of each machine."""
        self.members: dict[ReplicaId, Member] = {}
        self.true_s = 0.0
        for me in self.members_ids:
            self.start(me, MemoryFileSystem(), MemoryEngine())

    def first_map(self) -> ClusterMap:
        return initial_map(
            "a cluster",
            {NodeId(f"n{me}"): f"n{me}:7001" for me in self.members_ids},
            ClusterSettings(self.partitions, min(3, self.size), 4096, 1 << 20),
            xxh3_64_intdigest,
        )

    # Running

    def run(self) -> None:
        """Until nothing is left to do but wait."""
        for _ in range(100_000):
            if not self.soon:
                return
            self.soon.popleft()()
        raise AssertionError("the world does not come to rest")

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.tick_without_running()
            self.run()

    def now_s(self) -> float:
        """The true time, at each look a little later."""
        self.true_s += 1e-6
        return self.true_s

    def clock_of(self, me: ReplicaId) -> Callable[[], float]:
        """A node's own clock: it runs like the true time, and began at another one."""
        return lambda: self.now_s() + self.ahead_s[me]

    def tick_without_running(self) -> None:
        self.true_s += TICK_S
        for member in list(self.members.values()):
            member.host.tick()
            member.stewardship.tick()
            member.compactor.tick()
            member.disk_guard.tick()

    def until(self, condition: Callable[[], bool], ticks: int = LONG_TICKS) -> None:
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError(f"not within {ticks} ticks")

    def deliver(self, sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        member = self.members.get(to)
        if member is not None and sender in self.members and (sender, to) not in self.cut:
            member.host.receive(sender, messages)

    # Faults

    def crash(self, me: ReplicaId, random: Random | None = None) -> Member:
        """Power off: what was not synced is gone, or a part of it that `random` draws; of the
        engine there is what was flushed."""
        for checker in self.checkers:
            checker.on_crash(self.members[me])
        member = self.members.pop(me)
        member.worker.close()
        member.flush_worker.close()
        member.files.crash(random)
        member.engine = member.engine.after_crash()
        return member

    def start(self, me: ReplicaId, files: MemoryFileSystem, engine: MemoryEngine) -> None:
        member = self.members[me] = Member(self, me, files, engine)
        for checker in self.checkers:
            checker.on_start(member)

    def isolate(self, me: ReplicaId) -> None:
        for other in self.members_ids:
            self.cut |= {(me, other), (other, me)}

    def heal(self) -> None:
        self.cut.clear()

    # Looking

    @property
    def nodes(self) -> list[Member]:
        """Those that run: what checkers take for a cluster."""
        return list(self.members.values())

    def leader_of(self, group: GroupId) -> ReplicaId | None:
        """The leader of the highest term."""
        found: ReplicaId | None = None
        term = -1
        for me, member in self.members.items():
            replica = member.host.replicas.get(group)
            if replica is not None and replica.is_leader and replica.core.term > term:
                found, term = me, replica.core.term
        return found

    def serves(self) -> bool:
        """Whether every partition has a leader that its replicas know."""
        return all(member.serves() for member in self.members.values())

    def problems(self) -> list[BaseException]:
        return [m.problem for m in self.members.values() if m.problem is not None]

    # Operating

    def partition_of(self, key: bytes) -> PartitionId:
        return partition_of_hash(key_hash(key), self.partitions)

    def put(self, key: bytes, value: bytes, at: ReplicaId | None = None) -> Answers:
        group = group_of(self.partition_of(key))
        me = at if at is not None else self.leader_of(group)
        assert me is not None, "no leader"
        command = encode_command(bytes((OperationKind.PUT,)), [key], [value])
        return self.write(group, command, me)

    def write(self, group: GroupId, command: bytes, at: ReplicaId) -> Answers:
        answers = Answers()
        self.members[at].host.write(group, WriteRequest(answers, 0, command), LONG_TICKS)
        return answers

    def get(self, key: bytes, at: ReplicaId | None = None) -> Answers:
        group = group_of(self.partition_of(key))
        me = at if at is not None else self.leader_of(group)
        assert me is not None, "no leader"
        answers = Answers()
        self.members[me].host.read(group, ReadRequest(answers, 0, [key]), LONG_TICKS)
        return answers

    def session_get(self, key: bytes, at: ReplicaId, min_index: int = 0) -> Answers:
        answers = Answers()
        read = SessionRead(answers, 0, [key], Index(min_index))
        group = group_of(self.partition_of(key))
        self.members[at].host.read_anywhere(group, read, LONG_TICKS)
        return answers

    def stale_get(self, key: bytes, at: ReplicaId, max_staleness_s: float) -> Answers:
        answers = Answers()
        read = StaleRead(answers, 0, [key], max_staleness_s)
        group = group_of(self.partition_of(key))
        self.members[at].host.read_anywhere(group, read, LONG_TICKS)
        return answers


class Wire:
    """Hears all that the nodes of a world say to each other, and loses what it is told to."""

    def __init__(self, world: World) -> None:
        self.heard: list[PeerMessage] = []
        self.lose: Callable[[PeerMessage], bool] = lambda _message: False
        self._deliver = world.deliver
        world.deliver = self.deliver  # type: ignore[method-assign]  # a tap on the wire

    def deliver(self, sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        self.heard.extend(message for _, message in messages)
        self._deliver(sender, to, tuple(each for each in messages if not self.lose(each[1])))

    def heard_of(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]


def stale_value_of(answers: Answers) -> tuple[float, bytes | None]:
    """The age that a stale read states, in seconds, and the value that it found."""
    assert answers.answer is not None
    assert answers.answer.status is Status.OK
    age_ms, records = decode_stale_result(answers.answer.result)
    return age_ms / 1000, None if records[0] is None else record_value(records[0])


def value_of(answers: Answers) -> bytes | None:
    """The value that a read found."""
    assert answers.answer is not None
    assert answers.answer.status is Status.OK
    records, _end = decode_optional_list(answers.answer.result)
    return None if records[0] is None else record_value(records[0])
