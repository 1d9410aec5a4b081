"""What the measurements of a cluster on this machine share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.procfs import cpu_seconds_of
from kvstore import Client, LocalCluster
from kvstore.bench.load import LoadPlan
from kvstore.bench.workloads import Workload, key_of
from kvstore.client import ClusterStatus

_BYTES_AT_ONCE = 4 << 20
_TIMEOUT_S = 60.0
_SETTLES_WITHIN_S = 60.0
_AT_REST_CPU_S_PER_S = 0.2
"""Of three nodes together; without any work they take 0.05."""


def pids(cluster: LocalCluster) -> list[int]:
    """Of the nodes that run."""
    return [report.pid for report in cluster.status() if report.pid is not None]


def put_keys(endpoints: str, keys: int, value_bytes: int) -> None:
    """Puts every key of a load."""
    value = bytes(value_bytes)
    at_once = max(1, min(1000, _BYTES_AT_ONCE // max(1, value_bytes)))
    with Client(endpoints, timeout_s=_TIMEOUT_S) as client:
        for first in range(0, keys, at_once):
            numbers = range(first, min(keys, first + at_once))
            client.put_many({key_of(number): value for number in numbers})


def settle(
    nodes: Sequence[int],
    within_s: float = _SETTLES_WITHIN_S,
    *,
    cpu_s: Callable[[Sequence[int]], float] = cpu_seconds_of,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Waits until nodes rest, by their processor time: what a load left to be compacted is done.
    Whether they did `within_s`."""
    before_s = cpu_s(nodes)
    for _ in range(int(within_s)):
        sleep(1.0)
        now_s = cpu_s(nodes)
        if now_s - before_s < _AT_REST_CPU_S_PER_S:
            return True
        before_s = now_s
    return False


def plan(
    workload: Workload,
    callers: int,
    seconds: float,
    *,
    keys: int = 10_000,
    value_bytes: int = 256,
    warm_up_s: float = 0.0,
    rate_per_s: float | None = None,
    processes: int = 1,
    seed: int = 0,
) -> LoadPlan:
    """A plan by the names of what matters here."""
    return LoadPlan(
        workload,
        callers,
        keys,
        value_bytes,
        seconds,
        warm_up_s,
        rate_per_s,
        seed,
        processes,
    )


def terms(status: ClusterStatus) -> dict[int, int]:
    """By group: the term of its leader, where there is one."""
    groups = (status.meta, *status.partitions)
    return {group.group: group.term for group in groups if group.term is not None}


def elections(before: ClusterStatus, after: ClusterStatus) -> int:
    """How many terms have begun meanwhile, in all groups that had a leader both times."""
    then = terms(before)
    return sum(term - then[group] for group, term in terms(after).items() if group in then)
