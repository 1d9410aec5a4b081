"""What a node writes on standard error: one line an event."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO, cast

import structlog


class Forgiving:
    """A stream that loses what it cannot write. It may well be a file on the disk that is full, and
    a node that can say nothing has to go on all the same."""

    __slots__ = ("__weakref__", "_stream")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """See TextIO."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """See TextIO."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure_logging(level: str, *, as_json: bool) -> None:
    """Logs events of `level` and above: as key=value pairs, or as one JSON object a line."""
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )
