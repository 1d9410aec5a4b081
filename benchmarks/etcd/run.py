"""Compares kvstore with etcd on this machine: the same work, alternately, on three nodes each.

    python -m benchmarks.etcd.run [--pairs N] [--seconds S] [--only put-256,get-1,…]

For each case both clusters are started with empty data. Both are up all the time, and only one is
under load at a time; what the other spends meanwhile, standing by, is measured and told. A pair is
one run of each; who begins changes from pair to pair. Results: benchmarks/results/NAME.json, and a
table in NAME.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import ClientProcess, Measured, measure
from benchmarks.etcd.build import build, etcd_version, missing_packages
from benchmarks.etcd.cases import CASES, CONNECTIONS, Case, Size, etcd_line, of_etcd, of_kvstore
from benchmarks.etcd.cluster import EtcdCluster
from benchmarks.local import pids, put_keys
from benchmarks.machine import facts
from benchmarks.report import Pairs, facts_table, markdown_table, write
from kvstore import Client, LocalCluster

FIELDS: Final = (
    *("operations_per_second", "p50_ms", "p99_ms"),
    *("server_cpu_s_per_1000", "client_cpu_s_per_1000", "failures"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    given = parser().parse_args(arguments)
    cases = chosen(given.only)
    missing = missing_packages()
    if missing:
        raise SystemExit(
            f"missing Debian packages: {' '.join(missing)} (apt-get install {' '.join(missing)})"
        )
    size = Size(given.seconds, given.warm_up, given.keys, given.value_bytes)
    program = build()
    with tempfile.TemporaryDirectory(prefix="kvstore-bench-", dir=given.dir) as scratch:
        about = facts(Path(scratch)) | {
            "etcd": etcd_version(),
            "pairs": given.pairs,
            "seconds": size.seconds,
            "warm_up_seconds": size.warm_up_s,
            "keys": size.keys,
            "value_bytes": size.value_bytes,
            "nodes": "3 each, defaults; kvstore: 16 partitions, leaders spread unless said",
            "etcd_connections": f"{CONNECTIONS} a client process, 1 where it has one caller",
        }
        found = {
            case.name: compare(case, size, program, Path(scratch) / case.name, given.pairs)
            for case in cases
        }
    write(given.name, {"about": about, "cases": found}, page(about, cases, found))


def parser() -> argparse.ArgumentParser:
    """Of the options."""
    made = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    made.add_argument("--pairs", type=int, default=5, help="runs of each, alternately (5)")
    made.add_argument("--seconds", type=float, default=10.0, help="of each run (10)")
    made.add_argument("--warm-up", type=float, default=2.0, help="seconds before that (2)")
    made.add_argument("--only", default="", help=", ".join(case.name for case in CASES))
    made.add_argument("--keys", type=int, default=10_000)
    made.add_argument("--value-bytes", type=int, default=256)
    made.add_argument("--name", default="etcd", help="of the files with the results (etcd)")
    made.add_argument("--dir", type=Path, help="where the data go, for the time of it")
    return made


def chosen(only: str) -> list[Case]:
    """The cases that `only` names, in their order; all where it is empty. Raises SystemExit."""
    names = [name for name in only.split(",") if name]
    known = [case.name for case in CASES]
    for name in names:
        if name not in known:
            raise SystemExit(f"there is no case {name}; there are {', '.join(known)}")
    return [case for case in CASES if not names or case.name in names]


def compare(case: Case, size: Size, program: Path, folder: Path, pairs: int) -> dict[str, object]:
    """Both clusters, new; then the runs."""
    with (
        LocalCluster(nodes=3, data_dir=folder / "kvstore") as ours,
        EtcdCluster(folder / "etcd") as theirs,
    ):
        prepare(case, size, ours)
        if case.workload.reads:
            line = etcd_line(program, theirs.endpoints, size, ("-load",))
            loader = ClientProcess(line)
            loader.wait_ready()
            loader.end()
        our_pids = pids(ours)
        runs: dict[str, list[dict[str, Any]]] = {"kvstore": [], "etcd": []}
        for pair in range(pairs):
            for name in ("kvstore", "etcd") if pair % 2 == 0 else ("etcd", "kvstore"):
                if name == "kvstore":
                    clients = of_kvstore(case, size, ours.endpoints, pair)
                    servers, idle = our_pids, theirs.pids
                else:
                    clients = of_etcd(case, size, program, theirs.endpoints, pair)
                    servers, idle = theirs.pids, our_pids
                measured = measure(clients, size.warm_up_s, size.seconds, servers, idle)
                runs[name].append(measured.summary())
                say(case, pair, name, measured)
    both = Pairs(runs["kvstore"], runs["etcd"])
    return {"what": case.what, "runs": runs, "summary": both.summary(FIELDS)}


def prepare(case: Case, size: Size, cluster: LocalCluster) -> None:
    """Leaders where the case wants them, and keys where it reads."""
    with Client(cluster.endpoints, timeout_s=60) as client:
        placement = client.gather_leaders("n1") if case.gathered else client.spread_leaders()
        if placement.unsettled:
            raise SystemExit(f"partitions {placement.unsettled} are not led where they should be")
    if case.workload.reads:
        put_keys(cluster.endpoints, size.keys, size.value_bytes)


def say(case: Case, pair: int, name: str, measured: Measured) -> None:
    """A line as it goes."""
    found = measured.summary()
    print(
        f"{case.name} {pair + 1} {name}: {found['operations_per_second']} operations/s,"
        f" p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms,"
        f" servers {found['server_cpu_s_per_1000']} s/1,000, {found['failures']} failures",
        flush=True,
    )


def page(
    about: dict[str, object], cases: Sequence[Case], found: dict[str, dict[str, object]]
) -> str:
    """The tables."""
    rates, times, work = [], [], []
    for case in cases:
        summary: Any = found[case.name]["summary"]
        rate = summary["operations_per_second"]
        rates.append(
            (
                case.what,
                f"{rate['first']:,.0f}",
                f"{rate['second']:,.0f}",
                f"{rate['ratio']:.2f}",
                f"{rate['ratio_min']:.2f} to {rate['ratio_max']:.2f}",
                f"{summary['failures']['first']:.0f}, {summary['failures']['second']:.0f}",
            )
        )
        times.append((case.what, *_both(summary, "p50_ms"), *_both(summary, "p99_ms")))
        work.append(
            (
                case.what,
                *_both(summary, "server_cpu_s_per_1000"),
                *_both(summary, "client_cpu_s_per_1000"),
            )
        )
    return "\n".join(
        (
            "# kvstore and etcd\n",
            "Medians of the pairs; the ratio, kvstore to etcd, is the median of theirs.\n",
            facts_table(about),
            "## Operations per second\n",
            markdown_table(("", "kvstore", "etcd", "ratio", "range of ratios", "failures"), rates),
            "## Latency in ms\n",
            markdown_table(("", "p50 kvstore", "p50 etcd", "p99 kvstore", "p99 etcd"), times),
            "## Processor seconds per 1,000 operations\n",
            markdown_table(
                ("", "nodes kvstore", "nodes etcd", "client kvstore", "client etcd"), work
            ),
        )
    )


def _both(summary: Any, field: str) -> tuple[str, str]:
    return f"{summary[field]['first']:g}", f"{summary[field]['second']:g}"


if __name__ == "__main__":
    main()
