"""The comparison with etcd asks both for the same, and says what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.etcd import build, run
from benchmarks.etcd.cases import CASES, Size, etcd_line
from benchmarks.etcd.run import FIELDS, chosen, main, page
from benchmarks.report import Pairs

SIZE = Size(10.0, 2.0, 10_000, 256)


def test_cases_are_chosen_by_name_in_their_own_order() -> None:
    assert [case.name for case in chosen("get-1,put-256")] == ["put-256", "get-1"]
    assert chosen("") == list(CASES)
    with pytest.raises(SystemExit, match="there is no case put-7; there are put-256, put-1024"):
        chosen("put-256,put-7")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "go" else name)
    monkeypatch.setattr(build, "_LIBRARY", Path("/nonexistent"))
    assert build.missing_packages() == ["golang-go", "golang-etcd-server-dev"]
    monkeypatch.setattr(run, "missing_packages", lambda: ["etcd-server"])
    with pytest.raises(SystemExit, match="missing Debian packages: etcd-server "):
        main(["--only", "put-1"])


def test_the_load_generator_is_told_the_size() -> None:
    line = etcd_line(Path("/p"), "a:1,b:2", SIZE, ("-op", "put"))
    assert line == [
        *("/p", "-endpoints", "a:1,b:2", "-seconds", "10.0", "-warm-up", "2.0"),
        *("-keys", "10000", "-value-bytes", "256", "-op", "put"),
    ]


def test_both_have_the_same_buckets_and_keys() -> None:
    source = (Path(build.__file__).with_name("load.go")).read_text()
    assert "const bucketBits = 7" in source
    assert 'Sprintf("bench/%08d", number)' in source


def test_the_page_has_medians_of_both_and_of_the_ratios() -> None:
    def of(rate: int) -> dict[str, Any]:
        return dict.fromkeys(FIELDS, 1.0) | {"operations_per_second": rate, "failures": 0}

    pairs = Pairs([of(300), of(100), of(200)], [of(100), of(100), of(50)])
    text = page({"cpu": "some"}, CASES[:1], {"put-256": {"summary": pairs.summary(FIELDS)}})
    assert "| put, 256 callers | 200 | 100 | 3.00 | 1.00 to 4.00 | 0, 0 |" in text
    assert "| cpu | some |" in text
