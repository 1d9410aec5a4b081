"""Limits: at the bound all is well, one past it is refused and said."""

from __future__ import annotations

import pytest

from kvstore.codec.command import OperationKind, encode_command
from kvstore.codec.limits import (
    KEY_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    VALUE_BYTES_MAX_CEILING,
    VALUE_BYTES_MAX_DEFAULT,
    Limits,
)
from kvstore.errors import InvalidArgument

LIMITS = Limits(value_bytes_max=1000, key_bytes_max=10)


@pytest.mark.parametrize("length", [1, 10])
def test_a_key_within_the_limit_passes(length: int) -> None:
    LIMITS.check_key(b"k" * length)


@pytest.mark.parametrize("length", [0, 11])
def test_a_key_outside_the_limit_is_refused_with_its_length_and_the_limit(length: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"key has {length} bytes; the limit is 1 to 10"):
        LIMITS.check_key(b"k" * length)


@pytest.mark.parametrize("length", [0, 1000])
def test_a_value_within_the_limit_passes(length: int) -> None:
    LIMITS.check_value(bytes(length))


def test_a_value_outside_the_limit_is_refused_with_its_length_and_the_limit() -> None:
    with pytest.raises(InvalidArgument, match="value has 1001 bytes; the limit is 1000"):
        LIMITS.check_value(bytes(1001))


@pytest.mark.parametrize("value_bytes_max", [1, VALUE_BYTES_MAX_DEFAULT, VALUE_BYTES_MAX_CEILING])
def test_the_largest_key_and_value_fit_in_a_batch_and_a_batch_in_a_message(
    value_bytes_max: int,
) -> None:
    limits = Limits(value_bytes_max)
    command = encode_command(
        bytes([OperationKind.PUT]), [bytes(KEY_BYTES_MAX)], [bytes(value_bytes_max)]
    )
    assert len(command) <= limits.batch_bytes_max < MESSAGE_BYTES_MAX
