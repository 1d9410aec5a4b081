"""What the measurements make of what they see."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import procfs
from benchmarks.clients import ClientFailed, ClientProcess, measure
from benchmarks.local import elections, settle, terms
from benchmarks.machine import facts
from benchmarks.overload import IN_A_ROW, RECOVERY_S_MAX, delivered, recover
from benchmarks.report import Pairs, markdown_table
from benchmarks.scaling import comparisons
from benchmarks.soak import LIMITS, SAMPLES_MIN, trends
from cluster.ids import GroupId
from kvstore.client import Client, ClusterStatus, GroupStatus

NOBODY = cast("Client", None)


# At rest


@pytest.mark.parametrize(
    ("spent", "looks", "rests"),
    [
        ([1.5, 1.0, 0.05, 0.05], 3, True),
        ([0.01], 1, True),
        ([1.0] * 5, 5, False),
    ],
)
def test_nodes_rest_once_they_take_next_to_no_processor_time(
    spent: list[float], looks: int, rests: bool
) -> None:
    total, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        total.append(total[-1] + spent[len(slept) - 1])

    assert settle([7], within_s=5, cpu_s=lambda _pids: total[-1], sleep=sleep) is rests
    assert len(slept) == looks


# Soak


def samples(values: list[float], field: str = "memory_mib") -> list[dict[str, float]]:
    return [dict.fromkeys(LIMITS, 100.0) | {field: value} for value in values]


def not_flat(values: list[float], field: str = "memory_mib") -> list[str]:
    return [trend.field for trend in trends(samples(values, field)) if not trend.is_flat]


def test_what_grew_in_the_first_third_only_is_flat() -> None:
    assert not_flat([10, 50, 90, 100, 101, 99, 100, 102, 100]) == []


def test_what_goes_on_growing_is_not() -> None:
    assert not_flat([10, 20, 30, 40, 50, 60, 70, 80, 90]) == ["memory_mib"]


@pytest.mark.parametrize("field", LIMITS)
def test_each_figure_has_its_limit(field: str) -> None:
    more = 100 * (1 + LIMITS[field])
    slack = 3.0 if "files" in field else 0.0
    assert not_flat([100.0] * 4 + [more + slack] * 2, field) == []
    assert not_flat([100.0] * 4 + [more + slack + 0.1] * 2, field) == [field]


def test_a_trend_needs_samples() -> None:
    with pytest.raises(ValueError, match=f"needs {SAMPLES_MIN}"):
        trends(samples([1.0] * (SAMPLES_MIN - 1)))


# Overload


class Puts:
    """Puts that take as long as they are told, on a clock of their own."""

    def __init__(self, takes_ms: Iterator[float | None]) -> None:
        self.now_s = 0.0
        self._takes_ms = takes_ms

    def clock_s(self) -> float:
        return self.now_s

    def put(self, _client: Client, _number: int) -> int | None:
        took_ms = next(self._takes_ms)
        self.now_s += (1000.0 if took_ms is None else took_ms) / 1000
        return None if took_ms is None else int(took_ms * 1e6)


def recovered(*takes_ms: float | None, then: float | None) -> float | None:
    def all_of_them() -> Iterator[float | None]:
        yield from takes_ms
        while True:
            yield then

    puts = Puts(all_of_them())
    return recover(NOBODY, 10_000_000, puts.put, puts.clock_s)


def test_normal_again_is_from_the_first_of_many_quick_puts_on() -> None:
    assert recovered(then=5.0) == 0.0
    assert recovered(500.0, None, then=5.0) == pytest.approx(1.5)
    quick = [5.0] * (IN_A_ROW - 1)
    assert recovered(*quick, 500.0, then=5.0) == pytest.approx(0.595)


def test_what_never_gets_normal_is_given_up() -> None:
    assert recovered(then=500.0) is None
    assert recovered(then=None) is None
    assert RECOVERY_S_MAX < 600


def test_delivered_is_what_ended_while_it_was_offered() -> None:
    assert delivered([10, 20, 30, 500], 3.5) == 20


def test_elections_are_terms_that_began() -> None:
    def status(*terms_of: int | None) -> ClusterStatus:
        meta, *others = (GroupStatus(GroupId(n), (), None, t) for n, t in enumerate(terms_of))
        return ClusterStatus("c", 1, (), meta, tuple(others))

    assert terms(status(3, None, 2)) == {0: 3, 2: 2}
    assert elections(status(3, 1, 2), status(4, 1, 5)) == 4
    assert elections(status(3, 1, 2), status(3, None, 2)) == 0


# Pairs


def test_ratios_are_of_pairs_and_not_of_medians() -> None:
    pairs = Pairs([{"x": 2}, {"x": 9}, {"x": 8}], [{"x": 1}, {"x": 3}, {"x": 4}])
    found = pairs.summary(["x"])["x"]
    assert found["ratios"] == [2, 3, 2]
    assert (found["first"], found["second"], found["ratio"]) == (8, 3, 2)
    assert (found["ratio_min"], found["ratio_max"]) == (2, 3)


def test_there_is_no_ratio_to_nothing() -> None:
    found = Pairs([{"x": 2}], [{"x": 0}]).summary(["x"])["x"]
    assert (found["ratios"], found["ratio"]) == ([], 0)


def test_a_table_is_markdown() -> None:
    assert markdown_table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_each_comparison_differs_in_one_thing() -> None:
    assert list(comparisons(10**6)) == ["partitions", "partitions-peak", "keys", "values"]
    for each in comparisons(10**6).values():
        first, second = each.first, each.second
        differing = [
            getattr(first, field) != getattr(second, field)
            for field in ("partitions", "keys", "value_bytes")
        ]
        assert differing.count(True) == 1


# What the system says


def test_processor_time_memory_and_files_of_a_process() -> None:
    me = os.getpid()
    before_s = procfs.cpu_seconds(me)
    deadline_s = time.process_time() + 0.1
    while time.process_time() < deadline_s:
        pass
    assert procfs.cpu_seconds_of([me]) - before_s >= 0.05
    assert procfs.resident_bytes(me) > 1 << 20
    with Path("/proc/self/stat").open():
        assert procfs.open_files(me) >= 1


def test_usage_counts_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(bytes(10_000))
    (tmp_path / "two").write_bytes(b"")
    files, taken = procfs.usage(tmp_path)
    assert files == 2
    assert 8192 <= taken <= 1 << 20


def test_the_machine_is_described(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert found["cores"] == os.cpu_count()
    assert all(value for name, value in found.items() if name != "load_before")


# Client processes


def script(code: str) -> ClientProcess:
    return ClientProcess((sys.executable, "-c", code))


HONEST = """
import json, sys, time
print(json.dumps({"ready": True}), flush=True)
assert sys.stdin.readline() == "go\\n"
print(json.dumps({"calls": 1}), flush=True)
end = time.process_time() + 0.3
while time.process_time() < end: pass
print(json.dumps({"outcome": {"kinds": {"read": {"buckets": {"5": 1000}, "max_ns": 5}},
    "per_second": [1000], "failures": {}, "overdue": 0, "elapsed_s": 0.5, "batch": 1}}), flush=True)
sys.stdin.readline()
"""


def test_clients_are_measured_from_outside_and_added_up() -> None:
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as server:
        measured = measure([script(HONEST), script(HONEST)], 0.0, 1.0, [server.pid], [])
    found: dict[str, Any] = measured.summary()
    assert (found["operations"], found["operations_per_second"]) == (2000, 4000)
    assert measured.client_cpu_s >= 0.5
    assert measured.server_cpu_s <= 0.3
    assert found["client_cpu_s_per_1000"] == pytest.approx(measured.client_cpu_s / 2, abs=1e-4)


def test_a_client_that_ends_early_is_an_error() -> None:
    with pytest.raises(ClientFailed, match="ended"):
        measure([script("print('{\"ready\": true}')")], 0.0, 1.0)
    with pytest.raises(ClientFailed, match="not get ready"):
        measure([script("print('{}')")], 0.0, 1.0)
