"""Parts of charts: one time axis that all share, areas, lines and bars above each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kvstore.verify.svg import escaped, tag, titled

WIDTH: Final = 1080.0
LEFT: Final = 116.0
RIGHT: Final = 14.0

Point = tuple[float, float]
"""A second of the run, and a value."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The time of the run, from 0 to `length_s`, on the paper."""

    length_s: float

    def x(self, second: float) -> float:
        """Where `second` is; what lies outside of the run is at its edge."""
        share = min(1.0, max(0.0, second / self.length_s)) if self.length_s > 0 else 0.0
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Round seconds, some eight of them."""
        steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
        step = next((s for s in steps if self.length_s / s <= 9), 7 * 86400)
        return [float(n * step) for n in range(int(self.length_s // step) + 1)]


@dataclass(frozen=True, slots=True)
class Panel:
    """A strip of the paper with values from 0, or 10 to the power of `low`, to `top`."""

    y: float
    height: float
    top: float
    low: int | None = None
    """None: a scale from 0; else one of powers of ten from this one on."""

    def y_of(self, value: float) -> float:
        """Where `value` is."""
        if self.low is None:
            share = value / self.top if self.top else 0.0
        else:
            low, high = self.low, math.log10(self.top)
            share = (math.log10(max(value, 10.0**low)) - low) / max(high - low, 1e-9)
        return self.y + self.height * (1 - min(1.0, max(0.0, share)))

    def grid(self) -> list[float]:
        """The values that get a line."""
        if self.low is None:
            return [self.top * share for share in (0.5, 1.0)] if self.top else []
        return [10.0**power for power in range(self.low, math.floor(math.log10(self.top)) + 1)]


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * (1 + 1e-9))


def short(value: float) -> str:
    """`value` in few characters."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def clock(second: float) -> str:
    """A time of the run, such as 45 s or 12:30."""
    whole = round(second)
    if whole < 120:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02}:{rest % 60:02}"
    return f"{rest // 60}:{rest % 60:02}"


def frame(axis: Axis, panel: Panel, name: str, unit: str) -> str:
    """A panel's name, grid and scale."""
    parts = [tag("text", escaped(name), class_="name", x=0, y=panel.y + 11)]
    if unit:
        parts.append(tag("text", escaped(unit), class_="quiet", x=0, y=panel.y + 26))
    for value in panel.grid():
        y = panel.y_of(value)
        parts.append(tag("line", class_="rule", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        label = tag(
            "text", escaped(short(value)), class_="quiet", x=LEFT - 6, y=y + 4, text_anchor="end"
        )
        parts.append(label)
    base = panel.y + panel.height
    parts.append(tag("line", class_="base", x1=LEFT, x2=axis.x(axis.length_s), y1=base, y2=base))
    return tag("g", *parts)


def area(axis: Axis, panel: Panel, points: Sequence[Point], class_: str) -> str:
    """The room under a line; empty of nothing."""
    if not points:
        return ""
    base = panel.y + panel.height
    first, last = axis.x(points[0][0]), axis.x(points[-1][0])
    line = _path(axis, panel, points)
    return tag("path", class_=class_, d=f"M{first:.1f},{base:.1f}L{line}L{last:.1f},{base:.1f}Z")


def line(
    axis: Axis, panel: Panel, points: Sequence[tuple[float, float | None]], class_: str
) -> str:
    """A line that is broken where there is no value; a value alone is a dot."""
    parts = []
    run: list[Point] = []
    for second, value in [*points, (0.0, None)]:
        if value is not None:
            run.append((second, value))
            continue
        if len(run) == 1:
            x, y = axis.x(run[0][0]), panel.y_of(run[0][1])
            parts.append(f"M{x - 1:.1f},{y:.1f}L{x + 1:.1f},{y:.1f}")
        elif run:
            parts.append(f"M{_path(axis, panel, run)}")
        run = []
    return tag("path", class_=class_, d="".join(parts)) if parts else ""


def _path(axis: Axis, panel: Panel, points: Iterable[Point]) -> str:
    return "L".join(f"{axis.x(second):.1f},{panel.y_of(value):.1f}" for second, value in points)


def bar(axis: Axis, begin_s: float, end_s: float, y: float, height: float, **told: str) -> str:
    """A rectangle from one second to another; `told` are its class_ and its title."""
    x = axis.x(begin_s)
    width = max(1.5, axis.x(end_s) - x)
    title = told.pop("title", "")
    shape = {"x": x, "y": y, "width": width, "height": height, **told}
    return titled("rect", title, **shape) if title else tag("rect", **shape)
