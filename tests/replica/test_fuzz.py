"""A sample of what `python -m tests.replica.fuzz` runs at length."""

from __future__ import annotations

from tests.replica.fuzz import Fuzzer


def test_a_state_that_counts_as_whole_was_sent_whatever_else_arrives() -> None:
    fuzzer = Fuzzer(seed=0)
    fuzzer.run(20_000)
    outcomes = fuzzer.outcomes
    for outcome in ("rounds", "DecodeError", "CodecError", "refused", "acknowledged"):
        assert outcomes[outcome] > 100, outcomes
    assert outcomes["whole states"] > 50, outcomes
