"""What a partition answers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.ids import GroupId, Index, Term
from kvstore.codec.record import encode_record
from kvstore.codec.scan import Page, Scan
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, section_prefix
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.partition_view import PAGE_BYTES_MAX, PAGE_KEYS_MAX
from kvstore.storage.position import Generation, encode_generation
from tests.storage.commands import keys
from tests.storage.test_engine import put_all

GROUP = GroupId(5)
U32_MAX = 2**32 - 1


def partition_of(
    engine: Engine, records: dict[bytes, bytes], group: GroupId = GROUP
) -> PartitionState:
    """A partition that holds `records`, without the applier."""
    state = PartitionState(engine, group)
    put_all(engine, {state.data_prefix + key: record for key, record in records.items()})
    return state


def test_a_new_partition_is_empty_and_has_applied_nothing(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    assert (state.applied_index, state.revision, state.generation) == (0, 0, 0)
    assert state.get_many([b"k"]) == [None]
    assert state.scan(Scan(b"", None, 0, U32_MAX)) == Page([], [], more=False)


def test_records_are_answered_as_they_are_stored(engine: Engine) -> None:
    record = encode_record(b"v", 1, 2, 3)
    state = partition_of(engine, {b"k": record, b"empty": b""})
    assert state.get_many((b"x", b"k", b"empty", b"k")) == [None, record, b"", record]


def test_a_partition_sees_nothing_of_its_neighbours(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    for group, generation, section in [
        (GROUP - 1, 0, Section.DATA),
        (GROUP + 1, 0, Section.DATA),
        (GROUP, 1, Section.DATA),
        (GROUP, 0, Section.STATE),
        (GROUP, 0, Section.CONFIGURATION),
        (GROUP, 0, Section.SESSIONS),
    ]:
        prefix = section_prefix(GroupId(group), generation, section)
        put_all(engine, {prefix: b"other", prefix + b"\0": b"other", prefix + b"\xff" * 9: b"o"})
    assert state.scan(Scan(b"", None, 0, U32_MAX)).keys == []
    assert state.scan(Scan(b"", b"\xff" * 20, 0, U32_MAX)).keys == []
    assert state.get_many([b"", b"\0"]) == [None, None]


@pytest.mark.parametrize("bytes_max", [1, 60, 1 << 20])
def test_a_view_shows_what_there_was_whatever_comes_later(engine: Engine, bytes_max: int) -> None:
    records = {b"%03d" % number: b"record" for number in range(50)} | {b"\xff" * 9: b"last"}
    state = partition_of(engine, records)
    partition_of(engine, {b"neighbour": b"r"}, GroupId(GROUP + 1))
    state.applied_index, state.revision, state.term = Index(7), 5, Term(2)
    view = state.view()
    put_all(engine, {state.data_prefix + key: b"later" for key in (b"010", b"010x", b"\xff")})
    batch = engine.new_batch()
    batch.delete_range(state.data_prefix, state.data_prefix + b"005")
    engine.write(batch)
    state.applied_index, state.revision = Index(9), 8
    found: dict[bytes, bytes] = {}
    more = True
    while more:
        page = view.next_page(bytes_max)
        assert not found or max(found) < page.keys[0]
        found |= zip(page.keys, page.records, strict=True)
        more = page.more
    view.close()
    assert found == records
    assert (view.applied_index, view.revision, view.term) == (7, 5, 2)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("in_view", [False, True])
def test_pages_in_both_directions_are_of_the_range_and_of_this_partition_only(
    engine: Engine, reverse: bool, in_view: bool
) -> None:
    stored = {b"%03d" % number: b"of %d" % number for number in range(50)} | {b"\xff" * 9: b"last"}
    for group in (GROUP - 1, GROUP + 1):
        partition_of(engine, {b"neighbour": b"r"}, GroupId(group))
    state = partition_of(engine, stored)
    state.revision = 5
    view = state.view()
    source = view if in_view else state
    if in_view:
        put_all(engine, {state.data_prefix + key: b"later" for key in (b"010", b"010x", b"\xff")})
        state.revision = 8
    for start, end in ((b"", None), (b"010", b"020"), (b"010x", None), (b"", b"\xff")):
        expected = sorted(k for k in stored if start <= k and (end is None or k < end))
        found: list[bytes] = []
        low, high, more = start, end, True
        while more:
            page = source.scan(Scan(low, high, 4, U32_MAX, reverse=reverse))
            assert page.records == [stored[key] for key in page.keys]
            assert page.revision == (5 if in_view else 0)
            found += page.keys
            more = page.more
            if more and reverse:
                high = page.keys[-1]
            elif more:
                low = page.keys[-1] + b"\0"
        assert found == (expected[::-1] if reverse else expected)
        count = source.scan(Scan(start, end, 0, U32_MAX, reverse=reverse, count=True))
        assert (count.count, count.keys, count.records) == (len(expected), found[-1:], ())
    view.close()


def test_a_count_ends_where_a_page_does(engine: Engine) -> None:
    state = partition_of(engine, {b"%02d" % number: bytes(100) for number in range(20)})
    page = state.scan(Scan(b"", None, 7, U32_MAX, count=True))
    assert (page.count, page.keys, page.more) == (7, [b"06"], True)
    page = state.scan(Scan(b"07", None, 0, 40, count=True))
    assert page.more
    assert page.keys == [b"%02d" % (6 + page.count)]
    assert state.scan(Scan(b"x", None, 0, 40, count=True)) == Page([], (), more=False)


def test_another_generation_is_another_partition(engine: Engine) -> None:
    partition_of(engine, {b"old": b"r"})
    put_all(engine, {generation_key(GROUP): encode_generation(Generation(1))})
    state = partition_of(engine, {b"new": b"r"})
    assert state.scan(Scan(b"", None, 0, U32_MAX)).keys == [b"new"]


@pytest.mark.parametrize(
    ("scan", "expected", "more"),
    [
        (Scan(b"", None, 0, U32_MAX), [b"a", b"b", b"c\0", b"\xff"], False),
        (Scan(b"", None, 4, U32_MAX), [b"a", b"b", b"c\0", b"\xff"], False),
        (Scan(b"", None, 3, U32_MAX), [b"a", b"b", b"c\0"], True),
        (Scan(b"", b"\xff", 3, U32_MAX), [b"a", b"b", b"c\0"], False),
        (Scan(b"b", b"c", 0, U32_MAX), [b"b"], False),
        (Scan(b"b", b"b", 0, U32_MAX), [], False),
        (Scan(b"c", b"b", 0, U32_MAX), [], False),
        (Scan(b"", b"", 0, U32_MAX), [], False),
        (Scan(b"", None, 0, 0), [b"a"], True),
        (Scan(b"\xff", None, 0, 0), [b"\xff"], False),
    ],
)
def test_a_scan_is_answered_by_a_page(
    engine: Engine, scan: Scan, expected: list[bytes], more: bool
) -> None:
    state = partition_of(engine, {key: b"of " + key for key in [b"a", b"b", b"c\0", b"\xff"]})
    assert state.scan(scan) == Page(expected, [b"of " + key for key in expected], more)
    only = Scan(scan.start, scan.end, scan.limit, scan.bytes_max, keys_only=True)
    assert state.scan(only) == Page(expected, [], more)


def test_a_page_ends_at_the_ceiling_of_keys_whatever_is_asked_for(engine: Engine) -> None:
    state = partition_of(engine, {b"%05d" % number: b"" for number in range(PAGE_KEYS_MAX + 1)})
    for limit in (0, PAGE_KEYS_MAX + 1, U32_MAX):
        page = state.scan(Scan(b"", None, limit, U32_MAX))
        assert (len(page.keys), page.more) == (PAGE_KEYS_MAX, True)


def test_a_page_ends_at_the_ceiling_of_bytes_whatever_is_asked_for(engine: Engine) -> None:
    record = bytes(PAGE_BYTES_MAX // 4)
    state = partition_of(engine, {b"%d" % number: record for number in range(6)})
    page = state.scan(Scan(b"", None, 0, U32_MAX))
    assert (len(page.keys), page.more) == (3, True)


def test_a_record_beyond_the_ceiling_is_a_page_of_its_own(engine: Engine) -> None:
    record = bytes(PAGE_BYTES_MAX + 1)
    state = partition_of(engine, {b"a": record, b"b": b"small"})
    assert state.scan(Scan(b"", None, 0, U32_MAX)) == Page([b"a"], [record], more=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stored=st.dictionaries(keys, st.binary(max_size=6)),
    start=st.just(b"") | keys,
    end=st.none() | keys,
    limits=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=4),
    keys_only=st.booleans(),
)
def test_pages_one_after_another_are_the_sorted_range(
    stored: dict[bytes, bytes],
    start: bytes,
    end: bytes | None,
    limits: list[tuple[int, int]],
    keys_only: bool,
) -> None:
    state = partition_of(MemoryEngine(), stored)
    expected = sorted(key for key in stored if start <= key and (end is None or key < end))
    seen: list[bytes] = []
    records: list[bytes] = []
    for turn in range(len(expected) + 1):
        limit, bytes_max = limits[turn % len(limits)]
        page = state.scan(Scan(start, end, limit, bytes_max, keys_only))
        size = sum(map(len, page.keys)) + sum(map(len, page.records))
        assert not limit or len(page.keys) <= limit
        assert size <= bytes_max or len(page.keys) == 1
        seen += page.keys
        records += page.records
        assert page.more == (len(seen) < len(expected))
        if not page.more:
            break
        start = page.keys[-1] + b"\0"
    assert seen == expected
    assert records == ([] if keys_only else [stored[key] for key in expected])


def test_equal_data_have_equal_fingerprints_wherever_they_are(engine: Engine) -> None:
    data = {b"%04d" % number: bytes(number % 7) for number in range(300)}
    here = partition_of(engine, data)
    there = partition_of(engine, data, GroupId(GROUP + 9))
    assert here.fingerprint() == there.fingerprint()
    assert 0 <= here.fingerprint() < 2**64


def test_a_fingerprint_covers_more_than_one_page() -> None:
    data = {b"%05d" % number: b"r" for number in range(PAGE_KEYS_MAX + 2)}
    last = b"%05d" % (PAGE_KEYS_MAX + 1)
    whole, changed, shorter = (MemoryEngine() for _ in range(3))
    fingerprints = {
        partition_of(whole, data).fingerprint(),
        partition_of(changed, data | {last: b"s"}).fingerprint(),
        partition_of(shorter, {k: v for k, v in data.items() if k != last}).fingerprint(),
    }
    assert len(fingerprints) == 3


def test_any_difference_gives_another_fingerprint() -> None:
    variants: list[dict[bytes, bytes]] = [
        {},
        {b"a": b""},
        {b"a": b"b"},
        {b"ab": b""},
        {b"a": b"", b"b": b""},
        {b"a": b"b", b"c": b"d"},
        {b"a": b"", b"bc": b"d"},
        {b"a": b"bcd"},
    ]
    fingerprints = {partition_of(MemoryEngine(), data).fingerprint() for data in variants}
    assert len(fingerprints) == len(variants)
