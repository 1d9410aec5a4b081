"""Offers a cluster ten times what it can do, and says what it does then, and how it comes back.

    python -m benchmarks.overload [--seconds S] [--times N]

Three nodes with their defaults on this machine. First its peak is found: several client processes
whose callers ask again as soon as they are answered, with few callers and with many; the best
counts. Then an open loop of as many processes is due to put `--times` as much, whatever is
answered, with far more callers, so that operations time out. At the end the peak is measured once
more: what a machine can do is not the same from minute to minute. Reported: what was delivered in
comparison with the mean of both peaks, how calls failed, elections held (terms that began, in all
groups), the nodes' memory, and the time after the end until puts take as long as before: the first
of 20 in a row that each take no more than twice the 99th percentile of before.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.clients import Measured, kvstore_clients, measure
from benchmarks.local import elections, pids, plan
from benchmarks.machine import facts
from benchmarks.procfs import resident_bytes
from benchmarks.report import facts_table, markdown_table, write
from kvstore import Client, KVStoreError, LocalCluster
from kvstore.bench.histogram import Histogram
from kvstore.bench.workloads import PUT, key_of

IN_A_ROW: Final = 20
PROBES: Final = 200
RECOVERY_S_MAX: Final = 120.0
_LOOK_EVERY_S: Final = 0.2
_PEAK_SHARES: Final = (64, 16, 4)
"""Of the callers of the overload, which part finds the peak."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of overload (30)")
    parser.add_argument("--times", type=float, default=10.0, help="the peak (10)")
    parser.add_argument("--processes", type=int, default=4, help="client processes (4)")
    parser.add_argument("--callers", type=int, default=16_384, help="in each process (16384)")
    parser.add_argument("--peak-seconds", type=float, default=10.0, help="of each peak (10)")
    parser.add_argument("--name", default="overload", help="of the files with the results")
    given = parser.parse_args(arguments)
    with LocalCluster(nodes=3) as cluster, Client(cluster.endpoints, timeout_s=60) as client:
        about = facts(cluster.data_dir) | {
            "processes": given.processes,
            "callers_per_process": given.callers,
            "times": given.times,
        }
        found = run(cluster, client, given)
    table = markdown_table(("", ""), [(name, _cell(value)) for name, value in found.items()])
    write(
        given.name,
        {"about": about, "found": found},
        f"# Overload\n\n{facts_table(about)}\n{table}",
    )
    print(table)


def run(cluster: LocalCluster, client: Client, given: argparse.Namespace) -> dict[str, object]:
    """All of it."""
    nodes = pids(cluster)
    some = [max(1, given.callers // share) for share in _PEAK_SHARES]
    peak_per_s, callers = max((peak_of(cluster, given, each), each) for each in some)
    normal_p99_ns = probe(client).quantile_ns(0.99)
    before = client.status()
    memory_before = [resident_bytes(pid) for pid in nodes]
    with Watch(lambda: max(map(resident_bytes, nodes))) as watch:
        measured = offer(cluster, given, given.times * peak_per_s, given.callers)
    over = measured.outcome
    # The offer ends before its last calls do.
    since_s = measured.ended_s - max(0.0, over.elapsed_s - given.seconds)
    waited_s = time.monotonic() - since_s
    recovery_s = recover(client, 2 * normal_p99_ns)
    after = client.status()
    memory_after = max(map(resident_bytes, nodes))
    peak_after_per_s = peak_of(cluster, given, callers)
    mean_peak_per_s = (peak_per_s + peak_after_per_s) / 2
    latencies = over.latencies()
    delivered_per_s = delivered(over.timeline(), given.seconds)
    return {
        "peak_per_s": round(peak_per_s),
        "peak_after_per_s": round(peak_after_per_s),
        "offered_per_s": round(given.times * peak_per_s),
        "delivered_per_s": round(delivered_per_s),
        "delivered_of_peak": round(delivered_per_s / max(1.0, mean_peak_per_s), 3),
        "failures": dict(over.failures),
        "never_sent": over.overdue,
        "p50_ms_since_due": round(latencies.quantile_ns(0.5) / 1e6, 1),
        "p99_ms_since_due": round(latencies.quantile_ns(0.99) / 1e6, 1),
        "elections": elections(before, after),
        "memory_mib_before": round(max(memory_before) / 2**20),
        "memory_mib_max": round(watch.most / 2**20),
        "memory_mib_after": round(memory_after / 2**20),
        "normal_p99_ms": round(normal_p99_ns / 1e6, 1),
        "seconds_until_normal": None if recovery_s is None else round(waited_s + recovery_s, 2),
        "healthy_after": after.is_healthy,
    }


def offer(
    cluster: LocalCluster, given: argparse.Namespace, rate_per_s: float | None, callers: int
) -> Measured:
    """A load of puts by all processes; a closed loop where there is no rate."""
    load = plan(
        PUT,
        callers,
        given.peak_seconds if rate_per_s is None else given.seconds,
        warm_up_s=1.0,
        rate_per_s=rate_per_s,
        processes=given.processes,
    )
    return measure(kvstore_clients(cluster.endpoints, load), load.warm_up_s, load.seconds)


def peak_of(cluster: LocalCluster, given: argparse.Namespace, callers: int) -> float:
    """Puts a second of a closed loop of so many callers in each process."""
    return offer(cluster, given, None, callers).outcome.operations_per_s


def delivered(timeline: Sequence[int], seconds: float) -> float:
    """Operations a second while the load was offered; what ended later is left out."""
    whole = max(1, int(seconds))
    return sum(timeline[:whole]) / whole


def put_one(client: Client, number: int) -> int | None:
    """How long one put takes, in nanoseconds; None: it failed."""
    began_ns = time.perf_counter_ns()
    try:
        client.put(key_of(number), b"probe", timeout_s=5)
    except KVStoreError:
        return None
    return time.perf_counter_ns() - began_ns


def probe(client: Client) -> Histogram:
    """Puts, one after the other."""
    histogram = Histogram()
    for number in range(PROBES):
        latency_ns = put_one(client, number)
        if latency_ns is None:
            raise SystemExit("a put failed before there was any overload")
        histogram.record(latency_ns)
    return histogram


def recover(
    client: Client,
    normal_ns: int,
    put: Callable[[Client, int], int | None] = put_one,
    clock_s: Callable[[], float] = time.monotonic,
) -> float | None:
    """Seconds until the first of IN_A_ROW puts that take `normal_ns` at most; None: never."""
    began_s = since_s = clock_s()
    in_a_row = 0
    for number in range(1_000_000):
        begun_s = clock_s()
        if begun_s - began_s > RECOVERY_S_MAX:
            return None
        latency_ns = put(client, number % PROBES)
        if latency_ns is None or latency_ns > normal_ns:
            in_a_row = 0
            continue
        if in_a_row == 0:
            since_s = begun_s
        in_a_row += 1
        if in_a_row == IN_A_ROW:
            return since_s - began_s
    return None


class Watch:
    """The most that something was while it was watched."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.most = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.most = max(self.most, self._look())
            if self._ended.wait(_LOOK_EVERY_S):
                return


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return str(value)


if __name__ == "__main__":
    main()
