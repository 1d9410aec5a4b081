"""The routing key of a key, and its hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from kvstore.codec.routing import hash64, key_hash, routing_key

# Few letters, so that braces meet in every way.
keys = st.lists(st.sampled_from([b"{", b"}", b"a", b"\x00", b"\xff"]), max_size=12).map(b"".join)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"{tag}", b"tag"),
        (b"{user:7}/name", b"user:7"),
        (b"name/{user:7}", b"user:7"),
        (b"a{b}c{d}e", b"b"),  # the first tag counts
        (b"{}", b"{}"),  # an empty tag is none,
        (b"{}{b}", b"{}{b}"),  # even where another follows
        (b"a{", b"a{"),
        (b"a}", b"a}"),
        (b"}{", b"}{"),
        (b"}{a}", b"a"),
        (b"{a", b"{a"),
        (b"{{a}}", b"{a"),  # the first } after the first {
        (b"{a{b}c}", b"a{b"),
        (b"{\x00\xff}x", b"\x00\xff"),
    ],
)
def test_the_routing_key_is_the_first_tag_or_the_whole_key(key: bytes, expected: bytes) -> None:
    assert routing_key(key) == expected


@given(keys)
def test_a_key_hashes_as_its_routing_key_does(key: bytes) -> None:
    assert key_hash(key) == xxh3_64_intdigest(routing_key(key))
    assert key_hash(key) == hash64(routing_key(key))


@given(st.binary(max_size=20), st.binary(max_size=20), st.binary(min_size=1, max_size=20))
def test_keys_with_one_tag_have_one_hash(before: bytes, after: bytes, tag: bytes) -> None:
    before, tag = before.replace(b"{", b""), tag.replace(b"}", b".")
    assert key_hash(before + b"{" + tag + b"}" + after) == key_hash(b"{" + tag + b"}")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"a", 0xE6C632B61E964E1F),
        (b"hello", 0x9555E8555C62DCFD),
        (b"{user:7}/name", xxh3_64_intdigest(b"user:7")),
    ],
)
def test_the_hash_is_xxh3_with_seed_zero(key: bytes, expected: int) -> None:
    # From the reference implementation: data is found by these numbers forever.
    assert key_hash(key) == expected
