"""What a put costs the nodes, by how many callers there are: rounds, messages, syncs, processor.

    python -m benchmarks.costs [--callers 1,64,256,1024] [--runs N] [--seconds S]

Three nodes with their defaults on this machine, leaders spread over them and then gathered on one.
Rounds, messages and syncs are counted by the nodes themselves, processor time by the system; all
three nodes together, per put. What a cluster does without any load is in it. Of several runs, each
figure is the median.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.clients import kvstore_clients, measure
from benchmarks.local import pids, plan
from benchmarks.machine import facts
from benchmarks.report import facts_table, markdown_table, middle, write
from kvstore import Client, LocalCluster
from kvstore.bench.workloads import PUT
from kvstore.client import ClusterStatus

FIELDS: Final = ("puts_per_s", "rounds", "messages", "syncs", "node_cpu_us", "client_cpu_us")
_COLUMNS: Final = (
    *("leaders", "callers", "puts/s", "rounds", "messages", "syncs"),
    *("CPU of the nodes (µs)", "of the client (µs)"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all nodes, since they started."""

    rounds: int
    messages: int
    syncs: int

    @classmethod
    def of(cls, status: ClusterStatus) -> Counts:
        """Raises SystemExit where a node did not answer."""
        if not all(node.is_reachable for node in status.nodes):
            raise SystemExit("a node does not answer")
        return cls(
            sum(node.rounds or 0 for node in status.nodes),
            sum(node.messages_sent or 0 for node in status.nodes),
            sum(node.log_syncs or 0 for node in status.nodes),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--callers", default="1,64,256,1024", help="(1,64,256,1024)")
    parser.add_argument("--runs", type=int, default=3, help="of each (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run (5)")
    parser.add_argument("--name", default="costs", help="of the files with the results")
    given = parser.parse_args(arguments)
    callers = [int(each) for each in given.callers.split(",")]
    found: dict[str, dict[str, dict[str, float]]] = {}
    with LocalCluster(nodes=3) as cluster, Client(cluster.endpoints, timeout_s=60) as client:
        about = facts(cluster.data_dir) | {"runs": given.runs, "seconds": given.seconds}
        for leaders in ("spread", "gathered"):
            if leaders == "gathered":
                client.gather_leaders(next(iter(cluster.node_ids)))
            runs: dict[int, list[dict[str, float]]] = {each: [] for each in callers}
            for _ in range(given.runs):
                for each in callers:
                    runs[each].append(run(cluster, client, each, given.seconds))
            found[leaders] = {
                str(each): {name: middle([one[name] for one in of]) for name in FIELDS}
                for each, of in runs.items()
            }
    rows = [
        (leaders, f"{int(each):,}", *(_cell(figures[name]) for name in FIELDS))
        for leaders, of in found.items()
        for each, figures in of.items()
    ]
    table = markdown_table(_COLUMNS, rows)
    write(
        given.name,
        {"about": about, "found": found},
        f"# What a put costs\n\n{facts_table(about)}\n{table}",
    )
    print(table)


def run(cluster: LocalCluster, client: Client, callers: int, seconds: float) -> dict[str, float]:
    """One load of puts, and what it cost per put."""
    load = plan(PUT, callers, seconds, warm_up_s=0.0)
    before = Counts.of(client.status())
    measured = measure(kvstore_clients(cluster.endpoints, load), 0.0, seconds, pids(cluster))
    after = Counts.of(client.status())
    puts = measured.outcome.operations
    if not puts:
        raise SystemExit(f"no put succeeded with {callers} callers")
    return {
        "puts_per_s": round(puts / measured.outcome.elapsed_s),
        "rounds": (after.rounds - before.rounds) / puts,
        "messages": (after.messages - before.messages) / puts,
        "syncs": (after.syncs - before.syncs) / puts,
        "node_cpu_us": measured.server_cpu_s / puts * 1e6,
        "client_cpu_us": measured.client_cpu_s / puts * 1e6,
    }


def _cell(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3f}"


if __name__ == "__main__":
    main()
