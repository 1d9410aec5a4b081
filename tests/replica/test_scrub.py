"""Replicas compare their states at one applied index: damage is found, named and used no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId
from cluster.raft.messages import SnapshotRequest
from cluster.scrub import Outcome
from kvstore.codec.record import HEADER_BYTES
from kvstore.codec.scrub import ScrubHash, ScrubReply, is_mark
from kvstore.environment import GroupMessage
from kvstore.errors import CorruptionError, ResourceExhausted
from kvstore.replica import scrub_rounds, scrubber
from kvstore.replica.requests import Status
from kvstore.replica.scrub_rounds import ScrubResult
from kvstore.replica.scrubber import ScrubPolicy
from kvstore.storage.engine import EnginePage
from kvstore.storage.keys import Section, section_prefix
from kvstore.storage.memory_engine import MemoryEngine, MemoryView
from kvstore.storage.position import encode_position
from tests.replica.test_state_transfers import Scene
from tests.replica.world import LONG_TICKS, Member, World, value_of

GROUP = GroupId(1)
ONLY_WHEN_ASKED = ScrubPolicy(bytes_per_tick=0)
SLOW = ScrubPolicy(bytes_per_tick=1, full_bytes_per_tick=1)
KEYS = [b"key %d" % number for number in range(20)]
LARGE_BYTES = 1_000_000


def a_world(size: int = 3, policy: ScrubPolicy = ONLY_WHEN_ASKED, partitions: int = 1) -> World:
    """A cluster that serves and holds KEYS."""
    world = World(size=size, partitions=partitions, scrub=policy)
    world.until(world.serves)
    answers = [world.put(key, b"value of " + key) for key in KEYS]
    world.until(lambda: all(each.status is Status.OK for each in answers))
    world.tick(LONG_TICKS)
    return world


def make_it_large(world: World) -> None:
    """More than is read at once."""
    for number in range(20):
        world.put(b"large %d" % number, bytes(LARGE_BYTES // 20))
        world.tick(3)


def views_of(member: Member) -> list[bytes]:
    """Where the views begin that are opened from now on."""
    opened: list[bytes] = []
    view = member.engine.view

    def noted(start: bytes, end: bytes) -> MemoryView:
        opened.append(start)
        return view(start, end)

    member.engine.view = noted  # type: ignore[method-assign]
    return opened


def leader(world: World, group: GroupId = GROUP) -> Member:
    found = world.leader_of(group)
    assert found is not None
    return world.members[found]


def a_follower(world: World, group: GroupId = GROUP) -> Member:
    led_by = world.leader_of(group)
    return next(member for me, member in world.members.items() if me != led_by)


def result_at(member: Member, group: GroupId = GROUP) -> ScrubResult:
    found = member.host.scrubber.rounds.result(group)
    assert found is not None
    return found


def scrub(world: World, group: GroupId = GROUP) -> ScrubResult:
    """Asks for one and waits for its end."""
    asked = leader(world, group)
    rounds = asked.host.scrubber.rounds
    rounds.ask(group)
    world.until(lambda: not rounds.is_under_way(group))
    world.run()
    return result_at(asked, group)


def change(member: Member, key: bytes, value: bytes | None) -> None:
    """What damaged hardware or a bug does: the log does not know."""
    batch = member.engine.new_batch()
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)
    member.engine.write(batch)


def data_key(member: Member, key: bytes) -> bytes:
    state = member.host.replicas[GROUP].state
    assert state is not None
    return state.data_prefix + key


def damage(member: Member, key: bytes = KEYS[0]) -> None:
    """Changes one bit of a value."""
    at = data_key(member, key)
    (record,) = member.engine.get_many([at])
    assert record is not None
    place = HEADER_BYTES + 1
    change(member, at, record[:place] + bytes((record[place] ^ 1,)) + record[place + 1 :])


def records(world: World, group: GroupId = GROUP) -> list[Outcome | None]:
    found = [member.host.scrubber.records.get(group) for member in world.nodes]
    return [None if each is None else each.outcome for each in found]


def open_views(world: World) -> int:
    return sum(member.host.scrubber.readings for member in world.nodes)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("group", [META_GROUP, GROUP])
def test_replicas_that_are_the_same_agree(size: int, group: GroupId) -> None:
    world = a_world(size)
    result = scrub(world, group)
    members = sorted(leader(world, group).host.replicas[group].members)
    assert result.verdict.outcome is Outcome.AGREED
    assert sorted(result.hashes) == members
    heard = [outcome for outcome in records(world, group) if outcome is not None]
    assert heard == [Outcome.AGREED] * len(members)
    assert open_views(world) == 0
    assert world.problems() == []


@pytest.mark.parametrize("what", ["value", "missing", "extra", "revision"])
def test_any_difference_is_found(what: str) -> None:
    world = a_world()
    damaged = a_follower(world)
    state = damaged.host.replicas[GROUP].state
    assert state is not None
    key, value = {
        "value": (data_key(damaged, KEYS[3]), b"other"),
        "missing": (data_key(damaged, KEYS[3]), None),
        "extra": (data_key(damaged, b"extra"), b"other"),
        # The mark's own position goes over the one that is there: of it, only the revision stays.
        "revision": (state.state_key, encode_position(state.applied_index, 99, state.term)),
    }[what]
    change(damaged, key, value)
    if what == "revision":
        state.reload()
    result = scrub(world)
    assert result.verdict.outcome is Outcome.DIVERGED
    assert result.verdict.named == (damaged.replica_id,)


def test_a_damaged_follower_is_named_and_leaves_and_the_others_serve() -> None:
    world = a_world()
    damaged = a_follower(world)
    damage(damaged)
    result = scrub(world)
    assert result.verdict.named == (damaged.replica_id,)
    assert damaged.host.is_stopped
    world.tick(LONG_TICKS)
    problem = damaged.problem
    assert isinstance(problem, CorruptionError)
    own = result.hashes[damaged.replica_id]
    assert own is not None
    assert result.verdict.hash is not None
    for part in (
        "partition 0",
        f"index {result.index}",
        f"{own:016x}",
        f"{result.verdict.hash:016x}",
    ):
        assert part in str(problem)
    world.crash(damaged.replica_id)
    world.tick(LONG_TICKS)
    got = world.get(KEYS[0])
    world.tick()
    assert value_of(got) == b"value of " + KEYS[0]
    assert [member.host.scrubber.mismatches for member in world.nodes] == [1, 1]


def test_a_damaged_leader_names_itself_and_another_leads() -> None:
    world = a_world()
    damaged = leader(world)
    damage(damaged)
    assert scrub(world).verdict.named == (damaged.replica_id,)
    assert damaged.host.is_stopped
    world.tick(LONG_TICKS)
    assert isinstance(damaged.problem, CorruptionError)
    assert [member.host.scrubber.mismatches for member in world.nodes] == [1, 1, 1]
    world.crash(damaged.replica_id)
    world.until(lambda: world.leader_of(GROUP) is not None)
    world.tick(LONG_TICKS)
    got = world.get(KEYS[0])
    world.tick()
    assert value_of(got) == b"value of " + KEYS[0]


def test_who_is_named_takes_no_further_part_at_once() -> None:
    world = a_world()
    damaged = leader(world)
    damage(damaged)
    said: list[GroupMessage] = []
    deliver = world.deliver

    def listen(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        if sender == damaged.replica_id and damaged.problem is None and damaged.host.is_stopped:
            said.extend(messages)
        deliver(sender, to, messages)

    world.deliver = listen  # type: ignore[method-assign]
    reads = [world.get(KEYS[0], at=damaged.replica_id)]
    scrub(world)
    reads.append(world.get(KEYS[0], at=damaged.replica_id))
    writes = world.put(KEYS[0], b"new", at=damaged.replica_id)
    world.tick(3)
    assert reads[1].status is Status.UNAVAILABLE
    assert writes.status is Status.UNAVAILABLE
    later = [message for _group, message in said if not isinstance(message, ScrubReply | ScrubHash)]
    assert later == []
    assert not any(isinstance(message, SnapshotRequest) for message in later)


def test_a_state_in_quarantine_is_not_used_after_a_restart_either() -> None:
    world = a_world()
    damaged = a_follower(world)
    damage(damaged)
    scrub(world)
    world.tick(LONG_TICKS)
    crashed = world.crash(damaged.replica_id)
    with pytest.raises(CorruptionError, match="a scrub has found the state of partition 0"):
        world.start(damaged.replica_id, crashed.files, crashed.engine)


def test_where_no_state_has_a_majority_nobody_is_blamed() -> None:
    world = a_world(2)
    damage(a_follower(world))
    result = scrub(world)
    assert result.verdict.outcome is Outcome.UNDECIDED
    assert result.verdict.named == (1, 2)
    world.tick(LONG_TICKS)
    assert world.problems() == []
    assert [member.host.scrubber.mismatches for member in world.nodes] == [1, 1]
    assert records(world) == [Outcome.UNDECIDED] * 2


class _Broken(MemoryEngine):
    """A table file is damaged: its checksum does not fit."""

    def scan(
        self,
        start: bytes,
        end: bytes | None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        raise CorruptionError("block checksum mismatch")


@pytest.mark.parametrize("whose", ["leader", "follower"])
def test_a_state_that_cannot_be_read_is_damage(whose: str) -> None:
    world = a_world()
    damaged = leader(world) if whose == "leader" else a_follower(world)
    asked = leader(world)
    damaged.engine.__class__ = _Broken
    result = scrub(world)
    assert result.hashes[damaged.replica_id] is None
    assert result.verdict.outcome is Outcome.DIVERGED
    assert result.verdict.named == (damaged.replica_id,)
    assert damaged.host.is_stopped
    world.tick(LONG_TICKS)
    assert isinstance(damaged.problem, CorruptionError)
    assert "could not read" in str(damaged.problem)
    assert [m.problem for m in world.nodes if m is not damaged] == [None, None]
    assert asked.host.scrubber.mismatches == 1


def test_all_look_at_the_state_of_the_same_index_however_their_entries_come() -> None:
    world = a_world()
    late = a_follower(world)
    world.isolate(late.replica_id)
    asked = leader(world)
    asked.host.scrubber.rounds.ask(GROUP)
    world.tick()
    # Applied by the late one in one bundle: what comes before the mark, the mark, what follows.
    for key in KEYS[:5]:
        world.put(key, b"written after the mark")
        world.tick()
    world.heal()
    world.until(lambda: not asked.host.scrubber.rounds.is_under_way(GROUP))
    result = result_at(asked)
    assert result.verdict.outcome is Outcome.AGREED
    assert sorted(result.hashes) == [1, 2, 3]
    applied = [member.host.replicas[GROUP].core.applied for member in world.nodes]
    assert all(result.index < index for index in applied)


def test_a_state_that_came_as_a_snapshot_is_the_same() -> None:
    scene = Scene()
    world = scene.world
    scene.fall_behind()
    scene.come_back()
    world.until(scene.is_level, ticks=3000)
    assert scene.chunks
    world.tick(LONG_TICKS)  # leaders go back to where they belong
    result = scrub(world)
    assert result.verdict.outcome is Outcome.AGREED
    assert sorted(result.hashes) == [1, 2, 3]


def test_the_configuration_record_is_left_out() -> None:
    """A replica has it from a snapshot, and has not where it never changed."""
    world = a_world()
    other = a_follower(world)
    key = section_prefix(GROUP, 0, Section.CONFIGURATION)
    (found,) = leader(world).engine.get_many([key])
    change(other, key, None if found else b"\x01")
    assert scrub(world).verdict.outcome is Outcome.AGREED


def test_a_mark_that_a_start_comes_across_opens_nothing() -> None:
    world = a_world(policy=SLOW)
    make_it_large(world)
    follower = a_follower(world)
    me = follower.replica_id
    leader(world).host.scrubber.rounds.ask(GROUP)
    world.tick(3)
    assert follower.host.scrubber.readings == 1
    crashed = world.crash(me)
    world.start(me, crashed.files, crashed.engine)
    again = world.members[me]
    replica = again.host.replicas[GROUP]
    log = replica.log
    world.until(lambda: replica.core.applied == log.last_index())
    entries = log.entries(log.first_index(), Index(log.last_index() + 1), 1 << 60)
    assert any(map(is_mark, entries))
    assert again.host.scrubber.readings == 0


def test_a_mark_of_a_leader_that_leads_no_more_opens_nothing() -> None:
    world = a_world(policy=SLOW)
    make_it_large(world)
    old = leader(world)
    late = a_follower(world)
    world.cut |= {(old.replica_id, late.replica_id)}
    opened = views_of(late)
    old.host.scrubber.rounds.ask(GROUP)
    world.tick()
    assert old.host.scrubber.readings == 1
    world.crash(old.replica_id)
    world.until(lambda: world.leader_of(GROUP) is not None)
    world.tick(LONG_TICKS)
    log = late.host.replicas[GROUP].log
    assert any(map(is_mark, log.entries(log.first_index(), Index(log.last_index() + 1), 1 << 60)))
    assert opened == []


def test_who_does_not_answer_is_not_waited_for_without_end() -> None:
    world = a_world()
    gone = a_follower(world)
    world.crash(gone.replica_id)
    world.tick(LONG_TICKS)
    result = scrub(world)
    assert result.verdict.outcome is Outcome.PARTIAL
    assert result.verdict.silent == (gone.replica_id,)
    assert records(world) == [Outcome.PARTIAL] * 2


def lose(world: World, kind: type[object], count: int) -> Callable[[], int]:
    """Loses the first `count` messages of a kind; returns how many there were."""
    seen = 0
    deliver = world.deliver

    def pass_on(sender: ReplicaId, to: ReplicaId, messages: tuple[GroupMessage, ...]) -> None:
        nonlocal seen
        kept: list[GroupMessage] = []
        for group, message in messages:
            if isinstance(message, kind):
                seen += 1
                if seen <= count:
                    continue
            kept.append((group, message))
        deliver(sender, to, tuple(kept))

    world.deliver = pass_on  # type: ignore[method-assign]
    return lambda: seen


@pytest.mark.parametrize("kind", [ScrubHash, ScrubReply])
def test_a_lost_message_costs_time_and_no_verdict(kind: type[object]) -> None:
    world = a_world()
    damaged = a_follower(world)
    damage(damaged)
    seen = lose(world, kind, 3)
    result = scrub(world)
    assert result.verdict.named == (damaged.replica_id,)
    world.tick(2 * scrubber.ASK_TICKS)
    assert seen() > 3
    assert isinstance(damaged.problem, CorruptionError)


def test_in_the_background_every_partition_has_its_turn_one_at_a_time() -> None:
    policy = ScrubPolicy(interval_ticks=300, bytes_per_tick=100)
    world = a_world(policy=policy, partitions=4)
    groups = [META_GROUP, *map(GroupId, range(1, 5))]
    most = 0
    for _ in range(2 * 300):
        world.tick()
        most = max(most, *(len(m.host.scrubber.rounds.under_way) for m in world.nodes))
    assert most == 1
    for group in groups:
        assert records(world, group) == [Outcome.AGREED] * 3
    ended = leader(world).host.scrubber.ended
    assert 5 <= ended <= 15
    assert open_views(world) == 0


def test_quiet_groups_are_left_alone_until_they_are_due() -> None:
    policy = ScrubPolicy(interval_ticks=100_000)
    world = a_world(policy=policy)
    before = [member.host.rounds for member in world.nodes]
    world.tick(1000)
    assert [member.host.rounds for member in world.nodes] == before


def test_nothing_is_scrubbed_in_the_background_where_it_is_off() -> None:
    world = a_world(policy=ScrubPolicy(interval_ticks=50, bytes_per_tick=0))
    world.tick(500)
    assert records(world) == [None] * 3
    assert scrub(world).verdict.outcome is Outcome.AGREED


def test_a_state_is_read_at_the_pace_that_was_set() -> None:
    policy = ScrubPolicy(bytes_per_tick=1, full_bytes_per_tick=40_000)
    world = a_world(policy=policy)
    make_it_large(world)
    asked = leader(world)
    asked.host.scrubber.rounds.ask(GROUP)
    begun = asked.host.ticks
    world.until(lambda: not asked.host.scrubber.rounds.is_under_way(GROUP))
    ticks = asked.host.ticks - begun
    assert LARGE_BYTES / 40_000 <= ticks <= 2 * LARGE_BYTES / 40_000


@pytest.mark.parametrize(
    ("hurry_ticks", "outcomes"), [(20, [Outcome.AGREED] * 3), (1000, [None] * 3)]
)
def test_what_takes_long_in_the_background_is_read_faster_and_faster(
    hurry_ticks: int, outcomes: list[Outcome | None]
) -> None:
    """At the pace at which it begins, it would be given up before it is half done."""
    policy = ScrubPolicy(
        interval_ticks=400,
        bytes_per_tick=LARGE_BYTES // 300,
        hurry_ticks=hurry_ticks,
        reading_ticks_max=120,
    )
    world = a_world(policy=policy)
    make_it_large(world)
    for member in world.nodes:
        member.host.scrubber.records.clear()  # of when it was small
    world.tick(500)
    assert records(world) == outcomes
    assert world.problems() == []


def test_a_reading_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub_rounds, "GRACE_TICKS", 5)
    world = a_world(policy=replace(SLOW, reading_ticks_max=20))
    make_it_large(world)
    assert scrub(world).verdict.outcome is Outcome.PARTIAL
    assert open_views(world) == 0
    assert world.problems() == []


def test_a_node_opens_no_more_views_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "READINGS_MAX", 1)
    world = a_world(policy=SLOW, partitions=4)
    for number in range(80):
        world.put(b"large %d" % number, bytes(50_000))
        world.tick(3)
    for member in world.nodes:
        for group, replica in member.host.replicas.items():
            if replica.is_leader:
                member.host.scrubber.rounds.ask(group)
    for _ in range(100):
        world.tick()
        assert all(member.host.scrubber.readings <= 1 for member in world.nodes)


def test_a_new_mark_takes_the_place_of_the_one_before() -> None:
    policy = ScrubPolicy(interval_ticks=20, bytes_per_tick=1)
    world = a_world(policy=policy)
    rounds = leader(world).host.scrubber.rounds
    world.until(lambda: rounds.is_under_way(GROUP), ticks=500)
    result = scrub(world)
    assert result.verdict.outcome is Outcome.AGREED


def test_a_disk_that_is_full_does_not_keep_a_damaged_state_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    damaged = a_follower(world)
    damage(damaged)

    def full() -> None:
        raise ResourceExhausted("the disk is full")

    monkeypatch.setattr(damaged.engine, "flush", full)
    scrub(world)
    assert damaged.host.is_stopped
    world.tick(LONG_TICKS)
    assert isinstance(damaged.problem, CorruptionError)
