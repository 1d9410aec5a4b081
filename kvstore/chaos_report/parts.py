"""Parts of the page: tables, and figures as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.chaos_report.run import RunInfo
from kvstore.verify.judgement import Ruling
from kvstore.verify.svg import escaped, tag

_TEXT_MAX: Final = 300


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    class_: str | None = None,
    last: str | None = None,
) -> str:
    """Columns whose names begin with # hold numbers. Cells that are a verdict are coloured; `last`
    is the class of the last row."""
    numbers = [name.startswith("#") for name in columns]
    head = [
        tag("th", escaped(name.lstrip("#")), class_="number" if is_number else None, scope="col")
        for name, is_number in zip(columns, numbers, strict=True)
    ]
    every = list(rows)
    body = []
    for place, row in enumerate(every):
        cells = [
            tag("td", escaped(cell), class_="number" if is_number else _cell_class(cell, class_))
            for cell, is_number in zip(row, numbers, strict=True)
        ]
        body.append(tag("tr", *cells, class_=last if place == len(every) - 1 else None))
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body)),
        class_="wide",
    )


_VERDICTS: Final = frozenset(ruling.value for ruling in Ruling)


def _cell_class(cell: str, class_: str | None) -> str | None:
    return cell if class_ is None and cell in _VERDICTS else class_


def clipped(text: str, most: int = _TEXT_MAX) -> str:
    """`text`, or its beginning."""
    return text if len(text) <= most else text[: most - 1] + "…"


def count(number: int, noun: str) -> str:
    """Such as 1 fault and 2,000 faults."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def milliseconds(value: float | None) -> str:
    """A number of milliseconds for people."""
    if value is None:
        return "–"
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.3g} ms"


def timeouts(run: RunInfo, value_ms: float | None) -> str:
    """A time as a multiple of the run's election timeout."""
    return "–" if value_ms is None else f"{value_ms / run.election_timeout_ms:.1f}×"


def both(run: RunInfo, value_ms: float | None) -> str:
    """A time in milliseconds and in election timeouts."""
    return "–" if value_ms is None else f"{milliseconds(value_ms)} ({timeouts(run, value_ms)})"
