"""The hash space [0, 2^64) cut into partitions: contiguous ranges as equal as whole numbers allow.

Partition i of P holds the hashes h with floor(h · P / 2^64) = i. So P need not be a power of two,
and with 2·P partitions each range is cut in two: partition i becomes 2·i and 2·i + 1.
"""

from __future__ import annotations

from typing import Final

from cluster.ids import PartitionId

PARTITIONS_MAX: Final = 4096
HASH_BITS: Final = 64
HASH_SPACE: Final = 1 << HASH_BITS


def partition_of_hash(hash64: int, partitions: int) -> PartitionId:
    """The partition, of `partitions`, that holds `hash64`, which is below 2^64.

    Checks nothing: it runs for every key.
    """
    return PartitionId((hash64 * partitions) >> HASH_BITS)


def range_of_partition(partition: PartitionId, partitions: int) -> tuple[int, int]:
    """The hashes of `partition` as (first, end), where end is the first hash after them.

    Raises ValueError unless 0 ≤ partition < partitions ≤ PARTITIONS_MAX.
    """
    if not 0 <= partition < partitions <= PARTITIONS_MAX:
        raise ValueError(
            f"partition {partition} of {partitions}: there are 1 to {PARTITIONS_MAX} partitions, "
            "numbered from 0"
        )
    return _first_hash(partition, partitions), _first_hash(partition + 1, partitions)


def _first_hash(partition: int, partitions: int) -> int:
    """ceil(partition · 2^64 / partitions), in whole numbers."""
    return -(-(partition << HASH_BITS) // partitions)
