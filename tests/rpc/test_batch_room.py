"""Answers that are large: a response never has more than a message can, and nothing is lost."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from cluster.ids import PartitionId
from kvstore.codec.byteslist import decode_optional_list, encode_list
from kvstore.codec.change import Action, Change, encode_change
from kvstore.codec.command import OperationKind, Stamp, encode_command
from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.codec.read_level import encode_level_read
from kvstore.codec.results import Results, decode_results
from kvstore.codec.scan import Scan, decode_page, encode_scan
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.lookups import ANSWER_BYTES_MAX, KEYS_AT_ONCE
from kvstore.rpc.batch import BatchReply, Sections, response_of
from tests.replica.world import LONG_TICKS, World
from tests.rpc.test_batches import view_of

LARGE = bytes(16 << 20)
OK, NO_ROOM = pb.SECTION_STATUS_OK, pb.SECTION_STATUS_NO_ROOM
SectionOf = tuple[int, int, bytes]
"""Partition, kind, body."""


@pytest.fixture
def world() -> World:
    """A node alone, which leads everything."""
    world = World(size=1)
    world.until(world.serves)
    return world


def keys_of(world: World, partition: int, count: int) -> list[bytes]:
    found = [b"key-%d" % number for number in range(4000)]
    return [key for key in found if world.partition_of(key) == partition][:count]


def put(world: World, key: bytes, value: bytes = LARGE) -> None:
    world.put(key, value)
    world.run()


async def ask(world: World, *sections: SectionOf) -> pb.BatchResponse:
    """What one call is answered with."""
    request = pb.BatchRequest()
    for partition, kind, body in sections:
        request.partition_ids.append(partition)
        request.kinds.append(kind)  # type: ignore[arg-type]  # its number
        request.bodies.append(body)
    reply = BatchReply(asyncio.get_running_loop().create_future(), len(sections))
    Sections(view_of(world)).enter(request, reply, LONG_TICKS)
    world.run()
    response = response_of(reply)
    assert len(response.SerializeToString()) < MESSAGE_BYTES_MAX
    return response


def records_in(result: bytes) -> list[bytes | None]:
    return decode_optional_list(result)[0]


@pytest.mark.parametrize("kind", [pb.SECTION_KIND_READ, pb.SECTION_KIND_READ_SESSION])
async def test_a_read_is_answered_as_far_as_there_is_room(world: World, kind: int) -> None:
    keys = keys_of(world, 0, 6)
    for key in keys:
        put(world, key, bytes(ANSWER_BYTES_MAX // 4))
    body = encode_list(keys) if kind == pb.SECTION_KIND_READ else encode_level_read(0, keys)
    response = await ask(world, (0, kind, body))
    assert list(response.statuses) == [OK]
    assert len(records_in(response.results[0])) == 3, "with its header, a fourth is too much"


async def test_a_read_is_answered_with_one_record_at_least(world: World) -> None:
    keys = keys_of(world, 0, 2)
    put(world, keys[0])
    response = await ask(world, (0, pb.SECTION_KIND_READ, encode_list(keys)))
    (record,) = records_in(response.results[0])
    assert record is not None
    assert len(record) > len(LARGE)


@pytest.mark.parametrize("size", [10, ANSWER_BYTES_MAX // 80])
async def test_many_keys_are_read_part_by_part(world: World, size: int) -> None:
    keys = keys_of(world, 0, 3 * KEYS_AT_ONCE + 1)
    put(world, keys[0], bytes(size))
    put(world, keys[-1], b"last")
    for key in keys[1:-1]:
        world.put(key, bytes(size))
    world.run()
    response = await ask(world, (0, pb.SECTION_KIND_READ, encode_list(keys)))
    found = records_in(response.results[0])
    assert len(found) == len(keys) if size == 10 else 70 < len(found) < 81
    assert None not in found


async def test_what_does_not_fit_beside_others_is_to_be_asked_again(world: World) -> None:
    sections: list[SectionOf] = []
    for partition in range(world.partitions):
        (key,) = keys_of(world, partition, 1)
        put(world, key)
        sections += [
            (partition, pb.SECTION_KIND_READ, encode_list([key])),
            (partition, pb.SECTION_KIND_SCAN, encode_scan(Scan(b"", None, 0, 1))),
        ]
    asked = answered = 0
    left = sections
    while left:
        response = await ask(world, *left)
        assert set(response.statuses) <= {OK, NO_ROOM}
        fitted = [each == OK for each in response.statuses]
        assert any(fitted), "each call gets further"
        answered += sum(fitted)
        asked += 1
        for section, result, fits in zip(left, response.results, fitted, strict=True):
            if fits and section[1] == pb.SECTION_KIND_SCAN:
                assert len(decode_page(result).records[0]) > len(LARGE)
        left = [section for section, fits in zip(left, fitted, strict=True) if not fits]
    assert answered == len(sections)
    assert asked == -(-len(sections) // 3), "three of them fit in a message"


async def test_a_write_whose_answer_has_no_room_is_applied_and_answered_under_its_stamp(
    world: World,
) -> None:
    sections: list[SectionOf] = []
    random = Random(1)
    change = encode_change(Change(Action.PUT, b"new", returns_previous=True))
    for partition in map(PartitionId, range(world.partitions)):
        keys = keys_of(world, partition, 2)
        for key in keys:
            put(world, key, LARGE[: (16 << 20) - 100])
        command = encode_command(
            bytes((OperationKind.CHANGE,)) * 2,
            keys,
            [change] * 2,
            Stamp(random.randbytes(16), 1, 1, 0),
        )
        sections.append((partition, pb.SECTION_KIND_WRITE, command))
    before = await ask(world, *sections)
    assert list(before.statuses).count(OK) == 1, "two previous values each"
    assert list(before.statuses).count(NO_ROOM) == len(sections) - 1
    for section in sections:
        again = await ask(world, section)
        assert list(again.statuses) == [OK]
        results = decode_results(again.results[0])
        assert isinstance(results, Results)
        assert results.extras is not None
        assert all(len(extra or b"") > (16 << 20) - 100 for extra in results.extras)
        assert again.revisions == [4], "two puts of before, and each change once"
