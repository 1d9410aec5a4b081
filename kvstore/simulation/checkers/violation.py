"""What a checker raises."""

from __future__ import annotations


class Violation(Exception):
    """A promise was broken: which, and how it was seen. No operating error: it ends the run."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
