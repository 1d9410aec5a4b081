"""How much is loaded at once, as at the start of a node."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Modules that are loaded in here are loaded an eighth faster: nearly all that they make stays,
    and the collector would look through it again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def without_rich() -> Iterator[None]:
    """structlog loads rich where it finds it, for colours that a node never prints: that would be a
    tenth of the time in which a node starts."""
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]
