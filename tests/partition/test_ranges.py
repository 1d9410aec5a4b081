"""The hash space is cut into contiguous ranges that are as equal as whole numbers allow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import PartitionId
from cluster.partition.ranges import (
    HASH_SPACE,
    PARTITIONS_MAX,
    partition_of_hash,
    range_of_partition,
)

hashes = st.integers(0, HASH_SPACE - 1)
counts = st.integers(1, PARTITIONS_MAX)


@pytest.mark.parametrize(
    ("hash64", "partitions", "partition"),
    [
        (0, 1, 0),
        (HASH_SPACE - 1, 1, 0),
        (0, 4096, 0),
        (HASH_SPACE - 1, 4096, 4095),
        (HASH_SPACE // 2 - 1, 2, 0),
        (HASH_SPACE // 2, 2, 1),
        (0x5555555555555555, 3, 0),
        (0x5555555555555556, 3, 1),
        (0x0123456789ABCDEF, 16, 0),
        (0xFEDCBA9876543210, 16, 15),
    ],
)
def test_a_hash_belongs_to_one_partition(hash64: int, partitions: int, partition: int) -> None:
    assert partition_of_hash(hash64, partitions) == partition


@given(hashes, counts)
def test_a_hash_is_inside_the_range_of_its_partition(hash64: int, partitions: int) -> None:
    first, end = range_of_partition(partition_of_hash(hash64, partitions), partitions)
    assert first <= hash64 < end


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 16, 1000, 4095, 4096])
def test_the_ranges_tile_the_space_and_differ_by_one_hash_at_most(partitions: int) -> None:
    ranges = [range_of_partition(PartitionId(number), partitions) for number in range(partitions)]
    for number, (first, end) in enumerate(ranges):
        assert partition_of_hash(first, partitions) == number
        assert partition_of_hash(end - 1, partitions) == number
    assert ranges[0][0] == 0
    assert ranges[-1][1] == HASH_SPACE
    assert all(end == first for (_, end), (first, _) in pairwise(ranges))
    widths = {end - first for first, end in ranges}
    assert max(widths) - min(widths) <= 1


@given(hashes, st.integers(1, PARTITIONS_MAX // 2))
def test_twice_the_partitions_cut_each_in_two(hash64: int, partitions: int) -> None:
    assert partition_of_hash(hash64, 2 * partitions) // 2 == partition_of_hash(hash64, partitions)


@pytest.mark.parametrize(
    ("partition", "partitions"), [(-1, 3), (3, 3), (0, 0), (0, PARTITIONS_MAX + 1)]
)
def test_a_partition_that_cannot_be_has_no_range(partition: int, partitions: int) -> None:
    with pytest.raises(ValueError, match=f"partition {partition} of {partitions}"):
        range_of_partition(PartitionId(partition), partitions)
