"""A configuration in bytes: the payload of a MEMBERSHIP entry, stored and sent.

```
u8 version = 1 | voters | outgoing | learners | demoted       each: u16 n | n × u64 replica, rising
```

All little-endian. One configuration has one encoding, so equal bytes mean equal configurations.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from struct import Struct, pack, unpack_from
from typing import Final

from cluster.ids import ReplicaId
from cluster.raft.configuration import Configuration

_VERSION: Final = 1
_COUNT: Final = Struct("<H")


def encode_configuration(configuration: Configuration) -> bytes:
    """`configuration` as bytes."""
    return bytes([_VERSION]) + b"".join(
        _encode_set(each)
        for each in (
            configuration.voters,
            configuration.outgoing,
            configuration.learners,
            configuration.demoted,
        )
    )


def decode_configuration(payload: bytes) -> Configuration:
    """The configuration in `payload`; raises ValueError on anything but an encoding."""
    if not payload or payload[0] != _VERSION:
        raise ValueError(f"not a configuration of version {_VERSION}: {payload[:8].hex()}")
    sets: list[frozenset[ReplicaId]] = []
    position = 1
    for _ in range(4):
        some, position = _decode_set(payload, position)
        sets.append(some)
    if position != len(payload):
        raise ValueError(f"{len(payload) - position} bytes follow the configuration")
    return Configuration(*sets)


def _encode_set(replicas: Iterable[ReplicaId]) -> bytes:
    rising = sorted(replicas)
    return _COUNT.pack(len(rising)) + pack(f"<{len(rising)}Q", *rising)


def _decode_set(payload: bytes, position: int) -> tuple[frozenset[ReplicaId], int]:
    start = position + _COUNT.size
    if start > len(payload):
        raise ValueError("the configuration ends early")
    (count,) = _COUNT.unpack_from(payload, position)
    end = start + 8 * count
    if end > len(payload):
        raise ValueError("the configuration ends early")
    ids = unpack_from(f"<{count}Q", payload, start)
    if any(one >= other for one, other in pairwise(ids)):
        raise ValueError(f"the replicas {ids} do not rise")
    return frozenset(map(ReplicaId, ids)), end
