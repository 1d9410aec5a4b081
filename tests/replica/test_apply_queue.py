"""What is committed is applied in order, up to each mark before anything after it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from cluster.ids import META_GROUP, GroupId, Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.scrub import encode_mark
from kvstore.errors import ResourceExhausted
from kvstore.replica.apply_queue import (
    BUNDLE_BYTES_AIM,
    LEFT_BYTES_MAX,
    LEFT_TICKS,
    ApplyQueue,
)
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.replica import Replica
from kvstore.storage.applier import RoundWork

PARTITION = GroupId(1)


class Engine:
    """Applies, or refuses as long as it is full; says what was done, in order."""

    def __init__(self) -> None:
        self.is_full = False
        self.done: list[str] = []
        self.awaited: set[GroupId] = set()
        self.replicas = {
            group: cast(
                "Replica",
                SimpleNamespace(
                    group=group,
                    state=None if group == META_GROUP else group,
                    settle_applied=lambda _entry, _result: None,
                ),
            )
            for group in (META_GROUP, PARTITION)
        }
        self.queue = ApplyQueue(
            self.replicas,
            self.apply_round,
            cast("MetaMachine", SimpleNamespace(apply=self.apply_meta)),
            lambda replica: replica.group in self.awaited,
            lambda replica, last: self.done.append(f"{replica.group} has {last.index}"),
            lambda: None,
        )

    def apply_round(self, work: RoundWork) -> list[list[bytes]]:
        self._note(PARTITION, work[0][1])
        return [[b"" for _ in entries] for _state, entries in work]

    def apply_meta(self, entries: Sequence[Entry]) -> bool:
        self._note(META_GROUP, entries)
        return False

    def _note(self, group: GroupId, entries: Sequence[Entry]) -> None:
        if self.is_full:
            raise ResourceExhausted("full")
        self.done.append(f"{group} applies {[entry.index for entry in entries]}")


def bundle(first: int, *data: bytes) -> list[Entry]:
    return [
        Entry(Index(index), Term(1), EntryKind.NORMAL, each)
        for index, each in enumerate(data, first)
    ]


MARK = encode_mark(at_full_pace=True)


@pytest.mark.parametrize("group", [META_GROUP, PARTITION])
def test_what_follows_a_mark_is_applied_after_it_was_seen(group: GroupId) -> None:
    engine = Engine()
    engine.awaited.add(PARTITION)
    engine.queue.add(group, bundle(4, b"a", MARK, b"b", b"c"))
    engine.queue.run()
    assert engine.done == [
        f"{group} applies [4, 5]",
        f"{group} has 5",
        f"{group} applies [6, 7]",
        f"{group} has 7",
    ]


@pytest.mark.parametrize("group", [META_GROUP, PARTITION])
def test_what_a_full_engine_refuses_is_applied_in_order_when_there_is_room(group: GroupId) -> None:
    engine = Engine()
    engine.is_full = True
    engine.awaited.add(PARTITION)
    engine.queue.add(group, bundle(1, b"a"))
    engine.queue.run()
    engine.queue.add(group, bundle(2, b"b"))
    engine.queue.run()
    assert engine.queue.refused_ticks == 1
    assert engine.done == []
    engine.is_full = False
    engine.queue.run()
    assert engine.done == [], "only a tick tries again"
    engine.queue.tick()
    assert engine.queue.refused_ticks == 0
    assert engine.done == [f"{group} applies [1, 2]", f"{group} has 2"]


LARGE = b"l" * BUNDLE_BYTES_AIM
TOO_MANY = LEFT_BYTES_MAX // BUNDLE_BYTES_AIM


def applies(*indexes: int) -> list[str]:
    return [f"1 applies {list(indexes)}", f"1 has {indexes[-1]}"]


def test_what_nobody_waits_for_is_left_for_some_ticks_and_goes_in_together() -> None:
    engine = Engine()
    for index in (1, 2, 3):
        engine.queue.add(PARTITION, bundle(index, b"a"))
        engine.queue.run()
        engine.queue.tick()
    assert engine.done == []
    for _ in range(LEFT_TICKS - 3):
        engine.queue.tick()
    assert engine.done == applies(1, 2, 3)


def test_of_too_much_that_is_left_the_oldest_is_applied() -> None:
    engine = Engine()
    for index in range(1, TOO_MANY):
        engine.queue.add(PARTITION, bundle(index, LARGE))
        engine.queue.run()
    assert engine.done == []
    engine.queue.add(PARTITION, bundle(TOO_MANY, LARGE))
    engine.queue.run()
    assert engine.done == applies(1)
    engine.queue.run()
    assert engine.done == applies(1), "what was applied does not count any more"


@pytest.mark.parametrize("ends", ["without a write", "another write"])
def test_too_much_is_left_while_one_write_to_the_log_is_under_way(ends: str) -> None:
    engine = Engine()
    engine.queue.add(PARTITION, bundle(1, *[LARGE] * TOO_MANY))
    engine.queue.run(write_under_way=7)
    engine.queue.run(write_under_way=7)
    assert engine.done == []
    engine.queue.run(write_under_way=8 if ends == "another write" else None)
    assert len(engine.done) == 2
    before = len(engine.done)
    engine.queue.add(PARTITION, bundle(TOO_MANY + 1, LARGE))
    engine.queue.run(write_under_way=9)
    assert len(engine.done) == before, "it is left anew"


def test_bundles_do_not_grow_without_bound_while_the_engine_is_full() -> None:
    engine = Engine()
    engine.is_full = True
    engine.awaited.add(PARTITION)
    for index in (1, 2, 3):
        engine.queue.add(PARTITION, bundle(index, LARGE))
        engine.queue.run()
    engine.is_full = False
    engine.queue.tick()
    assert engine.done == applies(1) + applies(2) + applies(3)


def test_what_is_dropped_does_not_count() -> None:
    engine = Engine()
    engine.queue.add(PARTITION, bundle(1, *[LARGE] * TOO_MANY))
    engine.queue.drop(PARTITION)
    engine.queue.add(PARTITION, bundle(90, b"a"))
    engine.queue.run()
    assert engine.done == []


@pytest.mark.parametrize("group", [META_GROUP, PARTITION])
def test_what_somebody_waits_for_is_applied_whatever_the_log_does(group: GroupId) -> None:
    engine = Engine()
    engine.awaited.add(PARTITION)
    engine.queue.add(group, bundle(1, b"a"))
    engine.queue.run(write_under_way=7)
    assert engine.done == [f"{group} applies [1]", f"{group} has 1"]


def test_who_wants_to_read_a_partition_has_it_caught_up() -> None:
    engine = Engine()
    engine.queue.add(PARTITION, bundle(1, b"a"))
    engine.queue.catch_up(PARTITION)
    assert engine.done == applies(1)
    engine.queue.catch_up(PARTITION)
    assert engine.done == applies(1)


def test_nobody_catches_up_past_what_was_refused() -> None:
    engine = Engine()
    engine.is_full = True
    engine.awaited.add(PARTITION)
    engine.queue.add(PARTITION, bundle(1, b"a"))
    engine.queue.run()
    engine.is_full = False
    engine.queue.catch_up(PARTITION)
    assert engine.done == [], "only a tick tries again"
