"""The limits of keys, values and batches: one place that says them and checks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.errors import InvalidArgument

KEY_BYTES_MAX: Final = 4096
VALUE_BYTES_MAX_DEFAULT: Final = 1 << 20
VALUE_BYTES_MAX_CEILING: Final = 16 << 20
_BATCH_BYTES_MIN: Final = 4 << 20
MESSAGE_BYTES_MAX: Final = 64 << 20
"""What gRPC takes in one message; leaves room for the largest batch and its framing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes. The cluster's settings decide `value_bytes_max`; the others follow."""

    value_bytes_max: int = VALUE_BYTES_MAX_DEFAULT
    key_bytes_max: int = KEY_BYTES_MAX

    @property
    def batch_bytes_max(self) -> int:
        """Of one partition's section of a batch, so of one log entry: a largest value fits."""
        return max(_BATCH_BYTES_MIN, self.value_bytes_max + self.key_bytes_max + 1024)

    def check_key(self, key: bytes) -> None:
        """Raises InvalidArgument unless `key` has 1 to key_bytes_max bytes."""
        if not 1 <= len(key) <= self.key_bytes_max:
            raise InvalidArgument(
                f"key has {len(key)} bytes; the limit is 1 to {self.key_bytes_max}"
            )

    def check_value(self, value: bytes) -> None:
        """Raises InvalidArgument when `value` has more than value_bytes_max bytes."""
        if len(value) > self.value_bytes_max:
            raise InvalidArgument(
                f"value has {len(value)} bytes; the limit is {self.value_bytes_max}"
            )
