"""What a modest client notices of greedy ones, and of a partition that everybody wants.

    python -m benchmarks.fairness [--rounds N] [--seconds S]

Three nodes with their defaults on this machine. A client with four callers puts: alone, beside
greedy clients (two processes, 1,024 callers each, all keys), and beside a hot key (the same, but
all of them put the same one). And four equal clients put at the same time: what the least of them
gets, of what the most gets. By turns, several rounds; of each figure the median.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.clients import ClientProcess, kvstore_clients
from benchmarks.local import plan, put_keys
from benchmarks.machine import facts
from benchmarks.report import facts_table, markdown_table, middle, write
from kvstore import LocalCluster
from kvstore.bench.load import LoadPlan
from kvstore.bench.outcome import Outcome
from kvstore.bench.workloads import PUT

MODEST_CALLERS: Final = 4
GREEDY_CALLERS: Final = 1024
GREEDY_CLIENTS: Final = 2
EQUAL_CALLERS: Final = 64
EQUAL_CLIENTS: Final = 4
KEYS: Final = 10_000
_GRACE_S: Final = 60.0

FIELDS: Final = ("puts_per_s", "p50_ms", "p99_ms", "failures")
_BESIDE: Final[Mapping[str, int | None]] = {
    "alone": None,
    "beside greedy clients": KEYS,
    "beside a hot key": 1,
}
"""How many keys the greedy clients put; None: there are none."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run (5)")
    parser.add_argument("--name", default="fairness", help="of the files with the results")
    given = parser.parse_args(arguments)
    modest: dict[str, list[dict[str, float]]] = {name: [] for name in _BESIDE}
    others: dict[str, list[dict[str, float]]] = {name: [] for name in _BESIDE}
    shares: list[float] = []
    with LocalCluster(nodes=3) as cluster:
        about = facts(cluster.data_dir) | {"rounds": given.rounds, "seconds": given.seconds}
        put_keys(cluster.endpoints, KEYS, 256)
        for _ in range(given.rounds):
            for name, keys in _BESIDE.items():
                loads = [plan(PUT, MODEST_CALLERS, given.seconds)]
                if keys is not None:
                    loads.append(
                        plan(
                            PUT, GREEDY_CALLERS, given.seconds, keys=keys, processes=GREEDY_CLIENTS
                        )
                    )
                first, *rest = run(cluster.endpoints, loads)
                modest[name].append(figures([first]))
                if rest:
                    others[name].append(figures(rest))
            equal = plan(PUT, EQUAL_CALLERS, given.seconds, processes=EQUAL_CLIENTS)
            rates = [each.operations_per_s for each in run(cluster.endpoints, [equal])]
            shares.append(min(rates) / max(rates))
    found: dict[str, Any] = {
        "modest": {name: _middle(of) for name, of in modest.items()},
        "others": {name: _middle(of) for name, of in others.items() if of},
        "least_of_equals": middle(shares),
        "rounds": {"modest": modest, "others": others, "least_of_equals": shares},
    }
    rows = [
        (who, name, *(f"{of[field]:g}" for field in FIELDS))
        for who in ("modest", "others")
        for name, of in found[who].items()
    ]
    table = markdown_table(("clients", "", "puts/s", "p50 (ms)", "p99 (ms)", "failures"), rows)
    table += (
        f"\nOf {EQUAL_CLIENTS} equal clients the least gets {middle(shares):.0%} of the most.\n"
    )
    write(given.name, {"about": about, **found}, f"# Fairness\n\n{facts_table(about)}\n{table}")
    print(table)


def run(endpoints: str, loads: Sequence[LoadPlan]) -> list[Outcome]:
    """All of `loads` at the same time; what came of each client process, in order."""
    clients: list[ClientProcess] = []
    try:
        for load in loads:
            clients += kvstore_clients(endpoints, load)
        for client in clients:
            client.wait_ready()
        for client in clients:
            client.go()
        time.sleep(max(load.seconds for load in loads))
        return [client.outcome(_GRACE_S) for client in clients]
    finally:
        for client in clients:
            client.end()


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Of some clients together."""
    whole = outcomes[0]
    for other in outcomes[1:]:
        whole.add(other)
    latencies = whole.latencies()
    return {
        "puts_per_s": round(whole.operations_per_s),
        "p50_ms": round(latencies.quantile_ns(0.5) / 1e6, 2),
        "p99_ms": round(latencies.quantile_ns(0.99) / 1e6, 2),
        "failures": float(whole.failures.total()),
    }


def _middle(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {field: middle([run[field] for run in runs]) for field in FIELDS}


if __name__ == "__main__":
    main()
