"""Settings and configurations that cannot work are refused."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.raft import RaftConfig


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
