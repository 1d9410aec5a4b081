"""What a node takes of a client's command, and what it refuses before anything is proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.ids import PartitionId
from cluster.partition.ranges import partition_of_hash
from kvstore.codec.byteslist import CodecError
from kvstore.codec.change import (
    Action,
    Change,
    Fence,
    append_operand,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind, Stamp, encode_command, with_clock
from kvstore.codec.limits import Limits
from kvstore.codec.routing import key_hash
from kvstore.codec.transaction import (
    Comparison,
    Operations,
    Relation,
    Subject,
    Transaction,
    encode_transaction,
    number_operand,
)
from kvstore.errors import InvalidArgument
from kvstore.rpc.checks import check_command

PUT, DELETE, CHANGE, TRANSACTION, GET, EXPIRE = OperationKind
PARTITIONS = 16
LIMITS = Limits(value_bytes_max=1000, key_bytes_max=100)
HOME = PartitionId(partition_of_hash(key_hash(b"{t}"), PARTITIONS))
KEY = b"{t}key"
FAR = next(
    key
    for key in (b"far-%d" % number for number in range(1000))
    if partition_of_hash(key_hash(key), PARTITIONS) != HOME
)
TOO_LARGE = bytes(1001)
LONG_NAME = bytes(101)
ANYWHERE = Change(Action.PUT, b"value")
SOON = Change(Action.TOUCH, lifetime_ms=5)
NOTHING = Operations()


def change(some: Change) -> bytes:
    return encode_command(
        bytes((CHANGE,)), [KEY], [encode_change(some)], timed=some.lifetime_ms is not None
    )


def fenced(lock: bytes, token: int) -> Change:
    return replace(ANYWHERE, fence=Fence(lock, token))


def operations(kind: OperationKind, key: bytes, argument: bytes = b"") -> Operations:
    return Operations(bytes((kind,)), [key], [argument])


def transaction(
    then: Operations = NOTHING,
    comparisons: Sequence[Comparison] = (),
    otherwise: Operations = NOTHING,
    key: bytes = KEY,
    timed: bool = False,
) -> bytes:
    argument = encode_transaction(Transaction(comparisons, then, otherwise))
    return encode_command(bytes((TRANSACTION,)), [key], [argument], timed=timed)


def value(operand: bytes, key: bytes = KEY) -> Comparison:
    return Comparison(key, Subject.VALUE, Relation.EQUAL, operand)


TAKEN = {
    "a put": encode_command(b"\1", [KEY], [bytes(1000)]),
    "a delete": encode_command(b"\2", [KEY], [b""]),
    "a stamp": encode_command(b"\2", [KEY], [b""], Stamp(b"c" * 16, 7, 5, 3)),
    "a put over a value": change(replace(ANYWHERE, if_value=bytes(1000))),
    "a lifetime": change(SOON),
    "an increment": change(Change(Action.INCREMENT, increment_operand(1, 0))),
    "an append": change(Change(Action.APPEND, append_operand(1000, bytes(1000)))),
    "the longest lock name": change(fenced(bytes(100), 1)),
    "the largest token": change(fenced(b"l", 2**63 - 1)),
    "a get in a transaction": transaction(operations(GET, KEY)),
    "a transaction known by a key compared": transaction(comparisons=[value(b"x")]),
    "a lifetime in a transaction": transaction(
        otherwise=operations(CHANGE, KEY, encode_change(SOON)), timed=True
    ),
    "all kinds": encode_command(
        bytes((PUT, DELETE, CHANGE, TRANSACTION)),
        [KEY] * 4,
        [
            b"value",
            b"",
            encode_change(SOON),
            encode_transaction(Transaction([value(b"x")], NOTHING, NOTHING)),
        ],
        timed=True,
    ),
}

REFUSED = {
    "no operation": (encode_command(b"", [], []), "no operations"),
    "more than a section may have": (
        encode_command(bytes((PUT,)) * 5000, [KEY] * 5000, [bytes(1000)] * 5000),
        r"has 5\d{6} bytes; the limit is 4194304",
    ),
    "an empty key": (encode_command(b"\1", [b""], [b""]), "key has 0 bytes"),
    "a long key": (encode_command(b"\1", [LONG_NAME], [b""]), "key has 101 bytes"),
    "a key of elsewhere": (encode_command(b"\1", [FAR], [b""]), "does not belong to partition"),
    "a large value": (encode_command(b"\1", [KEY], [TOO_LARGE]), "value has 1001 bytes"),
    "a delete with an argument": (encode_command(b"\2", [KEY], [b"x"]), "a delete has an argument"),
    "that among changes": (
        encode_command(bytes((CHANGE, DELETE)), [KEY] * 2, [encode_change(ANYWHERE), b"x"]),
        "a delete has an argument",
    ),
    "a large value among changes": (
        encode_command(bytes((CHANGE, PUT)), [KEY] * 2, [encode_change(ANYWHERE), TOO_LARGE]),
        "value has 1001 bytes",
    ),
    "an expiry": (encode_command(bytes((EXPIRE,)), [KEY], [bytes(8)]), "may not ask for"),
    "a clock": (with_clock(change(SOON), 5), "only a leader sets it"),
    "a clock where no time is needed": (
        with_clock(encode_command(b"\1", [KEY], [b""]), 5),
        "only a leader sets it",
    ),
    "a put that says it is timed": (
        encode_command(b"\1", [KEY], [b""], timed=True),
        "begins no lifetime",
    ),
    "a change that says it is timed": (
        encode_command(bytes((CHANGE,)), [KEY], [encode_change(ANYWHERE)], timed=True),
        "begins no lifetime",
    ),
    "a lifetime that is not said": (
        encode_command(bytes((CHANGE,)), [KEY], [encode_change(SOON)]),
        "timed is False, and the command begins a lifetime",
    ),
    "a lifetime in a transaction that is not said": (
        transaction(operations(CHANGE, KEY, encode_change(SOON))),
        "begins a lifetime",
    ),
    "a large value that is put by a change": (
        change(Change(Action.PUT, TOO_LARGE)),
        "value has 1001 bytes",
    ),
    "a large value that is a condition": (
        change(replace(ANYWHERE, if_value=TOO_LARGE)),
        "value has 1001 bytes",
    ),
    "a large suffix": (
        change(Change(Action.APPEND, append_operand(1000, TOO_LARGE))),
        "value has 1001 bytes",
    ),
    "an append with a limit of its own": (
        change(Change(Action.APPEND, append_operand(1001, b"x"))),
        "may make a value of 1001 bytes; the limit is 1000",
    ),
    "a lock without a name": (change(fenced(b"", 1)), "lock's name has 0 bytes"),
    "a long lock name": (change(fenced(LONG_NAME, 1)), "lock's name has 101 bytes"),
    "token zero": (change(fenced(b"lock", 0)), "token is 0; the limit is 1 to"),
    "a huge token": (change(fenced(b"lock", 2**63)), "token is 9223372036854775808"),
    "a transaction without its key": (
        transaction(operations(GET, b"{t}other")),
        "is not among those of its transaction",
    ),
    "a transaction of nothing": (transaction(), "is not among those of its transaction"),
    "a key of elsewhere in a branch": (
        transaction(operations(GET, KEY), otherwise=operations(DELETE, FAR)),
        "does not belong to partition",
    ),
    "a key of elsewhere compared": (
        transaction(operations(GET, KEY), [value(b"x", FAR)]),
        "does not belong to partition",
    ),
    "an empty key in a branch": (
        transaction(Operations(b"\5\5", [KEY, b""], [b"", b""])),
        "key has 0 bytes",
    ),
    "a large value compared": (transaction(comparisons=[value(TOO_LARGE)]), "value has 1001"),
    "a large value put in a branch": (
        transaction(otherwise=operations(PUT, KEY, TOO_LARGE)),
        "value has 1001 bytes",
    ),
    "an append in a branch with a limit of its own": (
        transaction(
            operations(CHANGE, KEY, encode_change(Change(Action.APPEND, append_operand(1001, b""))))
        ),
        "may make a value of 1001 bytes",
    ),
}

MALFORMED = {
    "nothing": b"",
    "a change that is none": encode_command(bytes((CHANGE,)), [KEY], [b"\0"]),
    "a transaction that is none": encode_command(bytes((TRANSACTION,)), [KEY], [b"\0"]),
    "a get outside a transaction": encode_command(bytes((GET,)), [KEY], [b""]),
    "an expiry in a transaction": transaction(operations(EXPIRE, KEY, bytes(8))),
    "a transaction in a transaction": transaction(operations(TRANSACTION, KEY, bytes(8))),
    "a version of one byte": transaction(
        comparisons=[Comparison(KEY, Subject.VERSION, Relation.EQUAL, b"\1")]
    ),
    "a lifetime of no time": encode_command(
        bytes((CHANGE,)), [KEY], [b"\5\x08" + bytes(8)], timed=True
    ),
}


@pytest.mark.parametrize("command", TAKEN.values(), ids=TAKEN.keys())
def test_what_keeps_the_rules_is_taken(command: bytes) -> None:
    check_command(command, HOME, PARTITIONS, LIMITS)


@pytest.mark.parametrize(("command", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_a_rule_is_refused_and_named(command: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        check_command(command, HOME, PARTITIONS, LIMITS)


@pytest.mark.parametrize("command", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_does_not_follow_the_format_is_refused(command: bytes) -> None:
    with pytest.raises(CodecError):
        check_command(command, HOME, PARTITIONS, LIMITS)


def test_numbers_are_compared_whatever_the_limit_of_values() -> None:
    command = transaction(
        comparisons=[Comparison(KEY, Subject.VERSION, Relation.EQUAL, number_operand(1))]
    )
    check_command(command, HOME, PARTITIONS, Limits(value_bytes_max=1, key_bytes_max=100))
