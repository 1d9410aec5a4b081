"""Transactions and their answers. Transactions stand in logs: these bytes are forever."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.change import Action, Change, encode_change
from kvstore.codec.command import OperationKind
from kvstore.codec.results import encode_results
from kvstore.codec.transaction import (
    OPERATIONS_MAX,
    Branch,
    Comparison,
    Operations,
    Relation,
    Subject,
    Transaction,
    TransactionAnswer,
    decode_transaction,
    decode_transaction_answer,
    encode_transaction,
    encode_transaction_answer,
    number_operand,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)
from tests.codec.test_change import changes

PUT, DELETE, CHANGE, GET = (
    OperationKind.PUT,
    OperationKind.DELETE,
    OperationKind.CHANGE,
    OperationKind.GET,
)
relations = st.sampled_from(Relation)
comparisons = st.builds(
    Comparison, byte_strings, st.just(Subject.VALUE), relations, byte_strings
) | st.builds(
    Comparison,
    byte_strings,
    st.sampled_from([each for each in Subject if each is not Subject.VALUE]),
    relations,
    st.builds(number_operand, st.integers(0, 2**64 - 1)),
)


@st.composite
def some_operations(draw: st.DrawFn) -> Operations:
    kinds = draw(st.lists(st.sampled_from([PUT, DELETE, CHANGE, GET]), max_size=4))
    arguments = {PUT: byte_strings, CHANGE: changes.map(encode_change)}
    return Operations(
        bytes(kinds),
        [draw(byte_strings) for _ in kinds],
        [draw(arguments.get(kind, st.just(b""))) for kind in kinds],
    )


transactions = st.builds(
    Transaction, st.lists(comparisons, max_size=4), some_operations(), some_operations()
)

NOTHING = Operations(b"", [], [])
TRANSACTION = Transaction(
    [
        Comparison(b"a", Subject.VALUE, Relation.EQUAL, b"x"),
        Comparison(b"a", Subject.MOD_REVISION, Relation.LESS, number_operand(9)),
    ],
    Operations(bytes((PUT, GET)), [b"a", b"b"], [b"y", b""]),
    Operations(bytes((CHANGE,)), [b"c"], [encode_change(Change(Action.TOUCH, lifetime_ms=1000))]),
)
GOLDEN = bytes.fromhex(
    "01 0200"  # format, two comparisons
    "01 01 0100 61 01000000 78"  # value of a = x
    "04 03 0100 61 08000000 0900000000000000"  # mod revision of a < 9
    "02000000 01 05"  # then: put, get
    "02000000 01000000 01000000 61 62"  # keys a, b
    "02000000 01000000 00000000 79"  # arguments y, nothing
    "01000000 03"  # else: a change
    "01000000 01000000 63"  # key c
    "01000000 0a000000 05 08 e803000000000000"  # touch, for a second
)


def test_the_bytes_of_a_transaction_are_as_documented() -> None:
    assert encode_transaction(TRANSACTION) == GOLDEN
    assert decode_transaction(GOLDEN) == TRANSACTION


@pytest.mark.parametrize(
    ("answer", "golden"),
    [
        (
            TransactionAnswer(Branch.THEN, 0, encode_results([7])),
            "01 0000 02 00 00 01000000 0700000000000000",
        ),
        (TransactionAnswer(Branch.ELSE, 0, b""), "00 0000"),
        (TransactionAnswer(Branch.FAILED, 3, b"why"), "02 0300 776879"),
    ],
)
def test_the_bytes_of_an_answer_are_as_documented(answer: TransactionAnswer, golden: str) -> None:
    assert encode_transaction_answer(answer) == bytes.fromhex(golden)
    assert decode_transaction_answer(bytes.fromhex(golden)) == answer


def test_the_numbers_are_forever() -> None:
    assert [(each.name, each.value) for each in Subject] == [
        ("VALUE", 1),
        ("VERSION", 2),
        ("CREATE_REVISION", 3),
        ("MOD_REVISION", 4),
    ]
    assert [(each.name, each.value) for each in Relation] == [
        ("EQUAL", 1),
        ("NOT_EQUAL", 2),
        ("LESS", 3),
        ("GREATER", 4),
    ]
    assert [(each.name, each.value) for each in Branch] == [("ELSE", 0), ("THEN", 1), ("FAILED", 2)]


@given(transactions)
def test_a_transaction_comes_back(transaction: Transaction) -> None:
    assert decode_transaction(encode_transaction(transaction)) == transaction


@given(transactions)
def test_it_names_all_its_keys(transaction: Transaction) -> None:
    named = [each.key for each in transaction.comparisons]
    named += [*transaction.then.keys, *transaction.otherwise.keys]
    assert list(transaction.keys()) == named


@pytest.mark.parametrize("lifetime_ms", [None, 5])
@pytest.mark.parametrize("taken", [True, False])
def test_it_is_timed_when_a_change_of_either_branch_begins_a_lifetime(
    lifetime_ms: int | None, taken: bool
) -> None:
    change = encode_change(Change(Action.TOUCH, lifetime_ms=lifetime_ms))
    # A put of the same bytes begins none.
    some = Operations(bytes((PUT, CHANGE)), [b"k", b"k"], [b"\5\x08", change])
    branches = (some, NOTHING) if taken else (NOTHING, some)
    assert Transaction([], *branches).is_timed is (lifetime_ms is not None)


@given(transactions)
def test_every_truncation_and_any_more_byte_is_refused(transaction: Transaction) -> None:
    assert_every_truncation_is_refused(decode_transaction, encode_transaction(transaction))
    assert_more_bytes_are_refused(decode_transaction, encode_transaction(transaction))


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_another_whole_transaction(at: int, byte: int) -> None:
    data = GOLDEN[:at] + bytes([byte]) + GOLDEN[at + 1 :]
    if decodes(decode_transaction, data):
        assert encode_transaction(decode_transaction(data)) == data


@given(st.binary(max_size=80), st.sampled_from([b"", b"\1", b"\1\0\0", b"\1\1\0"]))
def test_any_bytes_are_refused_by_codec_error_alone(data: bytes, head: bytes) -> None:
    decodes(decode_transaction, head + data)
    decodes(decode_transaction_answer, data)


def with_operation(kind: int, argument: bytes) -> bytes:
    operations = Operations(bytes((kind,)), [b"k"], [argument])
    return encode_transaction(Transaction([], operations, NOTHING))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\2" + GOLDEN[1:], id="a newer format"),
        pytest.param(GOLDEN[:3] + b"\0" + GOLDEN[4:], id="subject zero"),
        pytest.param(GOLDEN[:3] + b"\5" + GOLDEN[4:], id="an unknown subject"),
        pytest.param(GOLDEN[:4] + b"\5" + GOLDEN[5:], id="an unknown relation"),
        pytest.param(GOLDEN[:3] + b"\2" + GOLDEN[4:], id="a version of one byte"),
        pytest.param(with_operation(DELETE, b"x"), id="a delete with an argument"),
        pytest.param(with_operation(GET, b"x"), id="a get with an argument"),
        pytest.param(with_operation(CHANGE, b"\1"), id="a change that makes no sense"),
        pytest.param(with_operation(OperationKind.TRANSACTION, GOLDEN), id="a transaction inside"),
        pytest.param(with_operation(OperationKind.EXPIRE, bytes(8)), id="an expiry"),
        pytest.param(with_operation(0, b""), id="operation zero"),
    ],
)
def test_what_makes_no_sense_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_transaction(data)


def test_an_answer_of_an_unknown_branch_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_transaction_answer(b"\3\0\0")
    for length in range(3):
        with pytest.raises(CodecError):
            decode_transaction_answer(bytes(length))


def test_the_most_operations_are_taken_and_one_more_is_not() -> None:
    def of(count: int) -> bytes:
        gets = Operations(bytes((GET,)) * count, [b"k"] * count, [b""] * count)
        return encode_transaction(Transaction([], gets, NOTHING))

    assert len(decode_transaction(of(OPERATIONS_MAX)).then.keys) == OPERATIONS_MAX
    with pytest.raises(CodecError, match=f"the limit is {OPERATIONS_MAX}"):
        decode_transaction(of(OPERATIONS_MAX + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"\1\xff\xff" + bytes(8),
        b"\1\0\0\xff\xff\xff\xff" + bytes(8),
        b"\1\0\0" + pack("<I", OPERATIONS_MAX) + bytes(OPERATIONS_MAX) + b"\xff" * 4,
        b"\1\1\0\1\1\0\0\xff\xff\xff\xff",
    ],
)
def test_a_huge_count_is_refused_without_memory(data: bytes) -> None:
    assert_refused_without_memory(decode_transaction, data)
