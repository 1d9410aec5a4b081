"""Pairs of runs, their ratios, and tables of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

RESULTS: Final = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Runs of two things, one after the other, again and again."""

    first: Sequence[Mapping[str, Any]]
    second: Sequence[Mapping[str, Any]]

    def ratios(self, field: str) -> list[float]:
        """Of the first to the second, pair by pair; of what the second has none, nothing."""
        pairs = zip(self.first, self.second, strict=True)
        return [round(one[field] / two[field], 4) for one, two in pairs if two[field]]

    def summary(self, fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        """For each of `fields` the medians of both and of the ratios, and the ratios' range."""
        return {field: self._of(field) for field in fields}

    def _of(self, field: str) -> dict[str, Any]:
        ratios = self.ratios(field)
        return {
            "first": middle([run[field] for run in self.first]),
            "second": middle([run[field] for run in self.second]),
            "ratios": ratios,
            "ratio": middle(ratios),
            "ratio_min": min(ratios, default=0.0),
            "ratio_max": max(ratios, default=0.0),
        }


def middle(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return round(median(values), 4) if values else 0.0


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def facts_table(facts: Mapping[str, object]) -> str:
    """Of the machine and the settings."""
    return markdown_table(("", ""), list(facts.items()))


def write(name: str, found: Mapping[str, object], markdown: str, folder: Path = RESULTS) -> None:
    """Writes `found` as JSON and `markdown` beside it, and says where."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / f"{name}.json", folder / f"{name}.md"
    data.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page.write_text(markdown, encoding="utf-8")
    print(f"{data}\n{page}")
