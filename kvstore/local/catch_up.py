"""When a node that was away has what the others committed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvstore.errors import Unavailable

if TYPE_CHECKING:
    from kvstore.client.status import ClusterStatus, GroupStatus

_POLL_S: Final = 0.1


def wait_caught_up(
    endpoints: str,
    node_id: str,
    timeout_s: float,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Waits until `node_id` has, of each group, what was committed when this was called.

    Writes that go on meanwhile do not prolong it. Raises Unavailable when time runs out.
    """
    from kvstore.client import Client  # noqa: PLC0415 - the other commands do without it

    deadline_s = time.monotonic() + timeout_s
    targets: dict[int, int] = {}
    with Client(endpoints, timeout_s=timeout_s) as client:
        while behind := entries_behind(client.status(), node_id, targets):
            if time.monotonic() > deadline_s:
                raise Unavailable(
                    f"{node_id} did not catch up within {timeout_s:.0f} s; {behind} entries behind"
                )
            if progress is not None:
                progress(f"waiting until {node_id} catches up: {behind} entries")
            time.sleep(_POLL_S)


def entries_behind(status: ClusterStatus, node_id: str, targets: dict[int, int]) -> int:
    """Entries that the node misses of those committed when its groups were first seen.

    `targets` keeps how many those were, by group: the same for one wait, and empty at first. A
    group without a leader counts as one entry: what it committed is not known yet.
    """
    behind = 0
    for group in (status.meta, *status.partitions):
        if node_id not in group.replicas:
            continue
        if group.leader is None or group.commit_index is None:
            behind += 1
            continue
        target = targets.setdefault(group.group, group.commit_index)
        behind += max(0, target - _last_known(group, group.commit_index, node_id))
    return behind


def _last_known(group: GroupStatus, commit_index: int, node_id: str) -> int:
    """The node has the group's log at least up to here, as far as the leader knows."""
    if group.leader == node_id:
        return commit_index
    lags = {str(node): entries for node, entries in (group.lag or {}).items()}
    # Lag counts from the leader's last entry, which may be above the commit index.
    return commit_index - lags.get(node_id, commit_index)
