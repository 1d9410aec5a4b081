"""A sample of what `python -m tests.commitlog.fuzz` runs at length."""

from __future__ import annotations

from tests.commitlog.fuzz import Fuzzer


def test_inputs_that_nobody_wrote_crash_nothing_and_take_no_more_than_a_record() -> None:
    fuzzer = Fuzzer(seed=0)
    fuzzer.run(15_000)
    outcomes = fuzzer.outcomes
    assert {"CorruptionError", "ConfigurationError", "damage", "a log"} <= outcomes.keys()
    assert min(outcomes["damage"], outcomes["a log"], outcomes["records"]) > 1000
