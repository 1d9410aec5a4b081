"""What a view holds, page by page: of one replica's state, or of a part of it."""

from __future__ import annotations

from typing import Final

from cluster.errors import InvariantViolation
from kvstore.storage.engine import EnginePage, EngineView


class ViewPages:
    """All keys that begin with one prefix, and their values, in byte order. Failures are those of
    EngineView."""

    __slots__ = ("_keys_max", "_next_key", "_view", "is_read", "prefix")

    def __init__(self, view: EngineView, prefix: bytes, keys_max: int) -> None:
        """`view` is of the range of all keys that begin with `prefix`; a page has at most
        `keys_max` of them."""
        self._view = view
        self._keys_max = keys_max
        self._next_key = prefix
        self.prefix: Final = prefix
        self.is_read = False
        """Whether nothing follows the last page."""

    def next(self, bytes_max: int) -> EnginePage:
        """The page after the last one, at most so many bytes or one key; the keys are whole. Where
        `more` is false, which is exact, nothing follows. Raises InvariantViolation on a key that
        does not begin with the prefix."""
        page = self._view.scan(self._next_key, limit=self._keys_max, bytes_max=bytes_max)
        keys = page.keys
        if keys:
            # In order, so all between them begin with it, too.
            if not (keys[0].startswith(self.prefix) and keys[-1].startswith(self.prefix)):
                raise InvariantViolation("a view of one replica's state shows another's")
            self._next_key = keys[-1] + b"\0"
        self.is_read = not page.more
        return page

    def close(self) -> None:
        """Lets go of the view; a second call does nothing. To be called before the engine's
        `close`."""
        self._view.close()
