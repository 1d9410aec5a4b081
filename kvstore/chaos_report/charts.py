"""The chart of a run: faults, throughput, latency, errors, leaders and nodes over one time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.chaos_report.chart import (
    LEFT,
    RIGHT,
    WIDTH,
    Axis,
    Panel,
    area,
    bar,
    clock,
    frame,
    line,
    round_up,
    short,
)
from kvstore.chaos_report.figures import BUCKETS_MAX, Bucket, Series
from kvstore.chaos_report.run import Events, Fault, Leaders, RunInfo
from kvstore.verify.svg import escaped, tag, titled

FAULTS_DRAWN_MAX: Final = 600
_LANES_MAX: Final = 24
_STATES_DRAWN_MAX: Final = 1500
_NODES_DRAWN_MAX: Final = 16
_NAME_MAX: Final = 16
_LANE: Final = 18.0
_GAP: Final = 30.0
_COLOURS: Final = 8


@dataclass(slots=True)
class _Paper:
    """What is drawn so far, and where the next thing begins."""

    axis: Axis
    parts: list[str]
    y: float = 8.0


def run_chart(run: RunInfo, series: Series, events: Events) -> str:
    """All of it as one SVG, to stand in a page with the report's style."""
    paper = _Paper(Axis(max(run.length_s, 1e-9)), [])
    _faults(paper, run, events.faults)
    first_panel_y = paper.y
    _throughput(paper, series)
    _latency(paper, series)
    if any(bucket.errors or bucket.failed or bucket.unknown for bucket in series.buckets):
        _errors(paper, series)
    panels_end_y = paper.y - _GAP / 2
    if events.leaders:
        _leaders(paper, run, events.leaders)
    if events.states:
        _nodes(paper, run, events)
    bands = _bands(paper.axis, run, events.faults, first_panel_y, paper.y - 6)
    height = paper.y + 14
    return tag(
        "svg",
        bands,
        *paper.parts,
        _time(paper.axis, paper.y),
        _pointers(paper.axis, series, first_panel_y, panels_end_y),
        class_="chart",
        role="img",
        aria_label="the run over time",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
    )


def _seconds(run: RunInfo, fault: Fault) -> tuple[float, float]:
    end_ns = run.ended_ns if fault.end_ns is None else fault.end_ns
    return run.second_of(fault.begin_ns), run.second_of(end_ns)


def _faults(paper: _Paper, run: RunInfo, faults: list[Fault]) -> None:
    """A lane a kind."""
    kinds = sorted({fault.kind for fault in faults})
    lanes = {kind: place for place, kind in enumerate(kinds[:_LANES_MAX])}
    for kind, lane in lanes.items():
        y = paper.y + lane * _LANE
        paper.parts.append(tag("text", escaped(kind[:_NAME_MAX]), class_="name", x=0, y=y + 12))
        paper.parts.append(
            tag("line", class_="rule", x1=LEFT, x2=WIDTH - RIGHT, y1=y + 8, y2=y + 8)
        )
    for fault in faults[:FAULTS_DRAWN_MAX]:
        if fault.kind in lanes:
            begin_s, end_s = _seconds(run, fault)
            y = paper.y + lanes[fault.kind] * _LANE + 2
            paper.parts.append(
                bar(paper.axis, begin_s, end_s, y, 12.0, class_="fault", title=_told(run, fault))
            )
    if lanes:
        paper.y += len(lanes) * _LANE + 12


def _told(run: RunInfo, fault: Fault) -> str:
    begin_s, end_s = _seconds(run, fault)
    targets = ", ".join(fault.targets) or "the cluster"
    parts = [f"{fault.kind} of {targets}, {begin_s:.1f} s to {end_s:.1f} s"]
    if fault.detail:
        parts.append(fault.detail[:200])
    if fault.after_begin_ms is not None:
        parts.append(f"writes went on {fault.after_begin_ms:.0f} ms after it began")
    if fault.after_end_ms is not None:
        parts.append(f"writes went on {fault.after_end_ms:.0f} ms after it ended")
    return "; ".join(parts)


