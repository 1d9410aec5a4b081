"""The simulator finds what it is there to find: mistakes planted into the parts that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest

from cluster import scrub
from cluster.ids import GroupId, Index, ReplicaId, group_of
from cluster.raft.configuration import Configuration
from cluster.raft.messages import Entry
from kvstore.replica import scrub_rounds
from kvstore.replica.host import Host
from kvstore.replica.intake import Intake
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Status
from kvstore.simulation.campaign import Task, run_task
from kvstore.simulation.checkers import Violation, all_checkers
from kvstore.simulation.disk import MemoryFile
from kvstore.simulation.run import Failure, Run
from kvstore.simulation.silent_damage import SilentDamage
from kvstore.storage.partition_state import PartitionState
from tests.replica.world import World


def failure_of(profile: str, *seeds: int) -> Failure:
    """What the first of `seeds` that fails has found."""
    for seed in seeds:
        failure = run_task(Task(seed, profile)).failure
        if failure is not None:
            return failure
    raise AssertionError("nothing was found")


def test_a_disk_that_does_not_sync_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFile, "sync", lambda _file: None)
    assert failure_of("crashes", 0, 1, 2)


def test_reads_that_nobody_confirmed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(host: Host, group: GroupId, request: ReadRequest, _expires_in_ticks: int) -> None:
        replica = host.replicas.get(group)
        if replica is None or not replica.is_leader:
            request.settle(host.admission.refusal(replica))
            return
        replica._confirmed_reads.append((Index(0), [request]))
        host._agenda.touch(replica)

    monkeypatch.setattr(Host, "read", read)
    assert failure_of("pauses", 12, 19).invariant == "linearizability"


def test_a_write_that_is_answered_by_what_took_its_place_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settle_applied(replica: Replica, entry: Entry, result: bytes) -> None:
        proposed = replica._proposed.pop(entry.index, None)
        if proposed is not None:
            proposed[1].settle(Answer(Status.OK, result))

    answer_of_a_deposed_leader()
    monkeypatch.setattr(Replica, "settle_applied", settle_applied)
    with pytest.raises(Violation, match="no replica has applied that"):
        answer_of_a_deposed_leader()


def answer_of_a_deposed_leader() -> None:
    """A leader that is cut off takes a write; another leader's takes its place in the log. Checks
    what its caller is told, as whole clusters are checked."""
    checkers = all_checkers()
    world = World(partitions=1, checkers=checkers)
    world.until(world.serves)
    group = group_of(world.partition_of(b"key"))
    old = world.leader_of(group)
    assert old is not None
    world.isolate(old)
    lost = world.put(b"key", b"lost", at=old)
    world.until(lambda: world.leader_of(group) not in (None, old))
    world.put(b"key", b"instead")
    world.tick()
    world.heal()
    world.until(lambda: lost.answer is not None)
    assert lost.answer is not None
    if lost.answer.status is Status.OK:
        for checker in checkers:
            checker.on_done(b"key", b"lost")


def test_replicas_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = PartitionState.fingerprint
    monkeypatch.setattr(PartitionState, "fingerprint", lambda state: fingerprint(state) ^ id(state))
    assert failure_of("calm", 3).invariant == "state machine safety"


def test_operations_that_are_never_done_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that proposes nothing looks alive to its followers."""
    monkeypatch.setattr(Intake, "propose", lambda _intake: None)
    assert failure_of("calm", 3).invariant == "liveness"


def test_an_error_that_nobody_handles_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def tick(_host: Host) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(Host, "tick", tick)
    failure = failure_of("calm", 0)
    assert failure.invariant == "every error is handled"
    assert "planted" in failure.detail


@pytest.fixture
def damaged_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    """When all is well again, a value of a follower changes in silence."""
    lives = Run._see_that_it_lives

    def then_damaged(run: Run, healthy: list[str]) -> None:
        lives(run, healthy)
        for name in healthy:
            node = run.cluster.machines[name]
            for group, replica in node.host.replicas.items():
                if node.damage is None and replica.state is not None and not replica.is_leader:
                    node.damage = SilentDamage.inflict(node.engine, group, Random(1))
            if node.damage is not None:
                return
        raise AssertionError("nobody follows with data")

    monkeypatch.setattr(Run, "_see_that_it_lives", then_damaged)


@pytest.mark.usefixtures("damaged_follower")
def test_a_scrub_that_blames_the_majority_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def inverted(
        configuration: Configuration, hashes: Mapping[ReplicaId, int | None]
    ) -> scrub.Verdict:
        found = scrub.verdict(configuration, hashes)
        if found.outcome is not scrub.Outcome.DIVERGED:
            return found
        right = hashes[found.named[0]]
        return replace(found, hash=right, named=tuple(set(hashes) - set(found.named)))

    monkeypatch.setattr(scrub_rounds, "verdict", inverted)
    assert failure_of("calm", 3).invariant == "nodes go on"


@pytest.mark.usefixtures("damaged_follower")
def test_damage_that_no_scrub_finds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scrub_rounds, "verdict", lambda _c, hashes: scrub.Verdict(scrub.Outcome.AGREED, 0)
    )
    assert failure_of("calm", 3).invariant == "damage is found"


@pytest.mark.usefixtures("damaged_follower")
def test_damage_that_is_named_breaks_no_promise() -> None:
    assert run_task(Task(3, "calm")).failure is None
