"""What is compared: the same work for either, in each one's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.clients import ClientProcess, kvstore_clients
from kvstore.bench.load import LoadPlan
from kvstore.bench.workloads import GET, PUT, Workload, batches

CONNECTIONS: Final = 4
"""etcd clients in one process, shared by its callers; one for a process with one caller."""
BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison."""

    name: str
    what: str
    workload: Workload
    callers: int
    processes: int = 1
    gathered: bool = False
    """All partitions of kvstore are led by one node, as everything of etcd is."""


CASES: Final = (
    Case("put-256", "put, 256 callers", PUT, 256),
    Case("put-1024", "put, 1,024 callers", PUT, 1024),
    Case("put-256-gathered", "put, 256 callers, one leader for all", PUT, 256, gathered=True),
    Case("put-1024-gathered", "put, 1,024 callers, one leader for all", PUT, 1024, gathered=True),
    Case("get-256", "linearizable get, 256 callers", GET, 256),
    Case("get-1024", "linearizable get, 1,024 callers", GET, 1024),
    Case("batch-64", "batches of 64 puts, 16 callers", batches(BATCH), 16),
    Case("put-1", "put, 1 caller", PUT, 1),
    Case("get-1", "linearizable get, 1 caller", GET, 1),
    Case("connections-32", "put, 32 client processes, 1 caller each", PUT, 1, 32),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much, for all cases."""

    seconds: float
    warm_up_s: float
    keys: int
    value_bytes: int


def of_kvstore(case: Case, size: Size, endpoints: str, seed: int) -> list[ClientProcess]:
    """The client processes of one run."""
    plan = LoadPlan(
        case.workload,
        case.callers,
        size.keys,
        size.value_bytes,
        size.seconds,
        size.warm_up_s,
        None,
        seed,
        case.processes,
    )
    return kvstore_clients(endpoints, plan)


def of_etcd(
    case: Case, size: Size, program: Path, endpoints: str, seed: int
) -> list[ClientProcess]:
    """The same for etcd."""
    op = {PUT.name: "put", GET.name: "get"}.get(case.workload.name, "txn")
    return [
        ClientProcess(
            etcd_line(
                program,
                endpoints,
                size,
                ("-op", op, "-callers", str(case.callers)),
                ("-txn-puts", str(case.workload.batch), "-connections", str(CONNECTIONS)),
                ("-seed", str((seed * case.processes + process) * case.callers)),
            )
        )
        for process in range(case.processes)
    ]


def etcd_line(program: Path, endpoints: str, size: Size, *more: Sequence[str]) -> list[str]:
    """The command line of the load generator."""
    return [
        *(str(program), "-endpoints", endpoints),
        *("-seconds", str(size.seconds), "-warm-up", str(size.warm_up_s)),
        *("-keys", str(size.keys), "-value-bytes", str(size.value_bytes)),
        *(word for words in more for word in words),
    ]
