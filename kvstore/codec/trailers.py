"""Names in the trailing metadata of failed calls (proto/kvstore/v1/kv.proto)."""

from __future__ import annotations

from typing import Final

OUTCOME_KEY: Final = "kvstore-outcome"
REASON_KEY: Final = "kvstore-reason"
NUMBER_KEY: Final = "kvstore-number"
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
"""When to try again: known to every gRPC library that retries (gRFC A6)."""
