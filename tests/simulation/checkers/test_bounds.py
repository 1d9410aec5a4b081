"""Nothing grows without bound."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.ids import Index
from cluster.raft.ready import Role
from kvstore.codec.command import CLIENT_ID_BYTES, Stamp
from kvstore.replica.scrubber import READINGS_MAX
from kvstore.simulation.checkers.bounded_hosts import BoundedHosts
from kvstore.simulation.checkers.bounded_replicas import BoundedReplicas
from kvstore.simulation.checkers.bounded_sessions import BoundedSessions
from kvstore.simulation.checkers.violation import Violation
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.sessions import WINDOW, SessionTable
from tests.simulation.checkers.observations import (
    GROUP,
    FakeCluster,
    FakeNode,
    FakeState,
    Observed,
    entry,
    peer,
    status,
)

LOG = [entry(1, 1), entry(2, 1)]


def lead(applied: int, **told: Any) -> None:
    seen = Observed()
    seen.replica.core.told = status(last_index=Index(2), **told)
    BoundedReplicas().on_change(seen.change(Role.LEADER, commit=2, applied=applied, log=LOG))


@pytest.mark.parametrize(
    ("applied", "told"),
    [
        (2, {}),
        (1, {"uncommitted_bytes": 5}),
        (1, {"peers": (peer(1, inflight_messages=128, inflight_bytes=1 << 24),)}),
        (1, {"peers": (peer(1, inflight_messages=1, inflight_bytes=1 << 30),)}),
    ],
)
def test_what_is_within_bounds_is_right(applied: int, told: dict[str, Any]) -> None:
    lead(applied, **told)


@pytest.mark.parametrize(
    ("applied", "told", "sentence"),
    [
        (2, {"uncommitted_bytes": 5}, "5 bytes count as uncommitted"),
        (1, {"reads_waiting": 1 << 20}, "reads wait"),
        (1, {"peers": (peer(1, inflight_messages=129),)}, "129 messages are under way to 2"),
        (
            1,
            {"peers": (peer(1, inflight_messages=2, inflight_bytes=1 << 30),)},
            "bytes are under way to 2",
        ),
        (1, {"peers": (peer(2, inflight_messages=1),)}, "it has everything, and 1 messages"),
    ],
)
def test_what_leaks_or_exceeds_is_found(applied: int, told: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Violation, match=sentence):
        lead(applied, **told)


def test_proposals_stand_in_the_log_or_where_it_was_cut() -> None:
    checker, seen = BoundedReplicas(), Observed()
    seen.replica.proposed = 2
    checker.on_change(seen.change(Role.LEADER, log=LOG))
    checker.on_change(seen.change(term=2, log=LOG[:1]))
    with pytest.raises(Violation, match="waits for 2 proposals, with 1 entries to apply"):
        checker.on_change(seen.change(term=2, commit=1, applied=1, log=LOG[:1]))


def test_a_host_at_rest_has_nothing_under_way() -> None:
    BoundedHosts().at_end(FakeCluster([FakeNode()]))


def admitted(node: FakeNode) -> None:
    assert node.host.admission.enter("one", 3, 100) is None


def bundle_on_its_way(node: FakeNode) -> None:
    node.host.pipeline._pending.append(None)  # type: ignore[arg-type]


def read_that_waits(node: FakeNode) -> None:
    node.replica.waiting_reads.append(None)


@pytest.mark.parametrize(
    ("leave", "sentence"),
    [
        (admitted, "at rest, there are 3 requests"),
        (bundle_on_its_way, "there are 1 bundles on their way"),
        (read_that_waits, "there are 1 requests that wait in group 1"),
    ],
)
def test_what_is_left_at_rest_is_found(leave: Any, sentence: str) -> None:
    node = FakeNode()
    leave(node)
    BoundedHosts().on_round(node)
    with pytest.raises(Violation, match=sentence):
        BoundedHosts().at_end(FakeCluster([node]))


def test_more_that_leave_than_entered_are_found() -> None:
    node = FakeNode()
    assert node.host.admission.enter("one", 1, 0) is None
    node.host.admission.leave("one", 2, 0)
    with pytest.raises(Violation, match="more requests have left"):
        BoundedHosts().on_round(node)


def test_more_bytes_than_are_admitted_are_found() -> None:
    node = FakeNode()
    node.host.admission.enter("one", 1, 1 << 30)
    with pytest.raises(Violation, match="bytes of requests are under way"):
        BoundedHosts().on_round(node)


def test_a_queue_to_the_disk_that_only_grows_is_found() -> None:
    node = FakeNode()
    node.host.pipeline._pending.extend([None] * 5000)  # type: ignore[list-item]
    with pytest.raises(Violation, match="5000 bundles wait for the disk"):
        BoundedHosts().on_round(node)


def test_a_log_that_stays_in_memory_is_found() -> None:
    node = FakeNode()
    BoundedHosts().on_persisted(node)
    node.log.cached_bytes = 1 << 30
    with pytest.raises(Violation, match="bytes of group 1's log are in memory"):
        BoundedHosts().on_persisted(node)


def test_views_that_are_opened_without_end_are_found() -> None:
    node = FakeNode()
    node.host.scrubber.readings = READINGS_MAX
    BoundedHosts().on_round(node)
    node.host.scrubber.readings += 1
    with pytest.raises(Violation, match="17 views of scrubs are open"):
        BoundedHosts().on_round(node)


def serve(sessions: int, sequences: int, sessions_max: int) -> None:
    """A partition to which so many sessions have written so often."""
    engine, seen = MemoryEngine(), Observed()
    table = SessionTable(engine, GROUP, 0, Index(0))
    for client in range(sessions):
        for sequence in range(1, sequences + 1):
            stamp = Stamp(client.to_bytes(CLIENT_ID_BYTES, "big"), sequence, 1, 0)
            table.keep(stamp, Index(sequence), b"")
    seen.replica.state = FakeState(sessions_max=sessions_max, sessions_read=table)
    BoundedSessions().on_change(seen.change(applied=1, commit=1, log=LOG))


def test_as_many_sessions_and_results_as_may_be_are_right() -> None:
    serve(sessions=2, sequences=WINDOW, sessions_max=2)


def test_a_session_too_many_is_found() -> None:
    with pytest.raises(Violation, match="keeps 3 sessions, and may keep 2"):
        serve(sessions=3, sequences=1, sessions_max=2)


def test_a_result_too_many_is_found() -> None:
    with pytest.raises(Violation, match="keeps 257 results of one session"):
        serve(sessions=1, sequences=WINDOW + 1, sessions_max=2)
