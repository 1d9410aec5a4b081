"""Operations as a drawing: a row a client, a bar an operation, as one SVG without anything else.

Time runs in order but not to scale: between two moments at which something began or ended there is
room for both to be told apart, and each bar has room for its label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kvstore.verify.operation import READS_OF_MANY, Ending, Kind, Operation
from kvstore.verify.svg import escaped, tag, titled
from kvstore.verify.table import answer, question, short_question

OPERATIONS_MAX: Final = 60
"""More cannot be read; the first ones are drawn."""

_LEFT: Final = 84.0
_TOP: Final = 58.0
_ROW: Final = 46.0
_BAR: Final = 14.0
_CHARACTER: Final = 6.7
"""The width of one in the labels' font."""
_LABEL_CHARACTERS_MAX: Final = 44
_GAP_MIN: Final = 24.0
_GAP_MAX: Final = 110.0
_TIME_ROOM: Final = 90.0
"""For the last moment's time."""

_STYLE: Final = """
.kv-timeline{--kv-back:#ffffff;--kv-ink:#1b2430;--kv-soft:#67717f;--kv-line:#e3e7ec;
--kv-read:#2f6fde;--kv-write:#12855d;--kv-fail:#8a93a0;--kv-wrong:#c62f2f;
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:11px}
@media (prefers-color-scheme:dark){.kv-timeline{--kv-back:#12161d;--kv-ink:#e6eaf0;
--kv-soft:#98a2b0;--kv-line:#2a313c;--kv-read:#6ea2ff;--kv-write:#3ecf9a;--kv-fail:#7b8594;
--kv-wrong:#ff6b6b}}
.kv-timeline .kv-paper{fill:var(--kv-back)}
.kv-timeline text{fill:var(--kv-ink)}
.kv-timeline .kv-quiet{fill:var(--kv-soft)}
.kv-timeline .kv-head{font-weight:600;font-size:13px}
.kv-timeline .kv-rule{stroke:var(--kv-line);stroke-width:1}
.kv-timeline .kv-read{fill:var(--kv-read)}
.kv-timeline .kv-write{fill:var(--kv-write)}
.kv-timeline .kv-fail{fill:var(--kv-fail)}
.kv-timeline .kv-wrong{stroke:var(--kv-wrong);stroke-width:2.5}
.kv-timeline .kv-wrong-text{fill:var(--kv-wrong);font-weight:600}
"""


def timeline_svg(
    operations: Sequence[Operation],
    title: str,
    *,
    until_ns: int | None = None,
    name: str = "timeline",
) -> str:
    """A drawing of `operations`; what returned after `until_ns` is drawn as not yet answered, and
    what returned then is marked.

    `name` tells the drawings of one page apart.
    """
    by_time = sorted(operations, key=lambda each: each.invoked_ns)
    left_out = len(by_time) - OPERATIONS_MAX
    return _Timeline(by_time[:OPERATIONS_MAX], until_ns, name).draw(title, max(0, left_out))


@dataclass(slots=True)
class _Row:
    label: str
    operations: list[Operation]


