"""What callers hand in, checked before anything is queued; errors name argument and rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from kvstore.errors import InvalidArgument

TIMEOUT_S_MAX: Final = 3600.0
ENDPOINTS_MAX: Final = 64


def as_bytes(name: str, value: object) -> bytes:
    """`value` as bytes: bytes as they are, str as UTF-8; anything else is InvalidArgument."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as problem:
            raise InvalidArgument(f"{name} {value!r} cannot be encoded as UTF-8") from problem
    raise InvalidArgument(f"{name} must be bytes or str, not {type(value).__name__}")


def optional_bytes(name: str, value: object) -> bytes | None:
    """Like `as_bytes`, where None stays None."""
    return None if value is None else as_bytes(name, value)


def checked_timeout_s(value: object) -> float:
    """`value` as seconds: a number above 0 and up to TIMEOUT_S_MAX, else InvalidArgument."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"timeout_s must be a number, not {type(value).__name__}")
    if not (math.isfinite(value) and 0 < value <= TIMEOUT_S_MAX):
        raise InvalidArgument(
            f"timeout_s is {value}; it must be above 0 and at most {TIMEOUT_S_MAX:g}"
        )
    return float(value)


def checked_limit(value: object) -> int | None:
    """`value` as the most entries of a scan: None or a whole number from 0, else InvalidArgument.

    0 asks for nothing and gets nothing.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"limit must be an int or None, not {type(value).__name__}")
    if value < 0:
        raise InvalidArgument(f"limit is {value}; it must be 0 or more")
    return value


def parsed_endpoints(endpoints: str | Sequence[str]) -> tuple[str, ...]:
    """The "host:port" addresses in `endpoints`, in order, each once; else InvalidArgument."""
    if isinstance(endpoints, str):
        names: Sequence[str] = endpoints.split(",")
    elif isinstance(endpoints, Sequence) and all(isinstance(name, str) for name in endpoints):
        names = endpoints
    else:
        raise InvalidArgument(
            "endpoints must be 'host:port,host:port' or a sequence of such strings, "
            f"not {type(endpoints).__name__}"
        )
    addresses = tuple(dict.fromkeys(_parsed_address(name.strip()) for name in names))
    if not 1 <= len(addresses) <= ENDPOINTS_MAX:
        raise InvalidArgument(f"{len(addresses)} endpoints; the limit is 1 to {ENDPOINTS_MAX}")
    return addresses


def _parsed_address(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidArgument(f"endpoint {address!r} is not host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise InvalidArgument(f"endpoint {address!r}: an IPv6 address stands in [brackets]")
    return address
