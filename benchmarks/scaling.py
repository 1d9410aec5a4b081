"""What partitions, keys and the size of values cost: two clusters that differ in one of them.

    python -m benchmarks.scaling [--pairs N] [--seconds S] [--only NAME,NAME]

Three nodes each, on this machine, under load one after the other, again and again; who begins
changes from pair to pair. Before the first run what loading the keys left to be compacted is done;
what the runs leave is part of them. The ratio is of the second to the first, as its median over the
pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.clients import kvstore_clients, measure
from benchmarks.local import pids, plan, put_keys, settle
from benchmarks.machine import facts
from benchmarks.report import Pairs, facts_table, markdown_table, write
from kvstore import LocalCluster
from kvstore.bench.load import LoadPlan
from kvstore.bench.workloads import GET, PUT, Workload

CALLERS: Final = 256
PEAK_CALLERS: Final = 4096
"""So many that more would not bring more."""
FIELDS: Final = (
    *("operations_per_second", "bytes_per_second", "p50_ms", "p99_ms"),
    "server_cpu_s_per_1000",
)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    name: str
    partitions: int = 16
    keys: int = 10_000
    value_bytes: int = 256


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two that differ in one thing."""

    name: str
    first: Side
    second: Side
    callers: int = CALLERS
    workloads: tuple[Workload, ...] = (PUT, GET)


def comparisons(many_keys: int) -> dict[str, Comparison]:
    """By name."""
    few, many = Side("4 partitions", partitions=4), Side("64 partitions", partitions=64)
    made = (
        Comparison("partitions", few, many),
        Comparison("partitions-peak", few, many, PEAK_CALLERS),
        Comparison("keys", Side("10,000 keys"), Side(f"{many_keys:,} keys", keys=many_keys)),
        Comparison("values", Side("256 B"), Side("16 KiB", value_bytes=16 << 10)),
    )
    return {each.name: each for each in made}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run (10)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before that (2)")
    parser.add_argument("--only", default="", help="partitions, partitions-peak, keys, values")
    parser.add_argument("--many-keys", type=int, default=1_000_000)
    parser.add_argument("--name", default="scaling", help="of the files with the results")
    given = parser.parse_args(arguments)
    known = comparisons(given.many_keys)
    names = [name for name in given.only.split(",") if name] or list(known)
    for name in names:
        if name not in known:
            raise SystemExit(f"there is no comparison {name}; there are {', '.join(known)}")
    about: dict[str, object] = {}
    found: dict[str, Any] = {}
    for name in names:
        found |= compare(known[name], given, about)
    rows = [
        (
            each["what"],
            field,
            f"{summary['first']:g}",
            f"{summary['second']:g}",
            f"{summary['ratio']:.2f}",
            f"{summary['ratio_min']:.2f} to {summary['ratio_max']:.2f}",
        )
        for each in found.values()
        for field, summary in each["summary"].items()
    ]
    table = markdown_table(("", "", "first", "second", "second to first", "range"), rows)
    write(
        given.name, {"about": about, "found": found}, f"# Scaling\n\n{facts_table(about)}\n{table}"
    )
    print(table)


def compare(
    comparison: Comparison, given: argparse.Namespace, about: dict[str, object]
) -> dict[str, object]:
    """Both clusters, new, and the runs of each workload."""
    sides = (comparison.first, comparison.second)
    with (
        LocalCluster(nodes=3, partitions=sides[0].partitions) as one,
        LocalCluster(nodes=3, partitions=sides[1].partitions) as other,
    ):
        clusters = (one, other)
        about |= facts(one.data_dir) | {"pairs": given.pairs}
        for side, cluster in zip(sides, clusters, strict=True):
            put_keys(cluster.endpoints, side.keys, side.value_bytes)
            if not settle(pids(cluster)):
                print(f"{side.name}: the nodes still compact what was loaded", flush=True)
        found: dict[str, object] = {}
        for workload in comparison.workloads:
            runs: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = ([], [])
            for pair in range(given.pairs):
                for which in (0, 1) if pair % 2 == 0 else (1, 0):
                    load = plan(
                        workload,
                        comparison.callers,
                        given.seconds,
                        keys=sides[which].keys,
                        value_bytes=sides[which].value_bytes,
                        warm_up_s=given.warm_up,
                        seed=pair,
                    )
                    run = run_one(load, clusters[which])
                    runs[which].append(run)
                    print(
                        f"{comparison.name} {workload.name} {pair + 1} {sides[which].name}:"
                        f" {run['operations_per_second']} operations/s, p99 {run['p99_ms']} ms",
                        flush=True,
                    )
            # The second to the first.
            summary = Pairs(runs[1], runs[0]).summary(FIELDS)
            for each in summary.values():
                each["first"], each["second"] = each["second"], each["first"]
            callers = f"{comparison.callers:,} callers"
            what = f"{workload.name}, {callers}: {sides[0].name}, {sides[1].name}"
            found[f"{comparison.name} {workload.name}"] = {
                "what": what,
                "runs": runs,
                "summary": summary,
            }
    return found


def run_one(load: LoadPlan, cluster: LocalCluster) -> dict[str, Any]:
    """One run."""
    clients = kvstore_clients(cluster.endpoints, load)
    found = measure(clients, load.warm_up_s, load.seconds, pids(cluster)).summary()
    rate = found["operations_per_second"]
    assert isinstance(rate, int)
    return found | {"bytes_per_second": rate * load.value_bytes}


if __name__ == "__main__":
    main()
