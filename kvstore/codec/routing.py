"""From a key to its place in the hash space: what clients and nodes must agree on forever.

A key's *routing key* is what is hashed. It is the part between the first `{` and the first `}`
after it, so that keys with the same tag share a partition: `{user:7}/name` and `{user:7}/mail`.
Where one of the two is missing, or nothing stands between them (`{}`), it is the whole key. These
are the rules of Redis Cluster's hash tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from xxhash import xxh3_64_intdigest

hash64: Final[Callable[[bytes], int]] = xxh3_64_intdigest
"""The hash of the whole system, xxh3_64 with seed 0: of keys, and of the ring's virtual nodes."""


_OPENING: Final = ord("{")


def routing_key(key: bytes) -> bytes:
    """The part of `key` that decides its partition."""
    opening = key.find(b"{")
    if opening < 0:
        return key
    closing = key.find(b"}", opening + 1)
    if closing <= opening + 1:  # missing, or an empty tag
        return key
    return key[opening + 1 : closing]


def key_hash(key: bytes) -> int:
    """The 64-bit hash of the routing key of `key`."""
    # Once per operation in the client and once per key at the leader: most keys have no tag, and
    # for them this is one search and one hash. To look for a number takes a seventh of the time
    # that it takes to look for bytes: those are first tried as a number, in vain.
    if _OPENING in key:
        key = routing_key(key)
    return xxh3_64_intdigest(key)
