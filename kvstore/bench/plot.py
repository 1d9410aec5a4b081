"""A picture of a load: latencies by percentile, and throughput over time. Pure; SVG as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from kvstore.bench.histogram import Histogram
from kvstore.bench.outcome import Outcome

WIDTH: Final = 760
HEIGHT: Final = 640
_LEFT: Final = 80
_RIGHT: Final = 730
_CURVE_POINTS_MAX: Final = 1000
_COLOURS: Final = ("#1f6fb4", "#d1661f", "#2f8f4e", "#8a4fa3", "#b03a48", "#5c5c5c")


@dataclass(frozen=True, slots=True)
class _Panel:
    """A rectangle in which points are drawn; both axes run from 0 to 1."""

    top: int
    bottom: int

    def x(self, share: float) -> float:
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(self, share: float) -> float:
        return self.bottom - share * (self.bottom - self.top)


_LATENCIES: Final = _Panel(70, 310)
_THROUGHPUT: Final = _Panel(400, 580)


def plot(title: str, note: str, outcome: Outcome) -> str:
    """The picture. `title` and `note` are text: what was measured, and how."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 24, title, size=16),
        _text(_LEFT, 42, note),
        *_latencies(outcome),
        *_throughput(outcome.timeline()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def percentiles(histogram: Histogram) -> list[tuple[float, int]]:
    """Points of the curve: 1/(1 - share of all), at most the number of all, and the latency in ns.

    So 50% is at 2, 99% at 100, 99.9% at 1,000.
    """
    total = histogram.count
    points = []
    for latency_ns, seen in histogram.curve():
        # The largest is not at infinity: it is one of `total`.
        points.append((total / max(1, total - seen), latency_ns))
    step = max(1, math.ceil(len(points) / _CURVE_POINTS_MAX))
    return [*points[:-1:step], *points[-1:]]


def _latencies(outcome: Outcome) -> Iterable[str]:
    panel = _LATENCIES
    measured = {kind: each for kind, each in outcome.by_kind.items() if each.count}
    most = max((each.count for each in measured.values()), default=10)
    decades = max(1.0, math.log10(max(10, most)))
    lows = [next(iter(each.curve()))[0] for each in measured.values()]
    low = math.floor(math.log10(max(1, min(lows, default=1_000_000))))
    longest = max((each.max_ns for each in measured.values()), default=10_000_000)
    high = max(math.ceil(math.log10(max(1, longest))), low + 1)
    yield _frame(panel)
    yield _text(_LEFT, panel.top - 8, "latency in ms, by percentile")
    for decade in range(low, high + 1):
        share = (decade - low) / (high - low)
        yield _rule_across(panel, share, f"{10.0 ** (decade - 6):g}")
    for decade in range(int(decades) + 1):
        percent = 100.0 * (1.0 - 10.0**-decade)
        label = f"{percent:.{max(0, decade - 2)}f}%"
        yield _rule_down(panel, decade / decades, label)
    for place, (kind, histogram) in enumerate(measured.items()):
        points = [
            (
                panel.x(math.log10(by) / decades),
                panel.y((math.log10(max(1, latency_ns)) - low) / (high - low)),
            )
            for by, latency_ns in percentiles(histogram)
        ]
        colour = _COLOURS[place % len(_COLOURS)]
        yield _line(points, colour)
        yield _text(_LEFT + 10 + 120 * place, panel.bottom + 42, kind.value, colour=colour)


def _throughput(timeline: Sequence[int]) -> Iterable[str]:
    panel = _THROUGHPUT
    most = max((*timeline, 1))
    step = 10.0 ** math.floor(math.log10(most))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if most / each <= 6)
    high = step * math.ceil(most / step)
    yield _frame(panel)
    yield _text(_LEFT, panel.top - 8, "operations per second, over time in seconds")
    for line in range(round(high / step) + 1):
        yield _rule_across(panel, line * step / high, f"{line * step:,.0f}")
    seconds = len(timeline)
    every = max(1, math.ceil(seconds / 10))
    for second in range(0, seconds + 1, every):
        yield _rule_down(panel, second / max(1, seconds), str(second))
    points = [
        (panel.x((second + 0.5) / seconds), panel.y(count / high))
        for second, count in enumerate(timeline)
    ]
    yield _line(points, _COLOURS[0])
    for x, y in points if seconds <= 120 else ():
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{_COLOURS[0]}"/>'


def _frame(panel: _Panel) -> str:
    return (
        f'<rect x="{_LEFT}" y="{panel.top}" width="{_RIGHT - _LEFT}"'
        f' height="{panel.bottom - panel.top}" fill="none" stroke="#888"/>'
    )


def _rule_across(panel: _Panel, share: float, label: str) -> str:
    y = panel.y(share)
    return f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>\n' + _text(
        _LEFT - 6, y + 4, label, anchor="end"
    )


def _rule_down(panel: _Panel, share: float, label: str) -> str:
    x = panel.x(share)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.top}" y2="{panel.bottom}" stroke="#ddd"/>\n'
        + _text(x, panel.bottom + 18, label, anchor="middle")
    )


def _line(points: Iterable[tuple[float, float]], colour: str) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", colour: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f' fill="{colour}">{escape(text)}</text>'
    )
