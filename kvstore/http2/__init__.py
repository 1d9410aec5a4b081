"""gRPC on the event loop itself: HTTP/2 without threads, as far as nodes and clients need it.

What is spoken is the wire format of gRPC (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md) over HTTP/2
(RFC 9113), and either end may be any other implementation. See docs/format-wire.md.
"""
