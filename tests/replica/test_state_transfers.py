"""Followers that need what was compacted get the state, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from cluster.ids import META_GROUP, GroupId, ReplicaId
from kvstore.codec.command import OperationKind, Stamp, encode_command
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.replica import state_receiver, state_sender
from kvstore.replica.compaction import CompactionPolicy
from kvstore.simulation.checkers import all_checkers
from kvstore.storage.keys import replica_end, replica_prefix
from kvstore.storage.position import load_generation
from tests.replica.test_compactor import all_the_same, leads, load
from tests.replica.world import LONG_TICKS, Member, World, value_of

ONE, TWO, THREE = ReplicaId(1), ReplicaId(2), ReplicaId(3)
POLICY = CompactionPolicy(lagging_segments=1, retry_ticks=20)

Change = Callable[[StateChunk], list[StateChunk]]


class Scene:
    """Node three is down or cut off while the others compact what it lacks."""

    def __init__(self, seed: int = 1, partitions: int = 2, *, is_cut_off: bool = False) -> None:
        self.world = World(
            partitions=partitions,
            seed=seed,
            segment_bytes=2048,
            compaction=POLICY,
            snapshot_chunk_bytes=200,
            checkers=all_checkers(),
        )
        self.chunks: list[StateChunk] = []
        self.change: Change = lambda chunk: [chunk]
        deliver = self.world.deliver

        def pass_on(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
            passed: list[GroupMessage] = []
            for group, message in messages:
                if isinstance(message, StateChunk):
                    self.chunks.append(message)
                    passed += [(group, each) for each in self.change(message)]
                else:
                    passed.append((group, message))
            deliver(sender, to, tuple(passed))

        self.world.deliver = pass_on  # type: ignore[method-assign]
        if is_cut_off:
            self.world.isolate(THREE)
            self.world.tick(LONG_TICKS)
        else:
            self.world.until(self.world.serves)
        self.crashed: Member | None = None

    def fall_behind(self) -> None:
        self.crashed = self.world.crash(THREE)
        self.world.tick(LONG_TICKS)
        load(self.world, 100)

    def come_back(self) -> Member:
        assert self.crashed is not None
        self.world.start(THREE, self.crashed.files, self.crashed.engine)
        return self.world.members[THREE]

    def restart(self, me: ReplicaId, random: Random | None = None) -> None:
        crashed = self.world.crash(me, random)
        self.world.start(me, crashed.files, crashed.engine)

    def is_level(self) -> bool:
        return self.world.serves() and all_the_same(self.world)

    def check_end(self) -> None:
        world = self.world
        world.until(self.is_level, ticks=3000)
        world.tick(LONG_TICKS)
        load(world, 10)
        world.until(self.is_level)
        assert world.problems() == []
        for member in world.nodes:
            assert member.host.states.sender.streams == 0
            assert not member.host.states.are_arriving
            assert not member.host.states.are_installing
            assert leftovers(member) == []
        for checker in world.checkers:
            checker.at_end(world)


def leftovers(member: Member) -> list[bytes]:
    """Keys of generations that are not the current one."""
    keys: list[bytes] = []
    for group in member.host.replicas:
        current = load_generation(member.engine, group).number
        for start, end in (
            (replica_prefix(group, 0), replica_prefix(group, current)),
            (replica_end(group, current), replica_prefix(GroupId(group + 1), 0)),
        ):
            keys += member.engine.scan(start, end, limit=10, bytes_max=1000).keys
    return keys


def generations(member: Member) -> list[int]:
    return [load_generation(member.engine, group).number for group in member.host.replicas]


def test_a_follower_that_was_down_gets_the_state() -> None:
    scene = Scene()
    scene.fall_behind()
    member = scene.come_back()
    scene.check_end()
    assert sum(generations(member)) > 0
    assert len({chunk.sequence for chunk in scene.chunks}) > state_sender.WINDOW_CHUNKS


def test_a_new_follower_gets_all_states_and_the_map() -> None:
    # It was cut off from the start: it does not even know that the cluster has begun.
    scene = Scene(is_cut_off=True)
    world = scene.world
    load(world, 100)
    member = world.members[THREE]
    assert member.host.meta.map is None
    world.heal()
    scene.check_end()
    assert member.host.meta.map == world.members[ONE].host.meta.map is not None
    assert load_generation(member.engine, META_GROUP).number == 1


def test_reads_are_served_meanwhile_and_the_follower_can_lead_afterwards() -> None:
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    scene.come_back()
    for number in range(200):
        if scene.is_level():
            break
        world.tick()
        if leads(world, b"7"):
            read = world.get(b"7")
            world.run()
            if read.answer is not None and not read.answer.detail and read.answer.result:
                assert value_of(read) is not None, number
    scene.check_end()
    world.crash(ONE)
    world.tick(LONG_TICKS)
    read = world.get(b"7")
    world.run()
    assert value_of(read) is not None


@pytest.mark.parametrize("seed", range(8))
def test_chunks_may_be_lost_repeated_reordered_and_damaged(seed: int) -> None:
    scene = Scene(seed)
    random = Random(seed)
    held: list[StateChunk] = []

    def change(chunk: StateChunk) -> list[StateChunk]:
        choice = random.random()
        if choice < 0.1:
            return []
        if choice < 0.2:
            return [chunk, chunk]
        if choice < 0.3:
            held.append(chunk)
            return []
        if choice < 0.4 and held:
            return [chunk, held.pop(random.randrange(len(held)))]
        if choice < 0.5 and chunk.data:
            place = random.randrange(len(chunk.data))
            damaged = bytearray(chunk.data)
            damaged[place] ^= 1 << random.randrange(8)
            return [replace(chunk, data=bytes(damaged))]
        return [chunk]

    scene.change = change
    scene.fall_behind()
    scene.come_back()
    scene.check_end()


def test_a_stream_whose_bytes_add_up_to_another_hash_is_not_installed() -> None:
    scene = Scene()
    scene.fall_behind()
    wrong = True

    def change(chunk: StateChunk) -> list[StateChunk]:
        if wrong and chunk.state_hash is not None:
            return [replace(chunk, state_hash=chunk.state_hash ^ 1)]
        return [chunk]

    scene.change = change
    member = scene.come_back()
    scene.world.tick(LONG_TICKS)
    assert sum(generations(member)) == 0
    wrong = False
    scene.check_end()
    assert sum(generations(member)) > 0


@pytest.mark.parametrize("cut", range(0, 40, 8))
@pytest.mark.parametrize("who", ["receiver", "sender", "link"])
def test_a_stream_that_is_cut_at_any_chunk_begins_anew(who: str, cut: int) -> None:
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    seen = 0

    def change(chunk: StateChunk) -> list[StateChunk]:
        nonlocal seen
        seen += 1
        if seen == cut + 1:
            if who == "receiver":
                world.soon.append(lambda: scene.restart(THREE))
            elif who == "sender":
                world.soon.append(lambda: scene.restart(chunk.sender))
            else:
                world.isolate(THREE)
        return [chunk]

    scene.change = change
    scene.come_back()
    world.tick(state_sender.SILENCE_TICKS_MAX + 20)
    world.heal()
    scene.check_end()


@pytest.mark.parametrize("steps", range(0, 60, 4))
def test_power_lost_at_any_step_of_an_installation_is_as_before_or_done(steps: int) -> None:
    """Counted in turns from when the state is whole."""
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    member = scene.come_back()
    for _ in range(100_000):
        if any(replica.is_installing for replica in member.host.replicas.values()):
            break
        if world.soon:
            world.soon.popleft()()
        else:
            world.tick_without_running()
    else:
        raise AssertionError("nothing is installed")
    for _ in range(steps):
        if world.soon:
            world.soon.popleft()()
    scene.restart(THREE)
    assert world.problems() == []
    scene.check_end()


def test_a_start_completes_an_installation_of_which_only_the_state_was_saved() -> None:
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    member = scene.come_back()
    world.until(lambda: bool(member.flush_worker.held) or hold_log(member))
    assert any(load_generation(member.engine, g).number for g in member.host.replicas)
    member.engine.flush()
    scene.restart(THREE)
    member = world.members[THREE]
    completed = [r for r in member.host.replicas.values() if r.completes_installation]
    assert completed
    for replica in completed:
        assert replica.core.applied == replica.log.bounds.index > 0
    scene.restart(THREE)  # before the bounds were written: once more
    world.tick(5)
    scene.restart(THREE)  # and after
    assert not any(r.completes_installation for r in world.members[THREE].host.replicas.values())
    scene.check_end()


def hold_log(member: Member) -> bool:
    member.flush_worker.is_holding = True
    return False


def test_a_leader_that_is_replaced_stops_and_the_next_one_sends_its_own() -> None:
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    seen = 0

    def change(chunk: StateChunk) -> list[StateChunk]:
        nonlocal seen
        seen += 1
        if seen == 5:
            for other in (ONE, TWO):
                if other != chunk.sender:
                    for group, replica in world.members[chunk.sender].host.replicas.items():
                        if replica.is_leader:
                            world.members[chunk.sender].host.transfer(group, other)
        return [chunk] if seen != 6 else []

    scene.change = change
    scene.come_back()
    scene.check_end()


def test_many_partitions_are_sent_a_few_at_a_time() -> None:
    scene = Scene(partitions=6)
    world = scene.world
    scene.fall_behind()
    most = 0

    def change(chunk: StateChunk) -> list[StateChunk]:
        nonlocal most
        receiver = world.members[THREE].host.states.receiver if THREE in world.members else None
        if receiver is not None:
            most = max(most, receiver.streams)
        return [chunk]

    scene.change = change
    scene.come_back()
    world.until(world.serves, ticks=3000)
    world.until(
        lambda: all(
            len({m.host.replicas[GroupId(g)].core.applied for m in world.nodes}) == 1
            for g in range(1, 7)
        ),
        ticks=3000,
    )
    assert 1 <= most <= state_receiver.STREAMS_MAX
    assert world.problems() == []


def test_what_is_under_way_is_bounded() -> None:
    scene = Scene()
    scene.fall_behind()
    acknowledged: dict[int, int] = {}
    deliver = scene.world.deliver

    def watch(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        for _, message in messages:
            note(message)
        deliver(sender, to, messages)

    def note(message: PeerMessage) -> None:
        if isinstance(message, StateAck):
            known = acknowledged.get(message.stream, 0)
            acknowledged[message.stream] = max(known, message.expected)
        elif isinstance(message, StateChunk):
            ahead = message.sequence - acknowledged.get(message.stream, 0)
            assert ahead < state_sender.WINDOW_CHUNKS
            assert len(message.data) <= 200

    scene.world.deliver = watch  # type: ignore[method-assign]
    scene.come_back()
    scene.check_end()
    assert acknowledged


def test_a_write_that_is_sent_again_after_a_transfer_is_known_to_the_new_replica() -> None:
    scene = Scene(partitions=1)
    world, group = scene.world, GroupId(1)
    stamp = Stamp(b"a client of 16 b", 1, 1, 0)
    leader = world.leader_of(group)
    assert leader is not None
    world.write(group, encode_command(bytes([OperationKind.PUT]), [b"k"], [b"v"], stamp), leader)
    world.tick()
    scene.fall_behind()
    host = scene.come_back().host
    world.tick(LONG_TICKS)
    assert scene.chunks
    state = host.replicas[group].state
    assert state is not None
    assert state.sessions.answer(stamp, state.applied_index) is not None
