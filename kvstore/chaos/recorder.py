"""What happened, onto the disk as it happens: operations as a history, all else as events.

Memory is bounded by what is under way; history.jsonl and events.jsonl grow line by line. Times are
those of one monotonic clock, in nanoseconds.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Final

from kvstore.verify.history import History
from kvstore.verify.operation import READS, Ending, Operation

HISTORY_FILE: Final = "history.jsonl"
EVENTS_FILE: Final = "events.jsonl"


class Recorder:
    """The two files of one run, in `folder`. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._history = (folder / HISTORY_FILE).open("w", encoding="utf-8", newline="\n")
        self._events = (folder / EVENTS_FILE).open("w", encoding="utf-8", newline="\n")
        self._last_ns = 0
        self.endings: Final[Counter[Ending]] = Counter()
        """Operations by how they ended."""
        self.reads: Final[Counter[str]] = Counter()
        """That were answered, by level of consistency."""
        self.errors: Final[Counter[str]] = Counter()
        """By the names of their classes."""
        self._told: Counter[str] = Counter()
        self._told_ns = self.now_ns()

    @property
    def operations(self) -> int:
        """That have ended."""
        return self.endings.total()

    def now_ns(self) -> int:
        """Now, and later than ever before: what happened in order stays in order."""
        self._last_ns = max(self._last_ns + 1, time.monotonic_ns())
        return self._last_ns

    def add(self, operation: Operation, error: str | None = None) -> None:
        """An operation has ended, as far as its client knows; `error` names what it raised."""
        self.endings[operation.outcome] += 1
        if operation.op in READS and operation.is_ok:
            self.reads[operation.level] += 1
        if error is not None:
            self.errors[error] += 1
        for line in History([operation]).lines():
            self._history.write(line + "\n")

    def event(self, event: str, at_ns: int | None = None, **fields: object) -> None:
        """Something happened to the cluster, now or at `at_ns`."""
        record = {"at_ns": self.now_ns() if at_ns is None else at_ns, "event": event, **fields}
        self._events.write(json.dumps(record, ensure_ascii=False) + "\n")

    def tell_errors(self) -> None:
        """Writes down how many errors there were of each kind since this was last called."""
        for kind, count in self.errors.items():
            since = count - self._told[kind]
            if since:
                self.event("error", self._told_ns, kind=kind, count=since)
        self._told = Counter(self.errors)
        self._told_ns = self.now_ns()

    def flush(self) -> None:
        """What was recorded can be read by others."""
        self._history.flush()
        self._events.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self._history.close()
        self._events.close()
