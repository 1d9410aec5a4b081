"""A client is told of writes that were applied, and of no others."""

from __future__ import annotations

import pytest

from cluster.raft.messages import Entry
from kvstore.codec.command import OperationKind, encode_command
from kvstore.simulation.checkers.applied_before_answered import AppliedBeforeAnswered
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import TWO, Observed, entry


def puts(index: int, **values: bytes) -> Entry:
    keys = [name.encode() for name in values]
    kinds = bytes([OperationKind.PUT] * len(keys))
    return entry(index, 1, encode_command(kinds, keys, list(values.values())))


LOG = [entry(1, 1), puts(2, a=b"1", b=b"2"), puts(3, a=b"3")]


@pytest.fixture
def checker() -> AppliedBeforeAnswered:
    """A replica has applied the first two entries of LOG, and holds the third."""
    checker, replica = AppliedBeforeAnswered(), Observed()
    checker.on_change(replica.change(log=LOG))
    checker.on_change(replica.change(log=LOG, commit=2, applied=2))
    return checker


@pytest.mark.parametrize(("key", "value"), [(b"a", b"1"), (b"b", b"2")])
def test_what_was_applied_may_be_answered(
    checker: AppliedBeforeAnswered, key: bytes, value: bytes
) -> None:
    checker.on_done(key, value)


@pytest.mark.parametrize(("key", "value"), [(b"a", b"3"), (b"a", b"2"), (b"c", b"1")])
def test_what_nobody_applied_and_somebody_was_told_is_found(
    checker: AppliedBeforeAnswered, key: bytes, value: bytes
) -> None:
    with pytest.raises(Violation, match="no replica has applied that"):
        checker.on_done(key, value)


def test_it_does_not_matter_who_applied_it(checker: AppliedBeforeAnswered) -> None:
    other = Observed(TWO)
    checker.on_change(other.change(log=LOG))
    checker.on_change(other.change(log=LOG, commit=3, applied=3))
    checker.on_done(b"a", b"3")


def test_what_a_start_finds_applied_was_seen_before(checker: AppliedBeforeAnswered) -> None:
    replica = Observed()
    checker.on_change(replica.change(log=LOG, commit=2, applied=2))
    checker.on_change(replica.change(log=LOG, commit=3, applied=3))
    checker.on_done(b"a", b"3")
