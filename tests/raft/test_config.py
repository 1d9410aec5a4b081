"""Settings and configurations that cannot work are refused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from cluster.ids import Index, ReplicaId
from cluster.raft import Configuration, HardState, MemoryLogStorage, Raft, RaftConfig


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"heartbeat_ticks": 0}, "heartbeat_ticks is 0"),
        ({"reads_waiting_max": -1}, "reads_waiting_max is -1"),
        ({"heartbeat_ticks": 6, "election_ticks_min": 12}, "two heartbeats"),
        ({"election_ticks_min": 24, "election_ticks_max": 24}, "less than the longest"),
        ({"inflight_bytes_max": 100, "append_bytes_max": 101}, "inflight_bytes_max"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RaftConfig(**settings)


def test_a_group_without_voters_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one voter"):
        Configuration(frozenset())


def test_peers_are_all_others_in_a_fixed_order() -> None:
    group = Configuration(frozenset(map(ReplicaId, (30, 4, 17))))
    assert group.peers_of(ReplicaId(17)) == (4, 30)


def test_a_replica_that_is_no_voter_is_refused() -> None:
    with pytest.raises(ValueError, match="replica 9 is not a voter"):
        Raft(
            replica=ReplicaId(9),
            config=RaftConfig(),
            configuration=Configuration(frozenset({ReplicaId(1)})),
            hard_state=HardState(),
            storage=MemoryLogStorage(),
            applied=Index(0),
            random=Random(0),
        )
