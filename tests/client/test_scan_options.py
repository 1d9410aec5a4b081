"""Scans in reverse, from cursors, and as of one moment; counts and deleted ranges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.client import AsyncClient, counting, range_delete
from kvstore.client import scan as scan_module
from kvstore.codec.scan import ViewAction
from kvstore.errors import InvalidArgument, OutcomeUnknown, ScanExpired, Unavailable
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, until

Entries = dict[bytes, bytes]


@pytest.fixture
async def filled(kv: AsyncClient, cluster: FakeCluster) -> Entries:
    """300 entries, and pages of at most 7 keys."""
    cluster.page_keys_max = 7
    entries = {f"{i % 3}/{i:03}".encode(): f"value-{i}".encode() for i in range(300)}
    await asyncio.gather(*(kv.put(key, value) for key, value in entries.items()))
    return entries


async def keys_of(scan: Any) -> list[bytes]:
    return [key async for key in scan]


# --- in reverse


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({}, lambda key: True),
        ({"prefix": b"1/"}, lambda key: key.startswith(b"1/")),
        ({"prefix": "1/", "start": "1/150"}, lambda key: b"1/150" <= key < b"10"),
        ({"start": "1/", "end": "1/150"}, lambda key: b"1/" <= key < b"1/150"),
        ({"start": "1/", "end": "1/"}, lambda key: False),
    ],
)
@pytest.mark.parametrize("limit", [None, 0, 1, 5, 50, 1000])
async def test_a_reverse_scan_goes_from_the_last_key_down(
    kv: AsyncClient,
    filled: Entries,
    bounds: dict[str, Any],
    wanted: Callable[[bytes], bool],
    limit: int | None,
) -> None:
    expected = sorted((key for key in filled if wanted(key)), reverse=True)[:limit]
    assert await keys_of(kv.scan_keys(**bounds, limit=limit, reverse=True)) == expected
    entries = [entry async for entry in kv.scan(**bounds, limit=limit, reverse=True)]
    assert entries == [(key, filled[key]) for key in expected]


async def test_keys_that_begin_alike_are_in_reverse_too(kv: AsyncClient) -> None:
    keys = [b"a", b"a\0", b"a\0\0", b"a\xff", b"a\xff\xff", b"ab", b"b", b"\xff"]
    await asyncio.gather(*(kv.put(key, "") for key in keys))
    assert await keys_of(kv.scan_keys(reverse=True)) == sorted(keys, reverse=True)


async def test_reverse_is_true_or_false(kv: AsyncClient) -> None:
    with pytest.raises(InvalidArgument, match="reverse must be True or False, not int"):
        kv.scan(reverse=1)  # type: ignore[arg-type]  # what is tested


# --- cursors


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("given_first", [0, 1, 57, 99, 100])
async def test_a_scan_goes_on_in_another_client_where_its_cursor_says(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries, reverse: bool, given_first: int
) -> None:
    whole = await keys_of(kv.scan_keys(prefix="1/", reverse=reverse))
    scan = kv.scan(prefix="1/", reverse=reverse)
    first = [(await anext(scan))[0] for _ in range(given_first)]
    cursor = scan.cursor
    await scan.aclose()
    async with AsyncClient(cluster.endpoints, random=Random(2)) as other:
        rest = await keys_of(other.scan_keys(cursor=cursor))
        limited = await keys_of(other.scan_keys(cursor=cursor, limit=10))
    assert first + rest == whole
    assert limited == rest[:10]


async def test_a_scan_by_many_cursors_is_one_scan(kv: AsyncClient, filled: Entries) -> None:
    found: list[bytes] = []
    scan = kv.scan_keys(limit=13)
    while page := await keys_of(scan):
        found += page
        scan = kv.scan_keys(cursor=scan.cursor, limit=13)
    assert found == sorted(filled)


async def test_a_cursor_shows_what_was_written_behind_it(kv: AsyncClient, filled: Entries) -> None:
    scan = kv.scan_keys(prefix="1/", limit=5)
    found = await keys_of(scan)
    await kv.put(b"0/before", "")
    await kv.put(found[-1] + b"x", "")
    assert (await keys_of(kv.scan_keys(cursor=scan.cursor)))[0] == found[-1] + b"x"


async def test_a_cursor_of_another_cluster_is_refused(kv: AsyncClient, filled: Entries) -> None:
    scan = kv.scan_keys()
    await anext(scan)
    async with fake.running() as other:
        other.cluster_id = "elsewhere"
        async with AsyncClient(other.endpoints) as stranger:
            with pytest.raises(InvalidArgument, match="is of cluster fake-cluster, not elsewhere"):
                await anext(stranger.scan_keys(cursor=scan.cursor))
    await scan.aclose()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[:-1], "damaged"),
        (lambda text: "", "damaged, or no cursor at all"),
        (lambda text: "begin anew", "not base64"),
        (lambda text: text[:5] + ("A" if text[5] != "A" else "B") + text[6:], "checksum"),
        (lambda text: "é" + text, "not base64"),
    ],
)
async def test_a_damaged_cursor_is_refused_at_the_call(
    kv: AsyncClient, change: Callable[[str], str], why: str
) -> None:
    cursor = kv.scan_keys(prefix="1/").cursor
    with pytest.raises(InvalidArgument, match=f"the cursor cannot be used.*{why}"):
        kv.scan_keys(cursor=change(cursor))


@pytest.mark.parametrize("more", [{"prefix": ""}, {"start": "a"}, {"end": "b"}, {"reverse": True}])
async def test_a_cursor_stands_alone(kv: AsyncClient, more: dict[str, Any]) -> None:
    cursor = kv.scan_keys().cursor
    with pytest.raises(InvalidArgument, match="give it alone"):
        kv.scan_keys(cursor=cursor, **more)
    with pytest.raises(InvalidArgument, match="cursor must be a str, not bytes"):
        kv.scan_keys(cursor=cursor.encode())  # type: ignore[arg-type]  # what is tested


# --- as of one moment


async def overwrite(kv: AsyncClient, filled: Entries) -> None:
    """Changes, adds and deletes keys everywhere."""
    await asyncio.gather(
        *(kv.put(key, "changed") for key in list(filled)[::2]),
        *(kv.delete(key) for key in list(filled)[1::3]),
        *(kv.put(key + b"x", "new") for key in filled),
    )


def views(cluster: FakeCluster) -> int:
    return sum(len(partition.views) for partition in cluster.partitions)


@pytest.mark.parametrize("reverse", [False, True])
async def test_a_consistent_scan_shows_what_there_was_when_it_began(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries, reverse: bool
) -> None:
    revisions = {number: each.revision for number, each in enumerate(cluster.partitions)}
    scan = kv.scan(consistent=True, reverse=reverse)
    found = [await anext(scan)]
    assert scan.revisions == revisions
    await overwrite(kv, filled)
    found += [entry async for entry in scan]
    assert found == sorted(filled.items(), reverse=reverse)
    assert scan.revisions == revisions
    assert views(cluster) == 0


async def test_other_scans_have_no_revisions(kv: AsyncClient, filled: Entries) -> None:
    scan = kv.scan()
    await keys_of(scan)
    assert scan.revisions == {}


async def test_a_consistent_scan_of_nothing_has_revisions(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    scan = kv.scan(prefix="none", consistent=True)
    assert await keys_of(scan) == []
    assert scan.revisions == {n: each.revision for n, each in enumerate(cluster.partitions)}
    assert views(cluster) == 0


async def test_a_consistent_scan_that_is_left_early_closes_its_views(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    async with contextlib.aclosing(kv.scan(consistent=True)) as scan:
        await anext(scan)
        assert views(cluster) == len(cluster.partitions)
    assert views(cluster) == 0


async def test_a_consistent_scan_that_nobody_holds_closes_its_views(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    scan = kv.scan(consistent=True)
    await anext(scan)
    del scan
    await until(lambda: views(cluster) == 0)


async def test_a_consistent_scan_whose_view_is_gone_raises(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    scan = kv.scan_keys(consistent=True)
    assert await anext(scan) == min(filled)
    cluster.partitions[1].views.clear()
    with pytest.raises(ScanExpired, match="the view is gone"):
        await keys_of(scan)
    assert views(cluster) == 0


async def test_a_page_of_another_revision_is_not_mixed_in(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    scan = kv.scan_keys(consistent=True)
    await anext(scan)
    for partition in cluster.partitions:
        for number, (data, revision) in list(partition.views.items()):
            partition.views[number] = data, revision + 1
    with pytest.raises(ScanExpired, match="begin the scan anew"):
        await keys_of(scan)


async def test_an_opening_that_is_asked_again_finds_the_view_it_opened(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    node = cluster.nodes[1]
    node.faults.append(fake.unanswered)
    scan = kv.scan_keys(consistent=True)
    assert await anext(scan) == min(filled)
    opened = [s.view for s in cluster.partitions[0].scans if s.view_action is ViewAction.OPEN]
    assert len(opened) == 2
    assert views(cluster) == len(cluster.partitions)
    await scan.aclose()


async def test_views_that_wait_for_their_turn_are_kept_alive(
    kv: AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most keys are of one partition, and all of another come after them."""
    monkeypatch.setattr(scan_module, "KEEP_AFTER_S", 0.0)
    cluster.page_keys_max = 5
    early = [b"{t}%03d" % number for number in range(60)]
    waiting = next(n for n in range(4) if n != cluster.partition_of(early[0]))
    last = [b"~" + key for key in cluster.keys_of(waiting, 40) if cluster.partition_of(b"~" + key)]
    await asyncio.gather(*(kv.put(key, "") for key in early + last))
    scan = kv.scan_keys(consistent=True)
    assert await keys_of(scan) == sorted(early + last)
    kept = [s for p in cluster.partitions for s in p.scans if s.view_action is ViewAction.KEEP]
    assert len(kept) > 5
    assert len({s.view for s in kept}) == 1


