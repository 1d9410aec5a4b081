"""What the state machine asks of an ordered key-value engine: a protocol with two makers.

`rocks_engine.RocksEngine` is the one nodes use, `memory_engine.MemoryEngine` its twin for tests and
simulation; one test suite holds both to this page. Keys and values are bytes, keys are ordered as
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EnginePage:
    """Part of a range, in key order, or from the last key down when asked for in reverse; `values`
    is parallel to `keys`, or empty when keys only."""

    keys: list[bytes]
    values: list[bytes]
    more: bool
    """Whether the range has keys beyond these, in the direction asked for; exact."""


class EngineView(Protocol):
    """What a range of an engine held at one moment. Failures are those of Engine."""

    def scan(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """As `Engine.scan`, where both bounds lie in the view's range; `end` None: to its end."""
        ...

    def close(self) -> None:
        """Lets go of it; a second call does nothing. To be called before the engine's `close`."""
        ...


class WriteBatch(Protocol):
    """Changes that will be made together, in order. Written once, then of no further use."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Sets `key` to `value`."""
        ...

    def delete(self, key: bytes, /) -> None:
        """Removes `key` if it is there."""
        ...

    def delete_range(self, start: bytes, end: bytes, /) -> None:
        """Removes every key in start ≤ key < end; raises ValueError when start > end."""
        ...

    def __len__(self) -> int:
        """The number of changes."""
        ...

    def size_in_bytes(self) -> int:
        """About how much memory the changes take."""
        ...


class Engine(Protocol):
    """An ordered map from bytes to bytes on this node's disk.

    All calls come from one thread, except `flush`, which may run in another at the same time; only
    `close` must wait for it. Reads see what was written by `write`, and nothing else. What was
    written is lost by a crash unless a later `flush` returned; whatever is lost, no batch is ever
    kept in part, nor without all batches before it.

    Failures: CorruptionError when stored bytes are not what was written, ResourceExhausted when
    the disk is full or the engine cannot keep up (nothing was written, and it can be tried again:
    no call waits until there is room), OSError when the disk fails,
    InvariantViolation when the engine was closed or a batch is written twice.
    """

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The value of each of `keys`, None where there is none. Keys may repeat."""
        ...

    def scan(
        self,
        start: bytes,
        end: bytes | None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """The first keys in start ≤ key < end (None: to the last key), and their values; in
        reverse the last ones, from the end down.

        At most `limit` of them, and as many as fit in `bytes_max` of keys and values, though at
        least one. `limit` ≥ 1. Empty when start ≥ end.
        """
        ...

    def view(self, start: bytes, end: bytes) -> EngineView:
        """The keys in start ≤ key < end and their values as they are now, whatever is written
        later; scans begin at `start` or above. It keeps what is deleted meanwhile from being given
        back to the disk."""
        ...

    def new_batch(self) -> WriteBatch:
        """An empty batch for `write` of this engine."""
        ...

    def write(self, batch: WriteBatch) -> None:
        """Makes the changes of `batch`, all or none. Visible on return, durable after `flush`."""
        ...

    def flush(self) -> None:
        """Returns when all that was written before the call is on stable storage."""
        ...

    def approximate_bytes(self) -> int:
        """About how much the engine holds, in memory and on disk."""
        ...

    def close(self) -> None:
        """Lets go of everything; a second call does nothing. What was not flushed may be lost."""
        ...
