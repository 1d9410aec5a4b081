"""Every name that the commit log gives a file. Pure."""

from __future__ import annotations

from typing import Final

_SEGMENT_SUFFIX: Final = ".segment"
_SPARE_SUFFIX: Final = ".spare"
_DIGITS: Final = 16


def segment_name(segment: int) -> str:
    """The file name of a segment."""
    return f"{segment:0{_DIGITS}x}{_SEGMENT_SUFFIX}"


def spare_name(number: int) -> str:
    """The file name of space that is held ready for a segment; its number says nothing."""
    return f"{number:0{_DIGITS}x}{_SPARE_SUFFIX}"


def segment_of_name(name: str) -> int | None:
    """The segment whose file is called `name`; None for any other file."""
    return _number(name, _SEGMENT_SUFFIX)


def is_spare_name(name: str) -> bool:
    """Whether `name` was given by `spare_name`."""
    return _number(name, _SPARE_SUFFIX) is not None


def _number(name: str, suffix: str) -> int | None:
    digits = name.removesuffix(suffix)
    if digits == name or len(digits) != _DIGITS or not set(digits) <= set("0123456789abcdef"):
        return None
    return int(digits, 16)
