"""Commands: the payload of log entries. Logs outlive releases: these bytes are forever."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError, encode_list
from kvstore.codec.command import Command, OperationKind, decode_command, encode_command
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

PUT, DELETE = OperationKind.PUT, OperationKind.DELETE
operations = st.lists(st.tuples(st.sampled_from(OperationKind), byte_strings, byte_strings))

GOLDEN = bytes.fromhex(
    "01 00 0000 02000000"  # format, flags, reserved, two operations
    "00000000000000000000000000000000 0000000000000000 0000000000000000"  # no session
    "01 02"  # put, delete
    "02000000 01000000 02000000 61 6263"  # keys a, bc
    "02000000 03000000 00000000 766177"  # arguments vaw, nothing
)


def encoded(ops: list[tuple[OperationKind, bytes, bytes]]) -> bytes:
    return encode_command(
        bytes(kind for kind, _, _ in ops), [key for _, key, _ in ops], [arg for _, _, arg in ops]
    )


def test_the_bytes_of_a_command_are_as_documented() -> None:
    assert encoded([(PUT, b"a", b"vaw"), (DELETE, b"bc", b"")]) == GOLDEN
    assert decode_command(GOLDEN) == Command(b"\1\2", [b"a", b"bc"], [b"vaw", b""])


def test_session_fields_are_left_for_whoever_reads_them() -> None:
    session = bytes(range(16)) + pack("<QQ", 7, 5)
    assert decode_command(GOLDEN[:8] + session + GOLDEN[40:]) == decode_command(GOLDEN)


def test_the_numbers_of_operations_are_forever() -> None:
    assert {kind.name: kind.value for kind in OperationKind} == {"PUT": 1, "DELETE": 2}


@given(operations)
def test_a_command_comes_back(ops: list[tuple[OperationKind, bytes, bytes]]) -> None:
    command = decode_command(encoded(ops))
    assert list(zip(command.kinds, command.keys, command.arguments, strict=True)) == ops


@given(operations)
def test_every_truncation_and_any_more_byte_is_refused(
    ops: list[tuple[OperationKind, bytes, bytes]],
) -> None:
    assert_every_truncation_is_refused(decode_command, encoded(ops))
    assert_more_bytes_are_refused(decode_command, encoded(ops))


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_another_whole_command(at: int, byte: int) -> None:
    data = GOLDEN[:at] + bytes([byte]) + GOLDEN[at + 1 :]
    if decodes(decode_command, data):
        command = decode_command(data)
        assert len(command.kinds) == len(command.keys) == len(command.arguments) == 2


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_by_codec_error_alone(data: bytes) -> None:
    decodes(decode_command, data)
    decodes(decode_command, GOLDEN[:40] + data)


@pytest.mark.parametrize(
    ("at", "byte"),
    [
        pytest.param(0, 2, id="a newer format"),
        pytest.param(0, 0, id="format zero"),
        pytest.param(1, 1, id="an unknown flag"),
        pytest.param(2, 1, id="reserved bits"),
        pytest.param(4, 1, id="fewer operations than keys"),
        pytest.param(4, 3, id="more operations than keys"),
        pytest.param(40, 0, id="operation zero"),
        pytest.param(41, 3, id="an unknown operation"),
    ],
)
def test_what_is_not_known_is_refused(at: int, byte: int) -> None:
    with pytest.raises(CodecError):
        decode_command(GOLDEN[:at] + bytes([byte]) + GOLDEN[at + 1 :])


def test_lists_of_different_length_are_refused() -> None:
    for keys, arguments in [((b"k",), ()), ((), (b"v",)), ((b"k",), (b"v", b"w"))]:
        data = GOLDEN[:4] + pack("<I", 1) + GOLDEN[8:40] + b"\1"
        with pytest.raises(CodecError):
            decode_command(data + encode_list(keys) + encode_list(arguments))


def test_a_huge_count_is_refused_without_memory() -> None:
    assert_refused_without_memory(decode_command, GOLDEN[:4] + b"\xff" * 4 + GOLDEN[8:])
