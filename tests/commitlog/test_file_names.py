"""The names of the log's files."""

from __future__ import annotations

import pytest

from kvstore.commitlog.file_names import (
    is_spare_name,
    segment_name,
    segment_of_name,
    spare_name,
)


def test_names_come_back_and_sort_by_number() -> None:
    numbers = [1, 2, 9, 10, 16, 255, 1 << 40, (1 << 64) - 1]
    names = [segment_name(number) for number in numbers]
    assert names == sorted(names)
    assert [segment_of_name(name) for name in names] == numbers
    assert all(segment_of_name(spare_name(number)) is None for number in numbers)
    assert all(is_spare_name(spare_name(number)) for number in numbers)
    assert not any(is_spare_name(name) for name in names)


@pytest.mark.parametrize(
    "name", ["", ".segment", "1.segment", "000000000000000A.segment", "0000000000000001"]
)
def test_other_names_are_no_segments(name: str) -> None:
    assert segment_of_name(name) is None
    assert not is_spare_name(name.replace("segment", "spare"))
