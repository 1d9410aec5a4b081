"""Runs a mixed load for half an hour, and fails where memory, files, disk or latency are not flat.

    python -m benchmarks.soak [--seconds S] [--sample-seconds S]

Three nodes with their defaults on this machine, one client process. Once a minute their memory,
files and disks are looked at. Flat is what, in the last third of the samples, has a median that is
not beyond the median of the second third by more than LIMITS say; the first third is for logs,
tables and caches to reach their sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.clients import kvstore_clients, measure
from benchmarks.local import pids, plan, put_keys
from benchmarks.machine import facts
from benchmarks.procfs import open_files, resident_bytes, usage
from benchmarks.report import facts_table, markdown_table, write
from kvstore import LocalCluster
from kvstore.bench.load import LoadPlan
from kvstore.bench.workloads import KeyChoice, Kind, Workload

SAMPLES_MIN: Final = 6
LIMITS: Final[Mapping[str, float]] = {
    "memory_mib": 0.05,
    "open_files": 0.10,
    "files": 0.10,
    "disk_mib": 0.15,
    "p50_ms": 0.25,
    "p99_ms": 0.50,
}
"""By how much of what it was in the second third each may be more in the last one."""
# What counts are is small, and one more is no trend.
_SLACK: Final[Mapping[str, float]] = {"open_files": 3.0, "files": 3.0}

MIX: Final = Workload(
    "soak",
    {Kind.READ: 0.5, Kind.UPDATE: 0.4, Kind.READ_MODIFY_WRITE: 0.09, Kind.SCAN: 0.01},
    KeyChoice.ZIPFIAN,
)


@dataclass(frozen=True, slots=True)
class Trend:
    """How one figure went."""

    field: str
    second_third: float
    last_third: float
    limit: float
    is_flat: bool


def trends(samples: Sequence[Mapping[str, float]]) -> list[Trend]:
    """Of each figure that has a limit; raises ValueError where there are too few samples."""
    if len(samples) < SAMPLES_MIN:
        raise ValueError(f"there are {len(samples)} samples; a trend needs {SAMPLES_MIN}")
    third = len(samples) // 3
    found = []
    for field, limit in LIMITS.items():
        then = median(sample[field] for sample in samples[-2 * third : -third])
        last = median(sample[field] for sample in samples[-third:])
        is_flat = last <= then * (1.0 + limit) + _SLACK.get(field, 0.0)
        found.append(Trend(field, then, last, limit, is_flat))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; exit code 1 where something is not flat."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=1800.0, help="in all (1800)")
    parser.add_argument("--sample-seconds", type=float, default=60.0, help="per sample (60)")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--value-bytes", type=int, default=256)
    parser.add_argument("--name", default="soak", help="of the files with the results (soak)")
    given = parser.parse_args(arguments)
    count = int(given.seconds / given.sample_seconds)
    if count < SAMPLES_MIN:
        raise SystemExit(
            f"{given.seconds:g} s are {count} samples; a trend needs {SAMPLES_MIN}:"
            " give more --seconds or fewer --sample-seconds"
        )
    with LocalCluster(nodes=3) as cluster:
        about = facts(cluster.data_dir) | {"callers": given.callers, "keys": given.keys}
        put_keys(cluster.endpoints, given.keys, given.value_bytes)
        samples: list[Mapping[str, float]] = []
        for number in range(count):
            load = plan(
                MIX,
                given.callers,
                given.sample_seconds,
                keys=given.keys,
                value_bytes=given.value_bytes,
                seed=number,
            )
            samples.append(sample(cluster, load))
            print(*(f"{name}={value:g}" for name, value in samples[-1].items()), flush=True)
    found = trends(samples)
    rows = [
        (t.field, f"{t.second_third:g}", f"{t.last_third:g}", f"+{t.limit:.0%}", _word(t))
        for t in found
    ]
    table = markdown_table(("", "second third", "last third", "may be", ""), rows)
    columns = list(samples[0])
    each = [(n + 1, *(f"{s[c]:g}" for c in columns)) for n, s in enumerate(samples)]
    text = f"# Soak\n\n{facts_table(about)}\n{table}\n{markdown_table(('sample', *columns), each)}"
    write(given.name, {"about": about, "samples": samples}, text)
    print(table)
    if not all(trend.is_flat for trend in found):
        raise SystemExit(1)


def sample(cluster: LocalCluster, load: LoadPlan) -> dict[str, float]:
    """Does `load`, and looks at the nodes, all together, when it is done."""
    outcome = measure(kvstore_clients(cluster.endpoints, load), 0.0, load.seconds).outcome
    files, taken = usage(cluster.data_dir)
    nodes = pids(cluster)
    latencies = outcome.latencies()
    return {
        "memory_mib": round(sum(map(resident_bytes, nodes)) / 2**20, 1),
        "open_files": sum(map(open_files, nodes)),
        "files": files,
        "disk_mib": round(taken / 2**20, 1),
        "operations_per_second": round(outcome.operations_per_s),
        "p50_ms": latencies.quantile_ns(0.5) / 1e6,
        "p99_ms": latencies.quantile_ns(0.99) / 1e6,
        "failures": outcome.failures.total(),
    }


def _word(trend: Trend) -> str:
    return "flat" if trend.is_flat else "NOT FLAT"


if __name__ == "__main__":
    main()