def _bands(axis: Axis, run: RunInfo, faults: list[Fault], top: float, bottom: float) -> str:
    """What was done to the cluster, behind everything."""
    drawn = [_seconds(run, fault) for fault in faults[:FAULTS_DRAWN_MAX]]
    return tag(
        "g",
        *(bar(axis, begin, end, top, bottom - top, class_="band") for begin, end in drawn),
    )


def _points(series: Series, value: str) -> list[tuple[float, float | None]]:
    """A figure of each bucket, at its middle."""
    return [
        ((place + 0.5) * series.width_s, getattr(bucket, value))
        for place, bucket in enumerate(series.buckets)
    ]


def _middle(series: Series, place: int) -> float:
    return (place + 0.5) * series.width_s


def _throughput(paper: _Paper, series: Series) -> None:
    top = round_up(max([bucket.ok_per_s for bucket in series.buckets]))
    panel = Panel(paper.y, 120.0, top)
    everything, writes = [], []
    for place, bucket in enumerate(series.buckets):
        everything.append((_middle(series, place), bucket.ok_per_s))
        writes.append((_middle(series, place), bucket.writes / bucket.seconds))
    paper.parts += [
        frame(paper.axis, panel, "operations", "a second"),
        area(paper.axis, panel, everything, "reads"),
        area(paper.axis, panel, writes, "writes"),
    ]
    paper.y += panel.height + _GAP


def _latency(paper: _Paper, series: Series) -> None:
    slowest = max([bucket.p99_ms or 0.0 for bucket in series.buckets])
    fastest = min([b.p50_ms for b in series.buckets if b.p50_ms], default=1.0)
    low = -1 if fastest < 1 else 0
    panel = Panel(paper.y, 110.0, max(10.0 ** (low + 1), round_up(slowest)), low)
    paper.parts += [
        frame(paper.axis, panel, "latency", "ms, log scale"),
        line(paper.axis, panel, _points(series, "p99_ms"), "p99"),
        line(paper.axis, panel, _points(series, "p50_ms"), "p50"),
    ]
    paper.y += panel.height + _GAP


def _errors(paper: _Paper, series: Series) -> None:
    are_told = any(bucket.errors for bucket in series.buckets)

    def all_of(bucket: Bucket) -> float:
        count = bucket.errors if are_told else bucket.failed + bucket.unknown
        return count / bucket.seconds

    panel = Panel(paper.y, 48.0, round_up(max([all_of(bucket) for bucket in series.buckets])))
    paper.parts.append(frame(paper.axis, panel, "errors", "a second"))
    base = panel.y + panel.height
    for place, bucket in enumerate(series.buckets):
        count = all_of(bucket)
        if count:
            y = panel.y_of(count)
            begin_s = place * series.width_s
            end_s = begin_s + series.width_s
            paper.parts.append(bar(paper.axis, begin_s, end_s, y, base - y, class_="error"))
    paper.y += panel.height + _GAP


