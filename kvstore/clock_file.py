"""A small file that says how far a node's clocks are from the machine's; `kvstore chaos` writes it.

```
file     "KVCLOCK1" | state | u32 CRC-32 of the state
state    u64 anchor | u64 at | u64 rate | i64 wall offset        little-endian, times in nanoseconds
```

When the machine's monotonic clock is at `anchor`, the node's is at `at`, and it goes on from there
by `rate` millionths of what that one does. The file is written in place while nodes read it: half
of a state does not fit its checksum, and whoever reads it keeps the one before.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from kvstore.errors import ConfigurationError

MILLION: Final = 1_000_000
RATE_PPM_MIN: Final = 10_000
RATE_PPM_MAX: Final = 100 * MILLION
_MAGIC: Final = b"KVCLOCK1"
_STATE: Final = Struct("<QQQq")
_CRC: Final = Struct("<I")
_STATE_END: Final = len(_MAGIC) + _STATE.size
BYTES: Final = _STATE_END + _CRC.size
_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class ClockState:
    """See the module."""

    anchor_ns: int = 0
    at_ns: int = 0
    rate_ppm: int = MILLION
    wall_offset_ns: int = 0

    def monotonic_ns(self, machine_ns: int) -> int:
        """What the node's monotonic clock shows when the machine's shows `machine_ns`."""
        return self.at_ns + (machine_ns - self.anchor_ns) * self.rate_ppm // MILLION

    def moved(
        self, machine_ns: int, *, ahead_ns: int, rate_ppm: int, wall_offset_ns: int
    ) -> ClockState:
        """From `machine_ns` on: `ahead_ns` ahead of where it would be, at another rate.

        Raises ConfigurationError where the monotonic clock would go back, or would not go on.
        """
        if ahead_ns < 0:
            raise ConfigurationError(f"ahead_ns is {ahead_ns}; a monotonic clock never goes back")
        _check_rate(rate_ppm)
        at_ns = self.monotonic_ns(machine_ns) + ahead_ns
        return ClockState(machine_ns, at_ns, rate_ppm, wall_offset_ns)

    def encode(self) -> bytes:
        """As it stands in the file, with its checksum."""
        state = _STATE.pack(self.anchor_ns, self.at_ns, self.rate_ppm, self.wall_offset_ns)
        return state + _CRC.pack(zlib.crc32(state))


def _check_rate(rate_ppm: int) -> None:
    if not RATE_PPM_MIN <= rate_ppm <= RATE_PPM_MAX:
        raise ConfigurationError(
            f"rate_ppm is {rate_ppm}; the limit is {RATE_PPM_MIN} to {RATE_PPM_MAX}"
        )


def _decode(content: bytes) -> ClockState | None:
    """None: it is half written, or damaged."""
    state, crc = content[len(_MAGIC) : _STATE_END], content[_STATE_END:]
    if _CRC.pack(zlib.crc32(state)) != crc:
        return None
    found = ClockState(*_STATE.unpack(state))
    return found if RATE_PPM_MIN <= found.rate_ppm <= RATE_PPM_MAX else None


class ClockWriter:
    """Moves the clocks of those who read `path`, which is made. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._state = ClockState()
        path.write_bytes(_MAGIC + self._state.encode())

    def move(
        self, *, ahead_ns: int = 0, rate_ppm: int = MILLION, wall_offset_ns: int = 0
    ) -> ClockState:
        """From now on, as `ClockState.moved`; what it comes to."""
        self._state = self._state.moved(
            time.monotonic_ns(), ahead_ns=ahead_ns, rate_ppm=rate_ppm, wall_offset_ns=wall_offset_ns
        )
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, self._state.encode(), len(_MAGIC))
        finally:
            os.close(descriptor)
        return self._state


class ClockReader:
    """Follows the file at `path`.

    Raises ConfigurationError where there is none, or it is no clock file.
    """

    __slots__ = ("_content", "_map", "_state")

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != BYTES:
                    raise ConfigurationError(
                        f"clock-file is {path}, of {size} bytes; a clock file has {BYTES}: leave "
                        "the setting out, `kvstore chaos` makes such files for its own nodes"
                    )
                self._map = mmap.mmap(file.fileno(), BYTES, access=mmap.ACCESS_READ)
        except OSError as problem:
            raise ConfigurationError(
                f"clock-file is {path}, which cannot be read: {problem.strerror}; leave the setting"
                " out, `kvstore chaos` makes such files for its own nodes"
            ) from problem
        self._content = b""
        self._state = self._first(path)

    def state(self) -> ClockState:
        """How the clocks are now; as before, where that is being written."""
        content = self._map[:]
        if content != self._content:
            found = _decode(content)
            if found is not None:
                self._content, self._state = content, found
        return self._state

    def _first(self, path: Path) -> ClockState:
        if self._map[: len(_MAGIC)] != _MAGIC:
            raise ConfigurationError(
                f"clock-file is {path}, which is no clock file: it begins with "
                f"{self._map[: len(_MAGIC)]!r}, not {_MAGIC!r}"
            )
        for _ in range(_TRIES):
            found = _decode(self._map[:])
            if found is not None:
                return found
            time.sleep(0.001)
        raise ConfigurationError(
            f"clock-file is {path}, whose checksum does not fit: it is damaged"
        )
