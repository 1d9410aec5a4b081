"""What a modest client notices of greedy ones, and of a partition that everybody wants.

    python -m benchmarks.fairness [--rounds N] [--seconds S]

Three nodes with their defaults on this machine. A client with four callers puts: alone, beside
greedy clients (two processes, 1,024 callers each, all keys), and beside a hot key (the same, but
all of them put the same one). Four equal clients put at the same time: what the least of them gets,
of what the most gets. And with all leaders on one node, 256 callers put while all nodes are well,
and while a follower stands still for nine tenths of the time. By turns, several rounds; of each
figure the median.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.clients import ClientProcess, kvstore_clients
from benchmarks.local import plan, put_keys
from benchmarks.machine import facts
from benchmarks.report import facts_table, markdown_table, middle, write
from kvstore import Client, LocalCluster
from kvstore.bench.load import LoadPlan
from kvstore.bench.outcome import Outcome
from kvstore.bench.workloads import PUT

MODEST_CALLERS: Final = 4
GREEDY_CALLERS: Final = 1024
GREEDY_CLIENTS: Final = 2
EQUAL_CALLERS: Final = 64
EQUAL_CLIENTS: Final = 4
MANY_CALLERS: Final = 256
STILL_S: Final = 0.45
AWAKE_S: Final = 0.05
KEYS: Final = 10_000
_GRACE_S: Final = 60.0

FIELDS: Final = ("puts_per_s", "p50_ms", "p99_ms", "failures")
_BESIDE: Final[Mapping[str, int | None]] = {
    "alone": None,
    "all keys": KEYS,
    "a hot key": 1,
}
"""How many keys the greedy clients put; None: there are none."""
_WELL: Final = "256 callers, nodes well"
_SLOW: Final = "256 callers, a follower slow"

Runs = dict[str, list[dict[str, float]]]
"""By name, figures of each run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run (5)")
    parser.add_argument("--name", default="fairness", help="of the files with the results")
    given = parser.parse_args(arguments)
    with LocalCluster(nodes=3) as cluster:
        about = facts(cluster.data_dir) | {"rounds": given.rounds, "seconds": given.seconds}
        put_keys(cluster.endpoints, KEYS, 256)
        runs, shares = beside_others(cluster, given.rounds, given.seconds)
        runs |= with_a_slow_follower(cluster, given.rounds, given.seconds)
    medians = {
        name: {field: middle([one[field] for one in of]) for field in FIELDS}
        for name, of in runs.items()
    }
    pairs = zip(runs[_SLOW], runs[_WELL], strict=True)
    ratio = middle([one["puts_per_s"] / other["puts_per_s"] for one, other in pairs])
    rows = [(name, *(f"{of[field]:g}" for field in FIELDS)) for name, of in medians.items()]
    table = markdown_table(("", "puts/s", "p50 (ms)", "p99 (ms)", "failures"), rows)
    table += (
        f"\nOf {EQUAL_CLIENTS} equal clients the least gets {middle(shares):.0%} of the most."
        f" With a slow follower there are {ratio:.0%} of the puts.\n"
    )
    found = {"medians": medians, "least_of_equals": shares, "slow_to_well": ratio, "runs": runs}
    write(given.name, {"about": about, **found}, f"# Fairness\n\n{facts_table(about)}\n{table}")
    print(table)


def beside_others(cluster: LocalCluster, rounds: int, seconds: float) -> tuple[Runs, list[float]]:
    """The modest client and its greedy ones, and what the least of equal clients gets."""
    runs: Runs = {}
    shares: list[float] = []
    for _ in range(rounds):
        for name, keys in _BESIDE.items():
            loads = [plan(PUT, MODEST_CALLERS, seconds)]
            if keys is not None:
                loads.append(
                    plan(PUT, GREEDY_CALLERS, seconds, keys=keys, processes=GREEDY_CLIENTS)
                )
            modest, *greedy = run(cluster.endpoints, loads)
            runs.setdefault(f"modest, {name}", []).append(figures([modest]))
            if greedy:
                runs.setdefault(f"greedy, {name}", []).append(figures(greedy))
        equal = plan(PUT, EQUAL_CALLERS, seconds, processes=EQUAL_CLIENTS)
        rates = [each.operations_per_s for each in run(cluster.endpoints, [equal])]
        shares.append(min(rates) / max(rates))
    return runs, shares


def with_a_slow_follower(cluster: LocalCluster, rounds: int, seconds: float) -> Runs:
    """Many callers, one leader for all: with nodes that are well, and with a slow one."""
    runs: Runs = {_WELL: [], _SLOW: []}
    lead_all_on(cluster)
    many = plan(PUT, MANY_CALLERS, seconds)
    for _ in range(rounds):
        runs[_WELL].append(figures(run(cluster.endpoints, [many])))
        with slowed(follower_pid(cluster)):
            runs[_SLOW].append(figures(run(cluster.endpoints, [many])))
    return runs


def lead_all_on(cluster: LocalCluster) -> None:
    """All partitions are led by the first node."""
    with Client(cluster.endpoints) as client:
        client.gather_leaders(next(iter(cluster.node_ids)))


def follower_pid(cluster: LocalCluster) -> int:
    """Of the last node, which leads nothing then."""
    pid = cluster.status()[-1].pid
    assert pid is not None
    return pid


@contextlib.contextmanager
def slowed(pid: int) -> Iterator[None]:
    """Lets a process stand still for most of the time."""
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(STILL_S)
            os.kill(pid, signal.SIGCONT)
            over.wait(AWAKE_S)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


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


if __name__ == "__main__":
    main()
