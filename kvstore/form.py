"""In which form kvstore is installed: as it is written, or compiled (`make wheel`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"

_ONE_OF_THEM: Final = "cluster.errors"
"""A module that is compiled where any is."""


def installed_form() -> str:
    """COMPILED or INTERPRETED."""
    found = find_spec(_ONE_OF_THEM)
    is_source = found is not None and (found.origin or "").endswith(".py")
    return INTERPRETED if is_source else COMPILED
