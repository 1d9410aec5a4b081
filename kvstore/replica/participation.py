"""Whether the host takes part, and how that ends: at once, or with a last word."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final

LEAVING_TICKS: Final = 10
"""What was said reaches the peers meanwhile, and operators may ask why."""


class Participation:
    """See the module. Nobody takes part again: the node stops, and another life begins."""

    __slots__ = ("_leaving", "_on_failure", "_on_stop", "guard", "is_over")

    def __init__(
        self, on_stop: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """`on_failure` is called once, `on_stop` before it."""
        self._on_stop = on_stop
        self._on_failure = on_failure
        self._leaving: tuple[int, BaseException] | None = None
        self.is_over = False
        self.guard: Final = Guard(self.fail)
        """For all work on the host, also where it is done elsewhere."""

    def stop(self) -> None:
        """Takes no further part: what was under way ends as if the node had crashed here."""
        self.is_over = True
        self._on_stop()

    def fail(self, problem: BaseException) -> None:
        """Stops for a reason, and says so once."""
        if not self.is_over:
            self.stop()
            self._on_failure(problem)

    def leave(self, problem: BaseException) -> None:
        """Takes no further part from this moment: what is here must not be used. Fails some ticks
        later, so that what was said of it still goes out."""
        if not self.is_over:
            self.stop()
            self._leaving = (LEAVING_TICKS, problem)

    def tick(self) -> None:
        """Time passes, after the end."""
        if self._leaving is None:
            return
        ticks, problem = self._leaving
        if ticks > 1:
            self._leaving = (ticks - 1, problem)
        else:
            self._leaving = None
            self._on_failure(problem)


class Guard:
    """Hands whatever is raised inside it to `fail`, and ends it there: the node stops."""

    __slots__ = ("_fail",)

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if problem is None:
            return False
        self._fail(problem)
        return isinstance(problem, Exception)
