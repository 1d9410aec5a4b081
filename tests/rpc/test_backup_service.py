"""Backups from a real host: of which moment they are, and what is left when they end early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn, cast

import grpc
import pytest

from cluster.ids import GroupId, NodeId, PartitionId, ReplicaId, group_of
from kvstore.codec.backup import SectionTally, decode_rows
from kvstore.codec.change import Action, Change, encode_change
from kvstore.codec.command import OperationKind, encode_command
from kvstore.codec.record import decode_record
from kvstore.errors import CorruptionError
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.replica.requests import Status
from kvstore.rpc import backup_service
from kvstore.rpc.backup_service import BACKUPS_MAX, BackupService, Context
from kvstore.rpc.node_view import NodeView
from kvstore.tick_times import TickTimes
from tests.replica.world import World

TICK_MS = 50
State = dict[bytes, bytes]


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


class Caller:
    """A gRPC context that takes chunks while it is told to."""

    def __init__(self, service: BackupService, partition: int, cluster_id: str = "") -> None:
        self.chunks: list[pb.BackupChunk] = []
        self.takes = asyncio.Event()
        self.takes.set()
        request = pb.BackupRequest(cluster_id=cluster_id, partition_id=partition)
        self.call = asyncio.create_task(service.backup(request, cast("Context", self)))

    async def write(self, chunk: pb.BackupChunk) -> None:
        await self.takes.wait()
        await asyncio.sleep(0)  # the loop goes on with other things
        self.chunks.append(pb.BackupChunk.FromString(chunk.SerializeToString()))

    async def abort(self, code: grpc.StatusCode, details: str, _trailing: Any) -> NoReturn:
        raise Refused(code, details)

    @property
    def position(self) -> pb.BackupPosition:
        return self.chunks[0].position

    def data(self, partition: int, partitions: int) -> State:
        """What the chunks hold, each of which must be what it says."""
        tally = SectionTally(PartitionId(partition), partitions)
        found = {}
        for number, chunk in enumerate(self.chunks):
            assert chunk.sequence == number
            assert chunk.HasField("position") == (number == 0)
            assert chunk.HasField("totals") == (number == len(self.chunks) - 1)
            for key, record in zip(*tally.add(chunk.rows), strict=True):
                found[key] = decode_record(record).value
        end = tally.end()
        totals = self.chunks[-1].totals
        assert (totals.records, totals.rows_hash) == (end.records, end.rows_hash)
        return found


class Stage:
    """A world, and a backup service on the node that leads partition 0."""

    def __init__(self, **service: Any) -> None:
        self.world = World(size=3)
        self.world.until(self.world.serves)
        self.group = group_of(PartitionId(0))
        leader = self.world.leader_of(self.group)
        assert leader is not None
        self.leader: ReplicaId = leader
        self.service = self.service_of(leader, **service)
        numbers = (b"%05d" % number for number in range(100_000))
        self.keys = [key for key in numbers if self.world.partition_of(key) == 0][:400]

    def service_of(self, me: ReplicaId, **more: Any) -> BackupService:
        host = self.world.members[me].host
        view = NodeView(
            host=host,
            node_id=NodeId(f"n{me}"),
            me=me,
            version="1",
            uptime_s=lambda: 0.0,
            log_bytes=lambda: 0,
            tick_ms=TICK_MS,
            loop_lag=TickTimes(1),
            round_times=TickTimes(1),
            slowest_log_write_s=lambda: 0.0,
            unfit_reason=lambda: "",
            rebuilds=lambda: 0,
        )
        return BackupService(view, TICK_MS, **more)

    def put(self, key: bytes, value: bytes) -> int:
        """Its revision."""
        answer = self.world.put(key, value)
        self.world.until(lambda: answer.answer is not None)
        assert answer.status is Status.OK
        return self.revision

    @property
    def revision(self) -> int:
        state = self.world.members[self.leader].host.replicas[self.group].state
        assert state is not None
        return state.revision

    async def until(self, condition: Callable[[], bool], turns: int = 2000) -> None:
        for _ in range(turns):
            if condition():
                return
            await self.turn()
        raise AssertionError(f"not within {turns} turns")

    async def turn(self) -> None:
        self.world.run()
        await asyncio.sleep(0)

    async def ended(self, caller: Caller) -> None:
        """Runs the world until the call is over; raises what it ended with."""
        for _ in range(2000):
            if caller.call.done():
                break
            self.world.tick()
            await asyncio.sleep(0)
        await caller.call

    async def refused(self, caller: Caller) -> grpc.StatusCode:
        with pytest.raises(Refused) as refusal:
            await self.ended(caller)
        return refusal.value.code


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Chunks of a few rows."""
    monkeypatch.setattr(backup_service, "CHUNK_BYTES", 400)
    return Stage()


@pytest.mark.parametrize("seed", range(8))
async def test_a_backup_is_the_state_at_its_revision_while_writes_go_on(
    stage: Stage, seed: int
) -> None:
    random = Random(seed)
    state: State = {}
    states: dict[int, State] = {0: {}}
    for key in stage.keys[:150]:
        state[key] = b"before"
        states[stage.put(key, b"before")] = state.copy()
    acknowledged = stage.revision
    caller = Caller(stage.service, 0)
    while not caller.call.done():
        key = random.choice(stage.keys)
        state[key] = b"%d" % random.randrange(1000)
        states[stage.put(key, state[key])] = state.copy()
        await stage.turn()
    await caller.call
    assert caller.position.revision >= acknowledged
    assert stage.revision > caller.position.revision, "writes went on"
    assert len(caller.chunks) > 10
    assert caller.data(0, stage.world.partitions) == states[caller.position.revision]


