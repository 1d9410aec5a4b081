"""What clients asked and what they were answered, for those who judge it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from kvstore.simulation.kernel import Kernel
from kvstore.simulation.observers import Observers
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation

Op = Literal["get", "put", "delete", "cas", "increment", "append", "touch"]
Outcome = Literal["ok", "fail", "unknown"]


@dataclass(slots=True)
class Record:
    """One operation. While nothing is known of its end, its outcome is unknown."""

    client: int
    op: Op
    key: bytes
    input: bytes | None
    invoked_ns: int
    expected: bytes | None = None
    """Of a cas or a touch: the value that it needs."""
    ttl_s: float | None = None
    """Of a put or a touch: the lifetime that it gives, if any."""
    output: bytes | None = None
    applied: bool | None = None
    """Of a delete: whether there was such a key. Of a cas: whether its condition held."""
    number: int | None = None
    """That an increment or an append came to."""
    returned_ns: int | None = None
    outcome: Outcome = "unknown"


class Recorder:
    """Keeps the records of a run. Its times are virtual, and no two are the same."""

    def __init__(self, kernel: Kernel, observers: Observers) -> None:
        self._kernel = kernel
        self._observers = observers
        self.records: Final[list[Record]] = []
        self._last_ns = 0
        self.open: Final[dict[int, Record]] = {}
        """Those under way, by number."""
        self._numbers = 0

    def invoke(
        self,
        client: int,
        op: Op,
        key: bytes,
        value: bytes | None = None,
        *,
        expected: bytes | None = None,
        ttl_s: float | None = None,
    ) -> int:
        """An operation begins; its number."""
        record = Record(client, op, key, value, self._stamp(), expected, ttl_s)
        self.records.append(record)
        self._numbers += 1
        self.open[self._numbers] = record
        self._kernel.note("invoke", f"c{client}", op, key.decode(), _text(value))
        return self._numbers

    def end(
        self,
        number: int,
        outcome: Outcome,
        *,
        output: bytes | None = None,
        applied: bool | None = None,
        came_to: int | None = None,
    ) -> None:
        """It has ended, as far as its client knows."""
        record = self.open.pop(number)
        record.outcome = outcome
        record.output = output
        record.applied = applied
        record.number = came_to
        if outcome != "unknown":
            record.returned_ns = self._stamp()
        shown = _text(output) if came_to is None else str(came_to)
        self._kernel.note(
            "return", f"c{record.client}", record.op, record.key.decode(), outcome, shown
        )
        if record.op == "put" and record.ttl_s is None and outcome == "ok":
            self._observers.on_done(record.key, record.input or b"")

    def history(self, ends: Iterable[Operation] = ()) -> History:
        """All of it that is of registers and counters, for the judge; `ends` are those of
        lifetimes."""
        lists = {record.key for record in self.records if record.op == "append"}
        history = History()
        for record in self.records:
            if record.op in ("append", "touch") or record.key in lists:
                continue
            history.add(
                Operation(
                    client=record.client,
                    op=Kind(record.op),
                    key=record.key,
                    invoked_ns=record.invoked_ns,
                    outcome=Ending(record.outcome),
                    returned_ns=record.returned_ns,
                    input=record.input,
                    expected=record.expected,
                    output=record.output,
                    applied=record.applied,
                )
            )
        for end in ends:
            history.add(end)
        return history

    def _stamp(self) -> int:
        """Now, and later than the last one: what happened in order stays in order."""
        self._last_ns = max(self._last_ns + 1, self._kernel.now_ns)
        return self._last_ns


def _text(value: bytes | None) -> str | None:
    return None if value is None else value[:16].decode()