async def test_two_consistent_scans_at_once_have_views_of_their_own(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    first, second = kv.scan(consistent=True), kv.scan(consistent=True)
    await anext(first)
    await kv.put("0/000", "changed")
    assert await anext(second) == (b"0/000", b"changed")
    assert views(cluster) == 2 * len(cluster.partitions)
    await first.aclose()
    assert len(await keys_of(second)) == len(filled) - 1


# --- pinned


async def test_a_pinned_scan_goes_on_in_another_client_as_of_the_same_moment(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    async with contextlib.aclosing(kv.scan(consistent=True)) as scan:
        found = [await anext(scan) for _ in range(100)]
        cursor, revisions = scan.pin(), scan.revisions
    assert views(cluster) == len(cluster.partitions), "they stay"
    await overwrite(kv, filled)
    async with AsyncClient(cluster.endpoints, random=Random(2)) as other:
        rest = other.scan(cursor=cursor)
        found += [entry async for entry in rest]
        assert rest.revisions == revisions
    assert found == sorted(filled.items())
    assert views(cluster) == 0, "who goes on closes them"


async def test_only_a_consistent_scan_under_way_can_be_pinned(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    plain, early, over = kv.scan_keys(), kv.scan(consistent=True), kv.scan_keys(consistent=True)
    await anext(plain)
    await keys_of(over)
    for scan in (plain, early, over):
        with pytest.raises(InvalidArgument, match="only a consistent scan can be pinned"):
            scan.pin()
    assert views(cluster) == 0


async def test_what_was_pinned_can_be_let_go_of(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    async with contextlib.aclosing(kv.scan_keys(consistent=True)) as scan:
        await anext(scan)
        cursor = scan.pin()
    await kv.unpin(cursor)
    assert views(cluster) == 0
    with pytest.raises(ScanExpired):
        await keys_of(kv.scan_keys(cursor=cursor))
    with pytest.raises(InvalidArgument, match="of no consistent scan"):
        await kv.unpin(kv.scan_keys().cursor)
    with pytest.raises(InvalidArgument, match="consistent is given together"):
        kv.scan(cursor=cursor, consistency="session")


# --- counting


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({}, lambda key: True),
        ({"prefix": b"1/"}, lambda key: key.startswith(b"1/")),
        ({"start": "1/", "end": "1/150"}, lambda key: b"1/" <= key < b"1/150"),
        ({"start": "2", "end": "1"}, lambda key: False),
        ({"prefix": "none"}, lambda key: False),
    ],
)
async def test_keys_are_counted(
    kv: AsyncClient, filled: Entries, bounds: dict[str, Any], wanted: Callable[[bytes], bool]
) -> None:
    assert await kv.count(**bounds) == sum(map(wanted, filled))


async def test_counting_sends_no_keys_but_where_a_page_ended(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    assert await kv.count() == 300
    asked = [scan for partition in cluster.partitions for scan in partition.scans]
    assert len(asked) > 300 / 7
    assert all(scan.count and scan.limit == counting.PAGE_KEYS_MAX for scan in asked)


async def test_a_count_fails_as_a_whole(kv: AsyncClient, cluster: FakeCluster) -> None:
    cluster.nodes[2].always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
    with pytest.raises(Unavailable, match="no majority"):
        await kv.count(timeout_s=0.5)


# --- deleting a range


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_delete, "PAGE_KEYS_MAX", 30)


async def test_a_range_is_deleted_in_pages_and_nothing_else_is(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries, small_pages: None
) -> None:
    told: list[int] = []
    assert await kv.delete_range(prefix="1/", progress=told.append) == 100
    assert told == [30, 60, 90, 100]
    assert cluster.data == {key: v for key, v in filled.items() if not key.startswith(b"1/")}
    assert await kv.delete_range(prefix="1/", progress=told.append) == 0
    assert await kv.delete_range(start="2/", end="2/150") == 50
    assert await kv.delete_range(start=b"") == 150
    assert cluster.data == {}


async def test_a_range_has_to_be_named(kv: AsyncClient, cluster: FakeCluster) -> None:
    with pytest.raises(InvalidArgument, match="start=b'' is for all keys"):
        await kv.delete_range()


async def test_deletes_whose_answer_was_lost_are_made_again_and_count(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    cluster.nodes[1].on_write = fake.unanswered
    assert await kv.delete_range(prefix="1/") == 100
    assert not cluster.nodes[1].has_fault, "it has come about"
    assert not [key for key in cluster.data if key.startswith(b"1/")]


async def test_a_delete_that_stays_unknown_says_so(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries
) -> None:
    cluster.nodes[1].always = fake.writes_only(fake.abort(grpc.StatusCode.INTERNAL))
    with pytest.raises(OutcomeUnknown):
        await kv.delete_range(prefix="1/", timeout_s=1.0)


async def test_what_was_deleted_before_a_failure_was_told(
    kv: AsyncClient, cluster: FakeCluster, filled: Entries, small_pages: None
) -> None:
    told: list[int] = []

    def note(deleted: int) -> None:
        told.append(deleted)
        refusal = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
        cluster.nodes[2].always = fake.writes_only(refusal)

    with pytest.raises(Unavailable, match="no majority"):
        await kv.delete_range(prefix="1/", timeout_s=0.5, progress=note)
    assert told == [30]
    gone = set(filled) - set(cluster.data)
    assert set(sorted(key for key in filled if key.startswith(b"1/"))[:30]) <= gone


# --- all together


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.integers(0, 310),
    length=st.integers(0, 310),
    reverse=st.booleans(),
    consistent=st.booleans(),
    steps=st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_any_scan_in_any_steps_is_the_sorted_range(
    start: int, length: int, reverse: bool, consistent: bool, steps: list[int]
) -> None:
    async def run() -> None:
        async with fake.running() as cluster, AsyncClient(cluster.endpoints) as kv:
            cluster.page_keys_max = 11
            keys = [b"%03d" % number for number in range(300)]
            await asyncio.gather(*(kv.put(key, "") for key in keys))
            low, high = b"%03d" % start, b"%03d" % min(999, start + length)
            scan = kv.scan_keys(start=low, end=high, reverse=reverse, limit=steps[0])
            found = await keys_of(scan)
            for step in [*steps[1:], 1000]:
                scan = kv.scan_keys(cursor=scan.cursor, limit=step, consistent=consistent)
                found += await keys_of(scan)
            assert found == sorted((k for k in keys if low <= k < high), reverse=reverse)

    asyncio.run(run())