async def test_a_key_that_expires_is_given_with_what_is_left_of_its_lifetime(stage: Stage) -> None:
    change = encode_change(Change(Action.PUT, b"value", lifetime_ms=60_000))
    kinds = bytes([OperationKind.CHANGE])
    command = encode_command(kinds, stage.keys[:1], [change], timed=True)
    written = stage.world.write(stage.group, command, stage.leader)
    stage.world.until(lambda: written.answer is not None)
    caller = Caller(stage.service, 0)
    while not caller.call.done():
        await stage.turn()
    await caller.call
    _, (record,) = decode_rows(caller.chunks[0].rows)
    assert 59_000 < decode_record(record).expiry_ms <= 60_000


async def test_an_empty_partition_is_one_chunk_without_rows(stage: Stage) -> None:
    caller = Caller(stage.service, 0)
    await stage.ended(caller)
    assert len(caller.chunks) == 1
    assert caller.data(0, stage.world.partitions) == {}


async def test_who_does_not_lead_refuses(stage: Stage) -> None:
    follower = next(me for me in stage.world.members_ids if me != stage.leader)
    caller = Caller(stage.service_of(follower), 0)
    assert await stage.refused(caller) is grpc.StatusCode.UNAVAILABLE


async def test_who_was_deposed_and_does_not_know_gives_no_old_state(stage: Stage) -> None:
    """It leads as far as it knows; others have taken writes since."""
    stage.put(stage.keys[0], b"old")
    stage.world.isolate(stage.leader)
    caller = Caller(stage.service, 0)
    assert await stage.refused(caller) is grpc.StatusCode.UNAVAILABLE
    assert caller.chunks == []
    assert stage.service.views == 0


async def test_losing_the_leadership_changes_nothing_of_a_backup_under_way(stage: Stage) -> None:
    expected = {}
    for key in stage.keys[:60]:
        expected[key] = b"value"
        stage.put(key, b"value")
    caller = Caller(stage.service, 0)
    await stage.until(lambda: len(caller.chunks) == 2)
    caller.takes.clear()
    stage.world.isolate(stage.leader)
    stage.world.until(lambda: stage.world.leader_of(stage.group) != stage.leader)
    for key in stage.keys[:60]:
        stage.put(key, b"newer")
    caller.takes.set()
    await stage.ended(caller)
    assert caller.data(0, stage.world.partitions) == expected


async def test_only_so_many_are_read_at_once_and_ends_make_room(stage: Stage) -> None:
    for key in stage.keys[:60]:
        stage.put(key, b"value")
    callers = [Caller(stage.service, 0) for _ in range(BACKUPS_MAX)]
    await stage.until(lambda: all(caller.chunks for caller in callers))
    for caller in callers:
        caller.takes.clear()
    assert stage.service.views == BACKUPS_MAX
    assert await stage.refused(Caller(stage.service, 0)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    callers[0].call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await callers[0].call
    assert stage.service.views == BACKUPS_MAX - 1
    await stage.ended(Caller(stage.service, 0))
    callers[1].takes.set()
    await stage.ended(callers[1])
    assert stage.service.views == 0


async def test_who_leaves_while_leadership_is_confirmed_leaves_nothing(stage: Stage) -> None:
    callers = [Caller(stage.service, 0) for _ in range(BACKUPS_MAX)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller.call
    stage.world.run()
    await stage.ended(Caller(stage.service, 0))
    assert stage.service.views == 0


async def test_a_caller_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(silence_s_max=0.01)
    caller = Caller(stage.service, 0)
    caller.takes.clear()
    await stage.until(lambda: stage.service.views == 1)
    with pytest.raises(Refused, match=r"ABORTED: nobody took a chunk for 0\.01 s"):
        await caller.call
    assert stage.service.views == 0


async def test_a_node_that_stops_lets_go_of_views(stage: Stage) -> None:
    for key in stage.keys[:60]:
        stage.put(key, b"value")
    caller = Caller(stage.service, 0)
    await stage.until(lambda: len(caller.chunks) == 2)
    stage.service.close()
    assert stage.service.views == 0
    assert await stage.refused(caller) is grpc.StatusCode.UNAVAILABLE
    assert await stage.refused(Caller(stage.service, 0)) is grpc.StatusCode.UNAVAILABLE


async def test_damage_found_by_a_backup_stops_the_node(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_arguments: object, **_named: object) -> None:
        raise CorruptionError("a block does not match its checksum")

    monkeypatch.setattr("kvstore.storage.memory_engine.MemoryView.scan", damaged)
    assert await stage.refused(Caller(stage.service, 0)) is grpc.StatusCode.UNAVAILABLE
    (problem,) = stage.world.problems()
    assert isinstance(problem, CorruptionError)
    assert stage.service.views == 0


@pytest.mark.parametrize(
    ("partition", "cluster_id", "code"),
    [
        (4, "", grpc.StatusCode.INVALID_ARGUMENT),
        (0, "another", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_what_is_not_of_this_cluster_is_refused(
    stage: Stage, partition: int, cluster_id: str, code: grpc.StatusCode
) -> None:
    assert await stage.refused(Caller(stage.service, partition, cluster_id)) is code


async def test_a_partition_that_is_elsewhere_is_refused(stage: Stage) -> None:
    del stage.world.members[stage.leader].host.replicas[GroupId(2)]
    assert await stage.refused(Caller(stage.service, 1)) is grpc.StatusCode.UNAVAILABLE
