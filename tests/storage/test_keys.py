"""Keys of the engine. They are on disks: these bytes are forever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import GroupId
from kvstore.storage.keys import (
    NodeRecord,
    Section,
    generation_key,
    quarantine_key,
    section_end,
    section_prefix,
)

u32s = st.integers(0, 2**32 - 1)
places = st.tuples(st.builds(GroupId, u32s), u32s, st.sampled_from(Section))


def test_the_bytes_of_keys_are_as_documented() -> None:
    assert generation_key(GroupId(258)) == bytes.fromhex("01 01 00000102")
    assert quarantine_key(GroupId(258)) == bytes.fromhex("01 02 00000102")
    assert section_prefix(GroupId(258), 3, Section.DATA) == bytes.fromhex("02 00000102 00000003 03")
    assert section_end(GroupId(258), 3, Section.DATA) == bytes.fromhex("02 00000102 00000003 04")


def test_the_numbers_of_records_and_sections_are_forever() -> None:
    assert {record.name: record.value for record in NodeRecord} == {
        "GENERATION": 1,
        "QUARANTINE": 2,
    }
    assert {section.name: section.value for section in Section} == {
        "STATE": 1,
        "CONFIGURATION": 2,
        "DATA": 3,
        "SESSIONS": 4,
        "EXPIRY": 5,
        "EVENTS": 6,
        "FENCES": 7,
    }


@given(places, places, st.binary(max_size=12))
def test_a_section_has_its_own_keys_and_no_others(
    one: tuple[GroupId, int, Section], other: tuple[GroupId, int, Section], key: bytes
) -> None:
    inside = section_prefix(*one) <= section_prefix(*other) + key < section_end(*one)
    assert inside == (one == other)


@given(places, places)
def test_sections_are_sorted_by_group_generation_and_number(
    one: tuple[GroupId, int, Section], other: tuple[GroupId, int, Section]
) -> None:
    assert (section_prefix(*one) < section_prefix(*other)) == (one < other)


@given(st.builds(GroupId, u32s), places)
def test_node_records_are_apart_from_all_sections(
    group: GroupId, place: tuple[GroupId, int, Section]
) -> None:
    assert generation_key(group) < section_prefix(*place)
