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
from kvstore.replica.apply_queue import ApplyQueue
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.replica import Replica
from kvstore.storage.applier import RoundWork

PARTITION = GroupId(1)


class Engine:
    """Applies, or refuses as long as it is full; says what was done, in order."""

    def __init__(self) -> None:
        self.is_full = False
        self.done: list[str] = []
        self.replicas = {
            group: cast(
                "Replica",
                SimpleNamespace(
                    group=group,
                    state=None if group == META_GROUP else group,
                    is_awaited=False,
                    settle_applied=lambda _entry, _result: None,
                ),
            )
            for group in (META_GROUP, PARTITION)
        }
        self.queue = ApplyQueue(
            self.replicas,
            self.apply_round,
            cast("MetaMachine", SimpleNamespace(apply=self.apply_meta)),
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
    assert engine.done == [
        f"{group} applies [1]",
        f"{group} has 1",
        f"{group} applies [2]",
        f"{group} has 2",
    ]


@pytest.mark.parametrize("ends", ["without a write", "another write", "a tick"])
def test_what_nobody_waits_for_is_left_while_one_write_to_the_log_is_under_way(ends: str) -> None:
    engine = Engine()
    engine.queue.add(PARTITION, bundle(1, b"a"))
    engine.queue.run(write_under_way=7)
    engine.queue.add(PARTITION, bundle(2, b"b"))
    engine.queue.run(write_under_way=7)
    assert engine.done == []
    if ends == "a tick":
        engine.queue.tick()
    else:
        engine.queue.run(write_under_way=8 if ends == "another write" else None)
    assert engine.done == [
        "1 applies [1]",
        "1 has 1",
        "1 applies [2]",
        "1 has 2",
    ]
    engine.queue.add(PARTITION, bundle(3, b"c"))
    engine.queue.run(write_under_way=9)
    assert len(engine.done) == 4, "each is left anew"


@pytest.mark.parametrize("group", [META_GROUP, PARTITION])
def test_what_somebody_waits_for_is_applied_whatever_the_log_does(group: GroupId) -> None:
    engine = Engine()
    engine.replicas[PARTITION].is_awaited = True  # type: ignore[misc]
    engine.queue.add(group, bundle(1, b"a"))
    engine.queue.run(write_under_way=7)
    assert engine.done == [f"{group} applies [1]", f"{group} has 1"]
