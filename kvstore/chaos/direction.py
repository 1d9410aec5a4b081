"""What becomes of the bytes from one node to another on their way through the proxy."""

from __future__ import annotations

import asyncio
from typing import Final

_NEVER_S: Final = float("-inf")


class Direction:
    """Bytes one way, of all connections: let through, held, late or few at a time.

    What is held is not lost: it arrives when the way is mended, as TCP would send it again.
    """

    __slots__ = ("_bytes_per_s", "_changed", "_delay_s", "_free_at_s", "_is_cut", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._is_cut = False
        self._delay_s = 0.0
        self._bytes_per_s = 0.0
        self._free_at_s = _NEVER_S

    @property
    def is_clear(self) -> bool:
        """Whether bytes go through as they come."""
        return not (self._is_cut or self._delay_s or self._bytes_per_s)

    def cut(self) -> None:
        """Holds everything."""
        self._is_cut = True
        self._tell()

    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Delays what comes from now on, and lets so much through; 0: as much as comes."""
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._tell()

    def clear(self) -> None:
        """Lets everything through, what was held first."""
        self._is_cut = False
        self._delay_s = self._bytes_per_s = 0.0
        self._free_at_s = _NEVER_S
        self._tell()

    async def admit(self, size: int, read_at_s: float) -> None:
        """Returns when `size` bytes that came at `read_at_s` (of the loop's clock) may go on."""
        while (wait_s := self._wait_s(read_at_s)) is None or wait_s > 0:
            await asyncio.wait((self._changed,), timeout=wait_s)
        if self._bytes_per_s:
            self._free_at_s = self._loop.time() + size / self._bytes_per_s

    def _wait_s(self, read_at_s: float) -> float | None:
        """None: until something changes."""
        if self._is_cut:
            return None
        if self.is_clear:
            return 0.0
        return max(read_at_s + self._delay_s, self._free_at_s) - self._loop.time()

    def _tell(self) -> None:
        changed, self._changed = self._changed, self._loop.create_future()
        changed.set_result(None)
