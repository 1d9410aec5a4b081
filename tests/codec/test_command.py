"""Commands: the payload of log entries. Logs outlive releases: these bytes are forever."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError, encode_list
from kvstore.codec.command import (
    CLIENT_KINDS,
    Command,
    OperationKind,
    Stamp,
    decode_command,
    encode_command,
    is_timed,
    with_clock,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

PUT, DELETE = OperationKind.PUT, OperationKind.DELETE
KINDS = [kind for kind in OperationKind if kind is not OperationKind.GET]
operations = st.lists(st.tuples(st.sampled_from(KINDS), byte_strings, byte_strings))
u64s = st.integers(0, 2**64 - 1)
client_ids = st.binary(min_size=16, max_size=16).filter(any)


@st.composite
def some_stamps(draw: st.DrawFn) -> Stamp:
    sequence = draw(st.integers(1, 2**64 - 1))
    return Stamp(draw(client_ids), sequence, draw(st.integers(1, sequence)), draw(u64s))


stamps = st.none() | some_stamps()

OPERATIONS = bytes.fromhex(
    "01 02"  # put, delete
    "02000000 01000000 02000000 61 6263"  # keys a, bc
    "02000000 03000000 00000000 766177"  # arguments vaw, nothing
)
GOLDEN = (
    bytes.fromhex(
        "03 00 0000 02000000"  # format, flags, reserved, two operations
        "00000000000000000000000000000000 0000000000000000 0000000000000000"  # no session
        "0000000000000000 0000000000000000"  # opened after, clock
    )
    + OPERATIONS
)
HEADER_BYTES = 56
FORMAT_1 = (
    bytes.fromhex(
        "01 00 0000 0200000000000000000000000000000000000000 0000000000000000 0000000000000000"
    )
    + OPERATIONS
)
COMMAND = Command(b"\1\2", [b"a", b"bc"], [b"vaw", b""])


def encoded(
    ops: list[tuple[OperationKind, bytes, bytes]], stamp: Stamp | None = None, timed: bool = False
) -> bytes:
    return encode_command(
        bytes(kind for kind, _, _ in ops),
        [key for _, key, _ in ops],
        [arg for _, _, arg in ops],
        stamp,
        timed=timed,
    )


def test_the_bytes_of_a_command_are_as_documented() -> None:
    assert encoded([(PUT, b"a", b"vaw"), (DELETE, b"bc", b"")]) == GOLDEN
    assert decode_command(GOLDEN) == COMMAND


def test_the_bytes_of_a_command_with_a_stamp_and_a_clock_are_as_documented() -> None:
    client = bytes(range(16))
    golden = (
        bytes.fromhex("03 01 0000 02000000")
        + client
        + bytes.fromhex(
            "0700000000000000 0500000000000000"  # sequence, lowest
            "0900000000000000 00a0724e18090000"  # opened after, clock
        )
        + OPERATIONS
    )
    stamp = Stamp(client, 7, 5, 9)
    command = encoded([(PUT, b"a", b"vaw"), (DELETE, b"bc", b"")], stamp, timed=True)
    assert with_clock(command, 10_000_000_000_000) == golden
    assert decode_command(golden) == Command(
        COMMAND.kinds, COMMAND.keys, COMMAND.arguments, stamp, True, 10_000_000_000_000
    )


@pytest.mark.parametrize("session", [bytes(32), bytes(range(16)) + pack("<QQ", 7, 5)])
def test_commands_of_format_1_are_still_read_and_have_no_session(session: bytes) -> None:
    assert decode_command(FORMAT_1[:8] + session + OPERATIONS) == COMMAND


def test_the_numbers_of_operations_are_forever() -> None:
    assert {kind.name: kind.value for kind in OperationKind} == {
        "PUT": 1,
        "DELETE": 2,
        "CHANGE": 3,
        "TRANSACTION": 4,
        "GET": 5,
        "EXPIRE": 6,
    }


def test_clients_do_not_expire_keys_nor_read_in_commands() -> None:
    assert not {OperationKind.EXPIRE, OperationKind.GET} & set(CLIENT_KINDS)


@pytest.mark.parametrize("data", [b"", b"\3", b"\3\1", FORMAT_1, GOLDEN, b"\2\1" + bytes(60)])
def test_what_is_no_timed_command_is_not_taken_for_one(data: bytes) -> None:
    assert not is_timed(data)


@given(operations, stamps, st.booleans(), u64s)
def test_a_command_comes_back(
    ops: list[tuple[OperationKind, bytes, bytes]], stamp: Stamp | None, timed: bool, clock_ms: int
) -> None:
    data = encoded(ops, stamp, timed)
    command = decode_command(data)
    assert list(zip(command.kinds, command.keys, command.arguments, strict=True)) == ops
    assert (command.stamp, command.is_timed, command.clock_ms) == (stamp, timed, 0)
    assert is_timed(data) is timed
    if timed:
        proposed = with_clock(data, clock_ms)
        assert decode_command(proposed) == replace(command, clock_ms=clock_ms)
        assert with_clock(proposed, 0) == data


@given(operations, stamps)
def test_every_truncation_and_any_more_byte_is_refused(
    ops: list[tuple[OperationKind, bytes, bytes]], stamp: Stamp | None
) -> None:
    assert_every_truncation_is_refused(decode_command, encoded(ops, stamp))
    assert_more_bytes_are_refused(decode_command, encoded(ops, stamp))


def test_every_truncation_of_format_1_is_refused() -> None:
    assert_every_truncation_is_refused(decode_command, FORMAT_1)
    assert_more_bytes_are_refused(decode_command, FORMAT_1)


@pytest.mark.parametrize("golden", [GOLDEN, FORMAT_1])
@given(st.data())
def test_a_changed_byte_is_refused_or_gives_another_whole_command(
    golden: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(golden) - 1))
    changed = golden[:at] + bytes([data.draw(st.integers(0, 255))]) + golden[at + 1 :]
    if decodes(decode_command, changed):
        command = decode_command(changed)
        assert len(command.kinds) == len(command.keys) == len(command.arguments) == 2


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_by_codec_error_alone(data: bytes) -> None:
    decodes(decode_command, data)
    decodes(decode_command, GOLDEN[:HEADER_BYTES] + data)
    decodes(decode_command, FORMAT_1[:40] + data)


@pytest.mark.parametrize(
    ("golden", "at", "byte"),
    [
        pytest.param(GOLDEN, 0, 4, id="a newer format"),
        pytest.param(GOLDEN, 0, 2, id="a mark"),
        pytest.param(GOLDEN, 0, 0, id="format zero"),
        pytest.param(GOLDEN, 1, 2, id="an unknown flag"),
        pytest.param(GOLDEN, 2, 1, id="reserved bits"),
        pytest.param(GOLDEN, 4, 1, id="fewer operations than keys"),
        pytest.param(GOLDEN, 4, 3, id="more operations than keys"),
        pytest.param(GOLDEN, 8, 1, id="a client without a sequence"),
        pytest.param(GOLDEN, 24, 1, id="a sequence without a client"),
        pytest.param(GOLDEN, 32, 1, id="a lowest sequence without a client"),
        pytest.param(GOLDEN, 40, 1, id="a session's index without a client"),
        pytest.param(GOLDEN, HEADER_BYTES, 0, id="operation zero"),
        pytest.param(GOLDEN, HEADER_BYTES, 5, id="a get"),
        pytest.param(GOLDEN, HEADER_BYTES + 1, 7, id="an unknown operation"),
        pytest.param(FORMAT_1, 1, 1, id="a flag in format 1"),
        pytest.param(FORMAT_1, 2, 1, id="reserved bits in format 1"),
        pytest.param(FORMAT_1, 40, 3, id="a change in format 1"),
    ],
)
def test_what_is_not_known_is_refused(golden: bytes, at: int, byte: int) -> None:
    decode_command(golden)
    with pytest.raises(CodecError):
        decode_command(golden[:at] + bytes([byte]) + golden[at + 1 :])


@pytest.mark.parametrize(("sequence", "lowest"), [(0, 0), (1, 0), (0, 1), (5, 6)])
def test_a_sequence_that_its_lowest_does_not_fit_is_refused(sequence: int, lowest: int) -> None:
    stamp = Stamp(bytes(range(16)), sequence, lowest, 0)
    with pytest.raises(CodecError, match=f"sequence {sequence} does not go with lowest {lowest}"):
        decode_command(encoded([], stamp))


def test_lists_of_different_length_are_refused() -> None:
    for keys, arguments in [((b"k",), ()), ((), (b"v",)), ((b"k",), (b"v", b"w"))]:
        data = GOLDEN[:4] + pack("<I", 1) + GOLDEN[8:HEADER_BYTES] + b"\1"
        with pytest.raises(CodecError):
            decode_command(data + encode_list(keys) + encode_list(arguments))


@pytest.mark.parametrize("golden", [GOLDEN, FORMAT_1])
def test_a_huge_count_is_refused_without_memory(golden: bytes) -> None:
    assert_refused_without_memory(decode_command, golden[:4] + b"\xff" * 4 + golden[8:])
