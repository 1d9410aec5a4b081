"""The commands against three real nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvstore.local import LocalCluster
from tests.conftest import Command, Finished, is_healthy, one_sentence, status_when

pytestmark = pytest.mark.process


def objects(finished: Finished) -> list[Any]:
    """The JSON objects of a result, one a line."""
    assert finished.code == 0, finished.err
    return [json.loads(line) for line in finished.out.splitlines()]


def test_a_value_comes_back_byte_for_byte(at_cluster: Command) -> None:
    assert at_cluster("put", "bytes/text", "grüße\t1\n").code == 0
    got = at_cluster("get", "bytes/text")
    assert (got.code, got.out, got.err) == (0, "grüße\t1\n".encode(), "")


def test_a_value_is_read_from_standard_input(cluster: LocalCluster, at_cluster: Command) -> None:
    value = bytes(range(256)) * 100
    line = (sys.executable, "-m", "kvstore", "put", "bytes/input", "-")
    assert subprocess.run(line, input=value, capture_output=True, check=True).stderr == b""
    assert at_cluster("get", "bytes/input").out == value


def test_a_missing_key_is_exit_code_1_and_no_output(at_cluster: Command) -> None:
    for name in ("get", "delete"):
        finished = at_cluster(name, "bytes/missing")
        assert finished.code == 1
        assert one_sentence(finished) == "there is no key bytes/missing"


def test_delete_takes_a_key_away(at_cluster: Command) -> None:
    at_cluster("put", "bytes/short-lived", "1")
    assert at_cluster("delete", "bytes/short-lived").code == 0
    assert at_cluster("get", "bytes/short-lived").code == 1


def test_a_key_may_begin_with_a_dash(at_cluster: Command) -> None:
    assert at_cluster("put", "--", "-dash", "-1").code == 0
    assert at_cluster("get", "--", "-dash").out == b"-1"


def test_get_takes_a_level_and_gives_a_receipt(at_cluster: Command) -> None:
    assert at_cluster("put", "bytes/level", "1").code == 0
    plain = at_cluster("get", "bytes/level", "--receipt")
    assert (plain.code, plain.out) == (0, b"1")
    assert "receipt: node n" in plain.err
    assert "level linearizable" in plain.err
    (first,) = objects(at_cluster("get", "bytes/level", "--receipt", "--output", "json"))
    token = first["receipt"]["token"]
    (then,) = objects(
        at_cluster("get", "bytes/level", "--token", token, "--receipt", "--output", "json")
    )
    assert then["receipt"]["level"] == "session"
    assert then["receipt"]["index"] >= first["receipt"]["index"]
    (stale,) = objects(
        at_cluster("get", "bytes/level", "--max-staleness", "5", "--receipt", "--output", "json")
    )
    assert 0 <= stale["receipt"]["age_s"] <= 5
    for arguments, sentence in (
        (("--consistency", "stale"), "needs --max-staleness"),
        (("--consistency", "session", "--max-staleness", "5"), "for --consistency stale only"),
        (("--consistency", "some"), "consistency is 'some'"),
        (("--token", "nonsense"), "token cannot be used"),
    ):
        refused = at_cluster("get", "bytes/level", *arguments)
        assert refused.code == 5
        assert sentence in one_sentence(refused)


def test_json_has_the_same_shape_for_every_key(at_cluster: Command) -> None:
    raw = b"json/\xff".decode(errors="surrogateescape")
    (put,) = objects(at_cluster("--output", "json", "put", raw, "1"))
    assert put["key"] == {"base64": "anNvbi//"}
    assert put["revision"] >= 1
    (first,) = objects(at_cluster("get", raw, "--output", "json"))
    at_cluster("put", raw, "2")
    (second,) = objects(at_cluster("get", "--output=json", raw))
    history = {"version", "create_revision", "mod_revision", "expiry_ms"}
    assert first.keys() == {"key", "value", *history}
    assert (second["value"], second["version"]) == ("2", first["version"] + 1)
    assert second["create_revision"] == first["create_revision"]
    assert second["mod_revision"] > first["mod_revision"]
    (deleted,) = objects(at_cluster("--output", "json", "delete", raw))
    assert deleted == {"key": {"base64": "anNvbi//"}, "deleted": True}
    again = at_cluster("--output", "json", "delete", raw)
    assert (again.code, json.loads(again.out)["deleted"]) == (1, False)


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (("--prefix", "scan/"), "abcd"),
        (("--prefix", "scan/", "--limit", "2"), "ab"),
        (("--prefix", "scan/", "--limit", "0"), ""),
        (("--start", "scan/b", "--end", "scan/d"), "bc"),
        (("--prefix", "scan/", "--start", "scan/c"), "cd"),
        (("--prefix", "scan/none"), ""),
    ],
)
def test_a_scan_is_in_order_and_within_its_bounds(
    at_cluster: Command, options: tuple[str, ...], keys: str
) -> None:
    for key in "dbca":
        at_cluster("put", f"scan/{key}", key.upper())
    expected = [f"scan/{key}" for key in keys]
    assert at_cluster("scan", "--keys-only", *options).out.decode().split() == expected
    lines = at_cluster("scan", *options).out.decode().splitlines()
    assert lines == [f"{key}\t{key[-1].upper()}" for key in expected]
    found = objects(at_cluster("--output", "json", "scan", *options))
    assert found == [{"key": key, "value": key[-1].upper()} for key in expected]


def test_tables_show_what_simple_shows(at_cluster: Command) -> None:
    at_cluster("put", "table/[bold]key", "[red]\x1b[31mvalue")
    for arguments in (("get", "table/[bold]key"), ("scan", "--prefix", "table/")):
        text = at_cluster("--output", "table", *arguments).out.decode()
        assert "table/[bold]key" in text
        assert r"[red]\x1b[31mvalue" in text


def test_a_value_beyond_the_limit_is_refused(at_cluster: Command, tmp_path: Path) -> None:
    finished = at_cluster("put", "limits/value", "x" * ((1 << 20) + 1))
    assert finished.code == 5
    assert one_sentence(finished) == "value has 1048577 bytes; the limit is 1048576"
    assert at_cluster("get", "x" * 5000).code == 5


def test_locate_names_partition_leader_and_replicas(
    at_cluster: Command, cluster: LocalCluster
) -> None:
    status_when(at_cluster, is_healthy)
    (place,) = objects(at_cluster("--output", "json", "locate", "locate/key"))
    assert place.keys() == {"key", "partition", "leader", "replicas"}
    assert place["key"] == "locate/key"
    assert 0 <= place["partition"] < 16
    assert sorted(place["replicas"]) == ["n1", "n2", "n3"]
    assert place["leader"] in cluster.node_ids
    assert (
        f"partition {place['partition']}, leader "
        in at_cluster("locate", "locate/key").out.decode()
    )
    together = objects(at_cluster("--output", "json", "locate", "{locate/key}/other"))
    assert together[0]["partition"] == place["partition"]


def test_status_shows_nodes_partitions_leaders_and_lag(at_cluster: Command) -> None:
    status = status_when(at_cluster, is_healthy)
    assert [node["node"] for node in status["nodes"]] == ["n1", "n2", "n3"]
    assert all(node["reachable"] for node in status["nodes"])
    assert [group["partition"] for group in status["partitions"]] == list(range(16))
    for group in (status["meta"], *status["partitions"]):
        assert group["leader"] in group["replicas"]
        assert set(group["lag"]) == set(group["replicas"]) - {group["leader"]}
    simple = at_cluster("status").out.decode().splitlines()
    assert len(simple) == 1 + 3 + 17
    assert all(" lag_ms=" in line and " round_ms=" in line for line in simple[1:4])
    assert "partition" in at_cluster("--output", "table", "status").out.decode()


def test_health_is_asked_of_one_node(at_cluster: Command, cluster: LocalCluster) -> None:
    for address in cluster.addresses.values():
        assert at_cluster("health", address).code == 0
    assert at_cluster("health").code == 0


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
def test_what_was_exported_is_imported(at_cluster: Command, tmp_path: Path, suffix: str) -> None:
    prefix = f"files{suffix}/"
    rows = [{"key": f"{prefix}{number:03}", "value": f"v{number}"} for number in range(300)]
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (imported,) = objects(at_cluster("--output", "json", "import", str(source)))
    assert imported["records"] == 300
    assert imported["records_per_second"] > 0
    target = tmp_path / f"target{suffix}"
    exported = at_cluster("export", str(target), "--prefix", prefix)
    assert exported.out.startswith(b"exported 300 records in ")
    assert at_cluster("import", str(target)).out.startswith(b"imported 300 records in ")
    again = tmp_path / f"again{suffix}"
    at_cluster("export", str(again), "--prefix", prefix)
    assert again.read_bytes() == target.read_bytes()


def test_any_bytes_are_imported_and_exported(at_cluster: Command, tmp_path: Path) -> None:
    # {"base64": "YmluYXJ5L/8="} is b"binary/\xff"
    row = '{"key": {"base64": "YmluYXJ5L/8="}, "value": {"base64": "AP8="}}\n'
    source = tmp_path / "binary.jsonl"
    source.write_text(row)
    assert at_cluster("import", str(source)).code == 0
    assert at_cluster("get", b"binary/\xff".decode(errors="surrogateescape")).out == b"\x00\xff"
    target = tmp_path / "out.jsonl"
    assert at_cluster("export", str(target), "--prefix", "binary/").code == 0
    assert target.read_text() == row


def test_of_a_key_on_several_lines_the_last_stays(at_cluster: Command, tmp_path: Path) -> None:
    source = tmp_path / "twice.jsonl"
    lines = [{"key": f"twice/{n % 3}", "value": str(n)} for n in range(999)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert at_cluster("import", str(source)).code == 0
    assert (
        at_cluster("scan", "--prefix", "twice/").out
        == b"twice/0\t996\ntwice/1\t997\ntwice/2\t998\n"
    )


def test_a_wrong_line_ends_an_import_and_what_stands_before_it_is_put(
    at_cluster: Command, tmp_path: Path
) -> None:
    source = tmp_path / "wrong.jsonl"
    source.write_text('{"key": "wrong/1", "value": "1"}\n{"key": "wrong/2"}\n')
    finished = at_cluster("import", str(source))
    assert finished.code == 2
    assert finished.err.splitlines() == [
        "kvstore: 1 records had been put when the import ended",
        f'kvstore: {source}, line 2: not an object with "key" and "value", and nothing else',
    ]
    assert at_cluster("get", "wrong/1").out == b"1"


def test_a_value_that_is_too_large_ends_an_import_with_its_key(
    at_cluster: Command, tmp_path: Path
) -> None:
    source = tmp_path / "large.jsonl"
    source.write_text(json.dumps({"key": "large/1", "value": "x" * (2 << 20)}) + "\n")
    finished = at_cluster("import", str(source))
    assert finished.code == 5
    assert "key large/1: value has 2097152 bytes; the limit is 1048576" in finished.err


def test_export_of_nothing_is_an_empty_file(at_cluster: Command, tmp_path: Path) -> None:
    target = tmp_path / "none.jsonl"
    assert at_cluster("export", str(target), "--prefix", "no such keys/").code == 0
    assert target.read_bytes() == b""


def test_leaders_are_gathered_on_a_node_and_spread_again(at_cluster: Command) -> None:
    (gathered,) = objects(at_cluster("leaders", "gather", "n2", "--output", "json"))
    assert gathered["settled"] is True
    assert gathered["nodes"]["n2"] == {"leads": 16, "preferred": 16}
    refused = at_cluster("leaders", "gather", "n9")
    assert refused.code == 5
    assert "node is 'n9'; the cluster has n1, n2, n3" in one_sentence(refused)
    spread = at_cluster("leaders", "spread").out.decode().splitlines()
    assert sorted(line.split()[2] for line in spread) == ["leads=5", "leads=5", "leads=6"]


def test_bench_counts_what_it_does(at_cluster: Command, tmp_path: Path) -> None:
    short = ("--seconds", "0.5", "--warm-up", "0.1", "--keys", "100", "--output", "json")
    picture = tmp_path / "load.svg"
    for name, *more in (
        ("put",),
        ("get",),
        ("mixed", "--reads", "0.9", "--rate", "300"),
        ("ycsb-e", "--plot", str(picture)),
        ("batch", "--batch", "16"),
        ("connections", "--processes", "2"),
    ):
        (found,) = objects(at_cluster("bench", name, *more, *short))
        assert found["workload"] == name
        assert found["failures"] == 0
        assert found["operations"] > 0
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["p99.9_ms"] <= found["max_ms"]
        assert found["operations_per_second"] == pytest.approx(
            found["operations"] / found["seconds"], rel=0.01, abs=1
        )
        calls = sum(kind["calls"] for kind in found["kinds"].values())
        assert calls * found["batch"] == found["operations"]
        assert found["latency_since"] == ("due" if found["rate"] else "asked")
    assert picture.read_text().startswith("<svg")
    assert "scan: " in at_cluster("bench", "ycsb-e", *short[:-2]).out.decode()
    assert "asked" in at_cluster("bench", "put", *short[:-1], "table").out.decode()


def test_keys_survive_the_death_of_their_leader(at_cluster: Command, cluster: LocalCluster) -> None:
    status_when(at_cluster, is_healthy)
    at_cluster("put", "death/key", "before")
    (place,) = objects(at_cluster("--output", "json", "locate", "death/key"))
    leader = place["leader"]
    at = ("--data-dir", str(cluster.data_dir))
    assert at_cluster("local", "kill", leader, *at).code == 0
    try:
        assert at_cluster("get", "death/key").out == b"before"
        assert at_cluster("put", "death/key", "after").code == 0

        def misses_the_leader(status: Any) -> bool:
            down = [node["node"] for node in status["nodes"] if not node["reachable"]]
            return down == [leader]

        assert status_when(at_cluster, misses_the_leader)["healthy"] is False
    finally:
        assert at_cluster("local", "start", leader, *at).code == 0
    assert at_cluster("get", "death/key").out == b"after"


def test_scrub_compares_all_partitions_or_those_that_are_named(at_cluster: Command) -> None:
    (found,) = objects(at_cluster("scrub", "--output", "json"))
    assert found["agreed"]
    assert [each["partition"] for each in found["partitions"]] == ["meta", *range(16)]
    for each in found["partitions"]:
        assert each["verdict"] == "agreed"
        assert [replica["finding"] for replica in each["replicas"]] == ["sound"] * 3
        assert len({replica["hash"] for replica in each["replicas"]}) == 1
    simple = at_cluster("scrub", "--partition", "3", "--partition", "5")
    lines = simple.out.decode().splitlines()
    assert [line.split()[1] for line in lines] == ["3", "5"]
    assert all("n1=sound n2=sound n3=sound agreed" in line for line in lines)
    assert (
        "2 of 2 partitions"
        in at_cluster(
            *("scrub", "--partition", "3", "--partition", "5", "--output", "table")
        ).out.decode()
    )
    status = status_when(at_cluster, is_healthy)
    assert all(node["scrubs"] >= 17 for node in status["nodes"])
    assert all(node["scrub_mismatches"] == 0 for node in status["nodes"])


def test_scrub_of_a_partition_that_is_not_there_is_refused(at_cluster: Command) -> None:
    finished = at_cluster("scrub", "--partition", "16")
    assert finished.code == 5
    assert one_sentence(finished) == "partition is 16; it must be 0 to 15"
