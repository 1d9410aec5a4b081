"""The memory of record heads."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.storage.heads import ABSENT, Head, HeadCache, head_of, parts_of

u64s = st.integers(0, 2**64 - 1)


def remember(cache: HeadCache, heads: dict[bytes, Head]) -> None:
    known: dict[bytes, Head] = {}
    cache.look_up(heads, known)
    known.update(heads)
    cache.remember(known)


def missing(cache: HeadCache, *keys: bytes) -> list[bytes]:
    known: dict[bytes, Head] = {}
    unknown = cache.look_up(keys, known)
    cache.remember(known)
    return unknown


@given(u64s, u64s, u64s)
@example(2**24 - 1, 5, 0)
@example(2**24, 5, 0)
def test_a_head_has_the_parts_that_it_was_made_of(version: int, created: int, expiry: int) -> None:
    assert parts_of(head_of(version, created, expiry)) == (version, created, expiry)


def test_the_head_of_most_records_is_a_machine_word_and_what_is_absent_has_none_of_them() -> None:
    assert head_of(2**24 - 1, 2**37 - 1, 0) < 2**62
    assert parts_of(ABSENT) == (0, 0, 0)


def test_what_is_remembered_is_found_and_the_rest_is_returned() -> None:
    cache = HeadCache()
    remember(cache, {b"a": head_of(3, 1, 0), b"gone": ABSENT})
    known: dict[bytes, Head] = {}
    assert cache.look_up([b"x", b"a", b"x", b"gone", b"y"], known) == [b"x", b"y"]
    assert known == {b"a": head_of(3, 1, 0), b"gone": ABSENT, b"x": ABSENT, b"y": ABSENT}


def test_what_is_already_known_in_the_round_is_left_alone() -> None:
    cache = HeadCache()
    remember(cache, {b"a": head_of(3, 1, 0)})
    known = {b"a": head_of(4, 1, 0)}
    assert cache.look_up([b"a"], known) == []
    assert known == {b"a": head_of(4, 1, 0)}


def test_later_heads_replace_earlier_ones() -> None:
    cache = HeadCache()
    remember(cache, {b"a": head_of(1, 1, 0)})
    remember(cache, {b"a": head_of(2, 1, 0)})
    known: dict[bytes, Head] = {}
    cache.look_up([b"a"], known)
    assert known == {b"a": head_of(2, 1, 0)}


def test_a_key_that_was_just_created_is_kept() -> None:
    cache = HeadCache()
    known: dict[bytes, Head] = {}
    assert cache.look_up([b"new"], known) == [b"new"]
    known[b"new"] = head_of(1, 1, 0)
    cache.remember(known)
    assert missing(cache, b"new") == []


def test_it_is_bounded_in_bytes_and_forgets_the_oldest_first() -> None:
    cache = HeadCache(bytes_max=20_000)
    for number in range(1000):
        heads = {b"%04d" % number: head_of(1, number, 0), b"every time": head_of(number + 1, 1, 0)}
        remember(cache, heads)
        assert len(cache) < 20_000 // 144
        assert missing(cache, b"%04d" % max(0, number - 15)) == []
    assert missing(cache, b"every time", b"0000", b"0500") == [b"0000", b"0500"]


def test_long_keys_count_by_their_bytes() -> None:
    cache = HeadCache(bytes_max=100_000)
    for number in range(200):
        remember(cache, {b"%04d" % number * 1000: head_of(1, 1, 0)})
        assert len(cache) <= 100_000 // 4000 + 1


def test_writing_the_same_keys_again_and_again_does_not_push_others_out() -> None:
    cache = HeadCache(bytes_max=4000)
    remember(cache, {b"rare": head_of(1, 1, 0)})
    for number in range(1000):
        remember(cache, {b"often": head_of(number + 1, 1, 0)})
    assert missing(cache, b"rare") == []


def test_after_clear_nothing_is_known() -> None:
    cache = HeadCache()
    remember(cache, {b"a": head_of(1, 1, 0)})
    cache.clear()
    assert len(cache) == 0
    assert missing(cache, b"a") == [b"a"]
