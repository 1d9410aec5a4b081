"""What happened, in order: a hash of all of it, the last of it in memory, and a file if wanted.

Two runs of one seed are the same run when their hashes are equal.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Final, NamedTuple, TextIO

from xxhash import xxh3_64

Field = str | int | float | None

RING_EVENTS: Final = 2_000
"""Kept for the report of a failure."""
_DIGESTED_AT_ONCE: Final = 256
"""Events: to hash one by one takes twice as long."""


class Event(NamedTuple):
    """One thing that happened, `fields` being what tells it from others of its kind."""

    now_ns: int
    kind: str
    fields: tuple[Field, ...]

    def __str__(self) -> str:
        words = " ".join(str(field) for field in self.fields if field is not None)
        return f"{self.now_ns / 1e9:10.6f}  {self.kind:<9} {words}"


class Trace:
    """See the module."""

    __slots__ = ("_digest", "_file", "_recent", "_undigested", "events")

    def __init__(self, file: TextIO | None = None) -> None:
        self._digest = xxh3_64()
        # Plain tuples: nearly all of them are never looked at.
        self._recent: deque[tuple[int, str, tuple[Field, ...]]] = deque(maxlen=RING_EVENTS)
        self._undigested: list[tuple[int, str, tuple[Field, ...]]] = []
        self._file = file
        self.events = 0

    def note(self, now_ns: int, kind: str, fields: tuple[Field, ...]) -> None:
        """Takes an event; everything in it has to follow from the seed."""
        self.events += 1
        event = (now_ns, kind, fields)
        undigested = self._undigested
        undigested.append(event)
        if len(undigested) == _DIGESTED_AT_ONCE:
            self._digest_all()
        self._recent.append(event)
        if self._file is not None:
            self._write(self._file, Event(*event))

    def _digest_all(self) -> None:
        self._digest.update("".join(map(repr, self._undigested)).encode())
        self._undigested.clear()

    def say(self, now_ns: int, kind: str, *fields: Field) -> None:
        """Takes what is good to read and no part of the hash, such as a node's log."""
        event = Event(now_ns, kind, fields)
        self._recent.append(event)
        if self._file is not None:
            self._write(self._file, event)

    @staticmethod
    def _write(file: TextIO, event: Event) -> None:
        line = {"time_s": event.now_ns / 1e9, "event": event.kind, "fields": event.fields}
        file.write(json.dumps(line) + "\n")

    @property
    def hash(self) -> str:
        """Of all events so far, in hexadecimal."""
        self._digest_all()
        return self._digest.hexdigest()

    @property
    def recent(self) -> list[Event]:
        """The last RING_EVENTS."""
        return [Event(*event) for event in self._recent]
