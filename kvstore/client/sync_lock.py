"""Locks for threads."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from kvstore.client.background import Background
from kvstore.client.lock import Lock
from kvstore.codec.change import Fence


class SyncLock:
    """A lock by name; made by `Client.lock`, for one holder at a time. See Lock.

    ```python
    with kv.lock("{jobs}nightly", ttl=10) as lock:
        kv.put("{jobs}report", "done", fence=lock.fence)
    ```

    It is kept alive in the client's own thread, whatever the holder's does meanwhile.
    """

    __slots__ = ("_background", "_lock")

    def __init__(self, lock: Lock, background: Background) -> None:
        self._lock = lock
        self._background = background

    def __repr__(self) -> str:
        return repr(self._lock).replace("Lock", "SyncLock", 1)

    @property
    def name(self) -> bytes:
        """The key."""
        return self._lock.name

    @property
    def token(self) -> int:
        """See Lock.token."""
        return self._lock.token

    @property
    def fence(self) -> Fence:
        """See Lock.fence."""
        return self._lock.fence

    @property
    def is_lost(self) -> bool:
        """See Lock.is_lost."""
        return self._lock.is_lost

    def check(self) -> None:
        """See Lock.check."""
        self._lock.check()

    def acquire(self) -> None:
        """See Lock.acquire."""
        self._background.run(self._lock.acquire())

    def release(self) -> None:
        """See Lock.release."""
        self._background.run(self._lock.release())

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