class _Timeline:
    """One drawing."""

    def __init__(self, operations: list[Operation], until_ns: int | None, name: str) -> None:
        self._until_ns = until_ns
        self._name = name
        self._shares_key = len({each.key for each in operations}) == 1
        self._rows = self._make_rows(operations)
        ends = [end for each in operations if (end := self._end_ns(each)) is not None]
        self._moments = sorted({*(each.invoked_ns for each in operations), *ends})
        self._place = {moment: place for place, moment in enumerate(self._moments)}
        self._x = self._make_room()
        lasts = [row.operations[-1] for row in self._rows]
        room = [self._x_of(each.invoked_ns) + self._label_width(each) for each in lasts]
        self._right = max([*room, (self._x[-1] if self._x else _LEFT) + _TIME_ROOM])

    def _end_ns(self, operation: Operation) -> int | None:
        """When it ended, as far as that counts here."""
        end_ns, until_ns = operation.returned_ns, self._until_ns
        if end_ns is not None and until_ns is not None and end_ns > until_ns:
            return None
        return end_ns

    def _make_rows(self, operations: list[Operation]) -> list[_Row]:
        """One for each client, and more for one that does several things at once."""
        rows: list[_Row] = []
        for client in sorted({each.client for each in operations}):
            own: list[_Row] = []
            for each in operations:
                if each.client != client:
                    continue
                free = next((row for row in own if self._is_free(row, each)), None)
                if free is None:
                    free = _Row("" if own else f"client {client}", [])
                    own.append(free)
                free.operations.append(each)
            rows.extend(own)
        return rows

    def _is_free(self, row: _Row, operation: Operation) -> bool:
        end_ns = self._end_ns(row.operations[-1])
        return end_ns is not None and end_ns <= operation.invoked_ns

    def _make_room(self) -> list[float]:
        """The x of each moment."""
        steps = [max(1, later - earlier) for earlier, later in pairwise(self._moments)]
        shortest = min(steps, default=1)
        gaps = [min(_GAP_MAX, _GAP_MIN + 16 * math.log10(step / shortest)) for step in steps]
        for row in self._rows:
            for operation, following in pairwise(row.operations):
                first, last = (self._place[each.invoked_ns] for each in (operation, following))
                lacking = self._label_width(operation) - sum(gaps[first:last])
                for place in range(first, last):
                    gaps[place] += max(0.0, lacking) / (last - first)
        x = [_LEFT]
        for gap in gaps:
            x.append(x[-1] + gap)
        return x[: len(self._moments)]

    def _x_of(self, moment_ns: int) -> float:
        return self._x[self._place[moment_ns]]

    def _label(self, operation: Operation) -> str:
        asked = short_question(operation) if self._shares_key else question(operation)
        is_open = self._end_ns(operation) is None
        told = "?" if is_open else answer(operation)
        label = f"{asked} → {told}"
        if len(label) > _LABEL_CHARACTERS_MAX:
            return label[: _LABEL_CHARACTERS_MAX - 1] + "…"
        return label

    def _label_width(self, operation: Operation) -> float:
        return len(self._label(operation)) * _CHARACTER + 12

    # What is drawn

    def draw(self, title: str, left_out: int) -> str:
        """The whole SVG."""
        height = _TOP + _ROW * len(self._rows) + 28
        legend = "from invocation to return, in order but not to scale; what fades has no answer"
        if left_out:
            legend += f"; {left_out} more are not drawn"
        width = max(self._right + 14, *(24 + _CHARACTER * len(text) for text in (legend, title)))
        return tag(
            "svg",
            tag("style", escaped(_STYLE).replace("&quot;", '"')),
            self._gradients(),
            tag("rect", class_="kv-paper", width=width, height=height, rx=8),
            tag("text", escaped(title), class_="kv-head", x=12, y=22),
            *self._axis(height - 24),
            *(self._row(place, row) for place, row in enumerate(self._rows)),
            tag("text", escaped(legend), class_="kv-quiet", x=12, y=height - 9),
            xmlns="http://www.w3.org/2000/svg",
            class_="kv-timeline",
            role="img",
            aria_label=title,
            width=width,
            height=height,
            viewBox=f"0 0 {width:.0f} {height:.0f}",
        )

    def _gradients(self) -> str:
        """For bars without an end."""
        stops = [
            tag(
                "linearGradient",
                tag("stop", offset="0", style=f"stop-color:var(--kv-{kind});stop-opacity:.75"),
                tag("stop", offset="1", style=f"stop-color:var(--kv-{kind});stop-opacity:0"),
                id=f"{self._name}-{kind}",
            )
            for kind in ("read", "write")
        ]
        return tag("defs", *stops)

    def _axis(self, bottom: float) -> list[str]:
        """A line at each moment, and its time where there is room for it."""
        parts = []
        free_from = 0.0
        for moment, x in zip(self._moments, self._x, strict=True):
            parts.append(tag("line", class_="kv-rule", x1=x, x2=x, y1=_TOP - 12, y2=bottom))
            if x >= free_from:
                told = f"{(moment - self._moments[0]) / 1e6:.3f} ms"
                parts.append(tag("text", escaped(told), class_="kv-quiet", x=x, y=_TOP - 17))
                free_from = x + len(told) * _CHARACTER + 8
        return parts

    def _row(self, place: int, row: _Row) -> str:
        y = _TOP + _ROW * place
        parts = [tag("text", escaped(row.label), class_="kv-quiet", x=12, y=y + 30)]
        parts.extend(self._bar(operation, y + 19) for operation in row.operations)
        return tag("g", *parts)

    def _bar(self, operation: Operation, y: float) -> str:
        end_ns = self._end_ns(operation)
        begin = self._x_of(operation.invoked_ns)
        end = self._right if end_ns is None else max(begin + 3, self._x_of(end_ns))
        kind = _class_of(operation)
        is_wrong = end_ns is not None and end_ns == self._until_ns
        fill = None
        if end_ns is None:
            fill = f"fill:url(#{self._name}-{'read' if kind == 'read' else 'write'})"
        label_class = "kv-wrong-text" if is_wrong else None
        return titled(
            "g",
            _in_full(operation),
            tag("text", escaped(self._label(operation)), class_=label_class, x=begin + 1, y=y - 5),
            tag(
                "rect",
                class_=f"kv-{kind} kv-wrong" if is_wrong else f"kv-{kind}",
                style=fill,
                x=begin,
                y=y,
                width=end - begin,
                height=_BAR,
                rx=3,
            ),
            class_="kv-operation",
        )


def _class_of(operation: Operation) -> str:
    if operation.outcome is Ending.FAIL:
        return "fail"
    return "read" if operation.op in READS_OF_MANY or operation.op is Kind.GET else "write"


def _in_full(operation: Operation) -> str:
    """All that is known of it, for who points at it."""
    returned_ns = operation.returned_ns
    told = "never answered" if returned_ns is None else f"returned at {returned_ns} ns"
    parts = [
        f"client {operation.client}: {question(operation)} → {answer(operation)}",
        f"invoked at {operation.invoked_ns} ns, {told}",
    ]
    if operation.node is not None:
        parts.append(f"node {operation.node}")
    if operation.partition is not None:
        parts.append(f"partition {operation.partition}")
    if operation.receipt is not None:
        parts.append(f"revision {operation.receipt.revision}")
    return ", ".join(parts)