def _leaders(paper: _Paper, run: RunInfo, leaders: list[Leaders]) -> None:
    """How many partitions each node led, on top of each other, and the moments of changes."""
    every = max(1, -(-len(leaders) // BUCKETS_MAX))
    shown = [*leaders[::every], *([leaders[-1]] if (len(leaders) - 1) % every else [])]
    nodes = sorted({*run.nodes, *(node for each in leaders for node in each.counts)})
    nodes = nodes[:_NODES_DRAWN_MAX]
    panel = Panel(paper.y, 64.0, float(max([sum(each.counts.values()) for each in shown]) or 1))
    paper.parts.append(frame(paper.axis, panel, "led by", "partitions"))
    below = [0.0] * len(shown)
    layers = []
    for place, node in enumerate(nodes):
        below = [low + each.counts.get(node, 0) for low, each in zip(below, shown, strict=True)]
        steps = []
        for at, (height, each) in enumerate(zip(below, shown, strict=True)):
            end_ns = shown[at + 1].at_ns if at + 1 < len(shown) else run.ended_ns
            begin_s, end_s = run.second_of(each.at_ns), run.second_of(end_ns)
            steps += [(begin_s, height), (end_s, height)]
        layers.append(area(paper.axis, panel, steps, f"layer c{place % _COLOURS}"))
    paper.parts += reversed(layers)
    paper.parts += _changes(paper.axis, run, leaders, panel)
    paper.parts.append(_legend(nodes, panel.y - 6))
    paper.y += panel.height + _GAP


def _changes(axis: Axis, run: RunInfo, leaders: list[Leaders], panel: Panel) -> list[str]:
    """A mark for each moment at which partitions had changed their leaders."""
    changed = [each for each in leaders if each.changes]
    every = max(1, -(-len(changed) // BUCKETS_MAX))
    marks = []
    for each in changed[::every]:
        second = run.second_of(each.at_ns)
        x, y = axis.x(second), panel.y + panel.height
        title = f"{clock(second)}: {each.changes} partitions had changed their leader"
        shape = f"M{x:.1f},{y + 1:.1f}l4,8h-8Z"
        marks.append(titled("path", title, class_="change", d=shape))
    return marks


def _legend(nodes: list[str], y: float) -> str:
    parts = []
    x = LEFT
    for place, node in enumerate(nodes):
        parts.append(
            tag("rect", class_=f"c{place % _COLOURS}", x=x, y=y - 8, width=9, height=9, rx=2)
        )
        parts.append(tag("text", escaped(node[:20]), class_="quiet", x=x + 13, y=y))
        x += 30 + 7 * len(node[:20])
    return tag("g", *parts)


def _nodes(paper: _Paper, run: RunInfo, events: Events) -> None:
    """When each node was down or paused."""
    names = sorted({*run.nodes, *(each.node for each in events.states)})[:_NODES_DRAWN_MAX]
    since: dict[str, tuple[str, float]] = dict.fromkeys(names, ("running", 0.0))
    lanes = {name: paper.y + place * _LANE for place, name in enumerate(names)}
    for name, y in lanes.items():
        paper.parts.append(tag("text", escaped(name[:_NAME_MAX]), class_="name", x=0, y=y + 12))
        paper.parts.append(bar(paper.axis, 0, paper.axis.length_s, y + 6, 5.0, class_="running"))

    def end(name: str, second: float) -> None:
        state, begin_s = since[name]
        if state != "running":
            title = f"{name} {state}, {begin_s:.1f} s to {second:.1f} s"
            paper.parts.append(
                bar(paper.axis, begin_s, second, lanes[name] + 3, 11.0, class_=state, title=title)
            )

    for each in events.states[:_STATES_DRAWN_MAX]:
        if each.node in lanes and since[each.node][0] != each.state:
            end(each.node, run.second_of(each.at_ns))
            since[each.node] = (each.state, run.second_of(each.at_ns))
    for name in names:
        end(name, run.length_s)
    paper.y += len(names) * _LANE + 12


def _time(axis: Axis, y: float) -> str:
    parts = []
    for second in axis.ticks():
        x = axis.x(second)
        parts.append(tag("line", class_="tick", x1=x, x2=x, y1=8, y2=y - 8))
        anchor = "end" if x > WIDTH - RIGHT - 24 else "middle"
        label = escaped(clock(second))
        parts.append(tag("text", label, class_="quiet", x=x, y=y + 6, text_anchor=anchor))
    return tag("g", *parts)


def _pointers(axis: Axis, series: Series, top: float, bottom: float) -> str:
    """Nothing to see: says the figures of a moment to who points at it."""
    parts = []
    for place, bucket in enumerate(series.buckets):
        begin_s = place * series.width_s
        end_s = begin_s + series.width_s
        x = axis.x(begin_s)
        title = (
            f"{clock(begin_s)} to {clock(end_s)}: {short(bucket.ok_per_s)}/s,"
            f" p50 {_ms(bucket.p50_ms)}, p99 {_ms(bucket.p99_ms)},"
            f" {bucket.failed} failed, {bucket.unknown} unknown"
        )
        width = max(0.5, axis.x(end_s) - x)
        parts.append(titled("rect", title, x=x, y=top, width=width, height=bottom - top))
    return tag("g", *parts, class_="pointers")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"
