"""What a log may let go of: tables."""

from __future__ import annotations

import pytest

from cluster.ids import Index, ReplicaId
from cluster.raft.progress import ProgressState
from cluster.raft.status import PeerStatus
from kvstore.replica.compaction import CompactionPolicy, compact_through, lowest_needed


def peer(match: int, snapshot: int | None = None) -> PeerStatus:
    return PeerStatus(
        replica=ReplicaId(2),
        match=Index(match),
        lag=0,
        active=True,
        state=ProgressState.REPLICATE if snapshot is None else ProgressState.SNAPSHOT,
        inflight_messages=0,
        inflight_bytes=0,
        snapshot_index=None if snapshot is None else Index(snapshot),
    )


@pytest.mark.parametrize(
    ("durable", "last_old", "last_lost", "peers", "expected"),
    [
        (100, 80, 0, [], 80),
        (60, 80, 0, [], 60),
        (100, 80, 0, [peer(100), peer(90)], 80),
        (100, 80, 0, [peer(100), peer(70)], 70),
        (100, 80, 0, [peer(0), peer(100)], 0),
        (50, 80, 0, [peer(70)], 50),
        (100, 80, 40, [peer(40), peer(100)], 40),
        (100, 80, 40, [peer(39), peer(100)], 80),
        (100, 80, 40, [peer(39, snapshot=60), peer(100)], 60),
        (100, 80, 40, [peer(39, snapshot=90), peer(70)], 70),
    ],
    ids=[
        "what stands in the last segments stays",
        "what the engine could lose stays",
        "followers that have it hold nothing back",
        "what a follower lacks stays",
        "what a follower was never heard to have stays",
        "the lowest of all counts",
        "a follower that is far behind is waited for",
        "but not further",
        "what follows a snapshot under way stays",
        "whatever else has to stay",
    ],
)
def test_a_log_keeps_what_anybody_needs(
    durable: int, last_old: int, last_lost: int, peers: list[PeerStatus], expected: int
) -> None:
    through = compact_through(Index(durable), Index(last_old), Index(last_lost), peers)
    assert through == expected


def test_where_space_is_short_nobody_far_behind_is_waited_for() -> None:
    policy = CompactionPolicy(2, lagging_segments=8)
    assert policy.lowest_waited_for(20) == 12
    assert policy.lowest_waited_for(20, is_short=True) == policy.lowest_kept(20) == 18


@pytest.mark.parametrize(
    ("kept", "active", "released", "last_active", "waited", "due"),
    [
        (1, 1, 1, 0, 999, False),
        (1, 2, 1, 0, 999, False),
        (1, 3, 1, 2, 0, True),
        (1, 3, 2, 2, 999, False),
        (1, 3, 1, 3, 9, False),
        (1, 3, 1, 3, 10, True),
        (3, 4, 1, 3, 999, False),
        (3, 5, 1, 4, 0, True),
        (0, 2, 1, 1, 0, True),
    ],
)
def test_it_begins_when_a_segment_is_too_many(
    kept: int, active: int, released: int, last_active: int, waited: int, due: bool
) -> None:
    policy = CompactionPolicy(kept, retry_ticks=10)
    found = policy.is_due(
        active=active, released=released, last_active=last_active, waited_ticks=waited
    )
    assert found is due


def test_the_lowest_segment_that_any_log_begins_in_is_needed() -> None:
    assert lowest_needed(9, [7, None, 5]) == 5
    assert lowest_needed(9, [None]) == 9
    assert lowest_needed(9, []) == 9


@pytest.mark.parametrize("values", [{"kept_segments": -1}, {"retry_ticks": 0}])
def test_values_that_are_too_low_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keeps less than nothing or never waits"):
        CompactionPolicy(**values)
