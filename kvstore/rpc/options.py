"""gRPC's options, in one place; their names are those of grpc_types.h."""

from __future__ import annotations

from kvstore.codec.limits import MESSAGE_BYTES_MAX

Options = list[tuple[str, int]]


def server_options() -> Options:
    """Of a node's server."""
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        # The default, 120 s, lets a peer that says nothing hold a connection for that long.
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_concurrent_streams", 4_096),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
