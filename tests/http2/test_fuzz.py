"""A sample of what `python -m tests.http2.fuzz` runs at length."""

from __future__ import annotations

from tests.http2.fuzz import Fuzzer


def test_bytes_that_nobody_wrote_end_a_connection_and_nothing_else() -> None:
    fuzzer = Fuzzer(seed=0)
    fuzzer.run(3_000)
    outcomes = fuzzer.outcomes
    assert min(outcomes["server ended"], outcomes["client ended"]) > 200
    assert min(outcomes["server goes on"], outcomes["client goes on"]) > 200
    assert min(outcomes["answers"], outcomes["failures"]) > 200
