"""The report of a chaos run: what it says, that it is whole, safe and bounded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kvstore.chaos_report.charts import FAULTS_DRAWN_MAX
from kvstore.chaos_report.report import write_report
from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.judge import Limits
from kvstore.verify.judgement import Ruling
from kvstore.verify.operation import Ending, Kind, Operation
from tests.chaos_report.pages import Page, read_page
from tests.chaos_report.runs import BEGIN, MadeUpRun, at, lose_a_write, stormy_run


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = stormy_run(seconds=40, clients=4).write(tmp_path_factory.mktemp("good"))
    assert write_report(directory).verdict is Ruling.FINE
    return directory


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = stormy_run(2, seconds=20, clients=4)
    lose_a_write(run)
    directory = run.write(tmp_path_factory.mktemp("bad"))
    assert write_report(directory).verdict is Ruling.VIOLATION
    return directory


def verdict(directory: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((directory / "verdict.json").read_text())
    return record


def titles(page: Page, class_: str) -> list[str]:
    """What the elements of a class in the chart say when they are pointed at."""
    found = [each for each in page.chart.iter() if each.get("class") == class_]
    return [each.findtext("title") or "" for each in found]


def test_the_verdict_stands_at_the_top(good: Path, bad: Path) -> None:
    assert read_page(good).headings[0] == "Every promise was kept"
    assert ("h1", "data-verdict", "fine") in read_page(good).attributes
    assert read_page(bad).headings[0] == "A promise was broken"
    assert ("header", "class", "violation") in read_page(bad).attributes


def test_a_page_needs_nothing_else(good: Path, bad: Path) -> None:
    for directory in (good, bad):
        page = read_page(directory)
        names = {name for _tag, name, _value in page.attributes}
        assert not names & {"src", "href", "onload", "onclick"}
        assert "<script" not in page.source
        assert "url(" not in page.source.replace("url(#", "")
        assert "@import" not in page.source
        assert len(page.source) < 300_000


def test_faults_are_drawn_when_they_were(bad: Path) -> None:
    page = read_page(bad)
    begins = [
        event
        for line in (bad / "events.jsonl").read_text().splitlines()
        if (event := json.loads(line))["event"] == "fault-begins"
    ]
    told = titles(page, "fault")
    assert len(told) == len(begins) > 1
    for event in begins:
        second = (event["at_ns"] - BEGIN) / 1e9
        words = f"{event['fault']} of {event['targets'][0]}, {second:.1f} s to "
        assert any(title.startswith(words) for title in told)


def test_bars_have_the_place_of_their_seconds(tmp_path: Path) -> None:
    run = MadeUpRun(seconds=100)
    run.fault("kill", 25, 50)
    run.fault("kill", 75, None)
    write_report(run.write(tmp_path))
    chart = read_page(tmp_path).chart
    bars = [each for each in chart.iter("rect") if each.get("class") == "fault"]
    first, second = [(float(e.get("x", "")), float(e.get("width", ""))) for e in bars]
    assert first[1] == pytest.approx(second[1], abs=0.2)
    assert first[0] + 2 * first[1] == pytest.approx(second[0], abs=0.5)
    assert second[0] + second[1] == pytest.approx(1080 - 14, abs=0.2)


def test_throughput_latency_leaders_and_nodes_are_drawn(good: Path) -> None:
    page = read_page(good)
    classes = {each.get("class") for each in page.chart.iter()}
    assert {"reads", "writes", "p50", "p99", "error", "layer c0", "change", "band"} <= classes
    assert {"down", "paused"} & classes
    labels = [each.text for each in page.chart.iter("text")]
    assert {"operations", "latency", "errors", "led by", "n1", "n2", "n3"} <= set(labels)
    moments = [each for each in page.chart.iter("g") if each.get("class") == "pointers"]
    assert len(moments[0]) == 40
    assert re.fullmatch(
        r"0 s to 1 s: \d+/s, p50 \S+ ms, p99 \S+ ms, \d+ failed, \d+ unknown",
        moments[0][0].findtext("title") or "",
    )


def test_the_counterexample_is_a_table_and_a_drawing(bad: Path) -> None:
    page = read_page(bad)
    rows = page.rows_of["counterexample"]
    assert rows[0] == ["client", "operation", "answer", "invoked", "returned"]
    assert len(rows) == 4
    assert rows[3][1] == 'get "register/3"'
    (drawing,) = page.timelines
    bars = [each for each in drawing.iter() if each.get("class") == "kv-operation"]
    assert len(bars) == 3
    assert 'register "register/3": no order explains' in page.text_of["counterexample"]


def test_a_good_run_has_no_counterexample(good: Path) -> None:
    page = read_page(good)
    assert "counterexample" not in page.text_of
    assert page.timelines == []


def test_recovery_is_told_in_election_timeouts(tmp_path: Path) -> None:
    run = MadeUpRun(seconds=60)
    run.fault("kill", 1, 5, after_begin_ms=750, after_end_ms=50)
    run.fault("kill", 10, 15, ["n1", "n2"], after_begin_ms=1500, detail="both")
    run.fault("pause", 20, None)
    write_report(run.write(tmp_path))
    rows = read_page(tmp_path).rows_of["recovery"]
    assert rows[1] == ["kill", "2", "2", "1.5×", "3.0×", "0.1×", "0.1×", "3.0×"]
    assert rows[2] == ["pause", "1", "0", "–", "–", "–", "–", "–"]
    assert rows[3][:3] == ["all", "3", "2"]
    assert rows[5] == ["1.0 s", "kill", "n1", "4.0 s", "750 ms (1.5×)", "50 ms (0.1×)", ""]
    assert rows[6] == ["10.0 s", "kill", "n1, n2", "5.0 s", "1.50 s (3.0×)", "–", "both"]
    assert rows[7][3] == "to the end"
    (kill, _pause, every) = verdict(tmp_path)["recovery"]
    assert kill["after_begin_ms"] == {"p50": 750.0, "p99": 1500.0}
    assert (every["fault"], every["worst_ms"]) == ("all", 1500.0)


def test_errors_are_counted_by_kind(tmp_path: Path) -> None:
    run = MadeUpRun()
    run.say("error", 1, kind="Unavailable", count=3)
    run.say("error", 2, kind="Unavailable", count=4)
    run.say("error", 2, kind="OutcomeUnknown", count=1)
    write_report(run.write(tmp_path))
    rows = read_page(tmp_path).rows_of["errors"]
    assert [row[:2] for row in rows] == [["Unavailable", "7"], ["OutcomeUnknown", "1"]]
    assert verdict(tmp_path)["errors"] == {"Unavailable": 7, "OutcomeUnknown": 1}


def test_seed_and_command_are_there_to_run_it_again(tmp_path: Path) -> None:
    command = ["kvstore", "chaos", "--seed", "17", "--note", "it's <b>"]
    write_report(MadeUpRun(info={"command": command}).write(tmp_path))
    page = read_page(tmp_path)
    assert page.text_of["command"] == "kvstore chaos --seed 17 --note 'it'\"'\"'s <b>'"
    assert ["seed", "17"] in page.rows_of["repeat"]


def test_each_promise_is_told(bad: Path) -> None:
    rows = read_page(bad).rows_of["promises"]
    told = {row[0].split(":")[0]: row[1] for row in rows[1:]}
    assert told == {"registers": "violation", "counters": "fine"}


def test_scripts_are_told_the_same(good: Path, bad: Path) -> None:
    record = verdict(good)
    assert (record["format"], record["verdict"], record["violations"]) == (1, "fine", 0)
    assert record["run"]["seed"] == 17
    assert record["operations"] == sum(record["outcomes"].values())
    assert record["reads"].keys() == {"linearizable"}
    assert 0 < record["latency_ms"]["p50"] < record["latency_ms"]["p99"]
    broken = verdict(bad)
    assert broken["verdict"] == "violation"
    assert broken["findings"][0]["key"] == "register/3"
    assert len(broken["findings"][0]["operations"]) == 3


def test_a_run_that_was_interrupted_says_so(tmp_path: Path, good: Path) -> None:
    write_report(MadeUpRun(info={"interrupted": True, "duration_s": 600.0}).write(tmp_path))
    assert "interrupted; 10 min were asked for" in read_page(tmp_path).source
    assert "interrupted;" not in read_page(good).source


def test_a_run_in_which_nothing_was_asked_is_undecided(tmp_path: Path) -> None:
    directory = MadeUpRun(seconds=0).write(tmp_path)
    (directory / "events.jsonl").unlink()
    assert write_report(directory).verdict is Ruling.UNDECIDED
    page = read_page(directory)
    assert page.headings[0] == "Undecided"
    assert "there is no operation in it" in page.text_of["open"]


def test_what_time_did_not_suffice_for_is_undecided(good: Path, tmp_path: Path) -> None:
    for name in ("run.json", "history.jsonl", "events.jsonl"):
        (tmp_path / name).write_bytes((good / name).read_bytes())
    judgement = write_report(tmp_path, Limits(should_stop=lambda: True))
    assert judgement.verdict is Ruling.UNDECIDED
    assert "no time left" in read_page(tmp_path).text_of["open"]
    assert verdict(tmp_path)["verdict"] == "undecided"


def test_the_total_of_the_banks_comes_from_the_run(tmp_path: Path) -> None:
    read = Operation(1, Kind.BALANCES, b"bank/0", at(1), Ending.OK, at(2), outputs=(b"4", b"5"))
    run = MadeUpRun(history=History([read]), info={"bank_total": 10})
    assert write_report(run.write(tmp_path)).verdict is Ruling.VIOLATION
    assert "add up to 9, not to 10" in read_page(tmp_path).text_of["counterexample"]
    assert write_report(tmp_path, bank_total=9).verdict is Ruling.FINE


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)>\"'&\x00\ud800"
    run = MadeUpRun(
        info={
            **{"command": [nasty], "version": nasty, "target": nasty, "workloads": [nasty]},
            **{"faults": [nasty], "nodes": [nasty]},
        }
    )
    run.fault(nasty, 1, 2, [nasty], after_begin_ms=1, detail=nasty)
    run.say("leaders", 1, leaders={nasty: 3})
    run.say("node", 1, node=nasty, state="down")
    run.say("error", 1, kind=nasty, count=1)
    key = nasty[:-1].encode()
    run.history.add(Operation(1, Kind.PUT, key, at(1), Ending.OK, at(2), input=key))
    run.history.add(Operation(2, Kind.GET, key, at(3), Ending.OK, at(4)))
    run.history.add(Operation(2, Kind.INCREMENT, key + b"?", at(3), Ending.OK, at(4), input=b"1"))
    run.history.add(Operation(2, Kind.PUT, key + b"?", at(3), Ending.OK, at(4), input=b"1"))
    assert write_report(run.write(tmp_path)).verdict is Ruling.VIOLATION
    page = read_page(tmp_path)
    assert not any(tag == "img" or name == "onerror" for tag, name, _value in page.attributes)
    assert "<img" not in page.source
    assert page.chart is not None
    assert len(page.timelines) == 1


def test_a_page_is_bounded_whatever_the_run_was(tmp_path: Path) -> None:
    random = Random(1)
    run = MadeUpRun(seconds=3 * 3600, info={"command": ["x" * 100_000]})
    nodes = [f"node-{number}-{'x' * 200}" for number in range(200)]
    for number in range(1500):
        second = 7.0 * number
        kind = f"{random.randrange(300)} {'y' * 500}"
        run.fault(kind, second, second + 1, nodes[:50], after_begin_ms=5, detail="z" * 5000)
        run.say("node", second, node=random.choice(nodes), state="down")
        run.say("leaders", second, leaders={node: random.randrange(9) for node in nodes[:20]})
        run.say("error", second, kind=f"{random.randrange(500)} {'e' * 500}", count=1)
    for number in range(3000):
        key = b"bank/%d" % (number % 1000) + b"k" * 1000
        outputs = (b"1" * 1000, b"%d" % number)
        times = (at(number), Ending.OK, at(number) + 5)
        read = Operation(number, Kind.BALANCES, key, *times, outputs=outputs)
        run.history.add(read)
        run.history.add(Operation(1, Kind.ADD, key + b"s", *times, input=b"1"))
        run.history.add(Operation(1, Kind.GET, key + b"s", *times))
    assert write_report(run.write(tmp_path), bank_total=0).violations == 3000
    page = read_page(tmp_path)
    assert len(page.source) < 2_000_000
    assert len(titles(page, "fault")) <= FAULTS_DRAWN_MAX
    assert (tmp_path / "verdict.json").stat().st_size < 2_000_000


def test_a_report_is_replaced_whole(good: Path) -> None:
    before = (good / "report.html").read_text()
    assert write_report(good).verdict is Ruling.FINE
    assert (good / "report.html").read_text() == before
    assert {path.name for path in good.iterdir()} == {
        *("run.json", "history.jsonl", "events.jsonl", "report.html", "verdict.json"),
    }


def test_a_history_that_cannot_be_read_leaves_the_old_report(bad: Path, tmp_path: Path) -> None:
    for path in bad.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = (tmp_path / "report.html").read_text()
    (tmp_path / "history.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match=r"history\.jsonl, line 1"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == before


def killed(run: MadeUpRun, directory: Path, cut: int) -> Path:
    """What is left of `run` where it was killed: run.json is from its beginning, and of the other
    files the last `cut` bytes are missing."""
    run.info |= {"ended_ns": BEGIN + 1, "interrupted": True}
    run.write(directory)
    for name in ("history.jsonl", "events.jsonl"):
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content[: len(content) - cut])
    return directory


def test_a_run_that_was_killed_is_judged_by_what_is_whole_and_says_so(tmp_path: Path) -> None:
    run = stormy_run(seconds=20, clients=4)
    judgement = write_report(killed(run, tmp_path, cut=12))
    assert judgement.verdict is Ruling.FINE
    assert judgement.operations == len(run.history.operations) - 1
    record = verdict(tmp_path)
    assert "is torn, and was left out" in record["notes"][0]
    assert record["run"]["length_s"] > 15
    assert "is torn, and was left out" in (tmp_path / "report.html").read_text()


def test_a_run_that_was_killed_between_two_lines_is_missing_its_end_as_well(
    tmp_path: Path,
) -> None:
    run = stormy_run(seconds=20, clients=4)
    late = max(each.returned_ns or 0 for each in run.history.operations) + 1
    key = b"register/late"
    run.history.add(Operation(1, Kind.GET, key, late, Ending.OK, late + 1, output=b"unheard of"))
    judgement = write_report(killed(run, tmp_path, cut=0))
    assert judgement.verdict is Ruling.UNDECIDED
    assert "ended before it could end by itself" in judgement.notes[0]


def test_events_are_torn_at_their_end_only(tmp_path: Path) -> None:
    killed(stormy_run(seconds=20, clients=4), tmp_path, cut=0)
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns":\n' + events.read_text())
    with pytest.raises(ConfigurationError, match=r"events\.jsonl, line 1"):
        write_report(tmp_path)
