"""What came of all trials: a live line, a table, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median_low

from tools.mutants.mutation import Area, Mutation
from tools.mutants.trial import Verdict

_SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Result:
    """One mutant and what its checks made of it; None where a check was not asked."""

    mutation: Mutation
    units: Verdict | None
    simulations: Verdict | None
    sources: str = ""
    """A digest of the code that it was tried with last."""

    @property
    def is_caught(self) -> bool:
        """Whether anything noticed it."""
        return any(
            verdict is not None and verdict.caught_by is not None
            for verdict in (self.units, self.simulations)
        )

    @property
    def is_unexplained(self) -> bool:
        """Whether it survived although it matters."""
        return not self.is_caught and not self.mutation.cannot_matter

    @property
    def line(self) -> str:
        """In short: what each kind of check made of it."""
        found = [_found(verdict) for verdict in (self.units, self.simulations) if verdict]
        seeds = f" ({self.simulations.seeds} seeds)" if self.simulations is not None else ""
        return f"{self.mutation.name}: {'; '.join(found)}{seeds}"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "name": self.mutation.name,
            "area": self.mutation.area.value,
            "mistake": self.mutation.mistake,
            "text": self.mutation.digest,
            "sources": self.sources,
            "caught": self.is_caught,
            "cannot_matter": self.mutation.cannot_matter,
            "units": None if self.units is None else asdict(self.units),
            "simulations": None if self.simulations is None else asdict(self.simulations),
        }


def json_of(results: Sequence[Result]) -> str:
    """All results as one JSON list."""
    return json.dumps([result.as_json() for result in results], indent=1, ensure_ascii=False)


def table_of(results: Sequence[Result]) -> str:
    """A row for each mutant: what found it, after how many seeds, in how many seconds."""
    rows = [("mutant", "unit suites", "s", "simulations", "seeds", "s")]
    for result in sorted(results, key=lambda one: (one.mutation.area.value, one.mutation.name)):
        units, simulations = result.units, result.simulations
        rows.append(
            (
                result.mutation.name,
                _found(units),
                "" if units is None else f"{units.took_s:.0f}",
                _found(simulations),
                "" if simulations is None else str(simulations.seeds),
                "" if simulations is None else f"{simulations.took_s:.0f}",
            )
        )
    return _aligned(rows)


def areas_of(results: Sequence[Result]) -> str:
    """A row for each area and one for all: how many mutants, how many of them each kind of check
    found, and how many seeds half of those that simulations found needed, nine in ten, and all."""
    by_area = {
        area: [result for result in results if result.mutation.area is area] for area in Area
    }
    return _aligned(
        [
            ("area", "mutants", "by unit suites", "by simulations", "median", "90%", "most seeds"),
            *(_counts(area.value, ours) for area, ours in by_area.items() if ours),
            _counts("all", results),
        ]
    )


def _counts(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    seeds = sorted(
        verdict.seeds
        for result in results
        if (verdict := result.simulations) is not None and verdict.caught_by is not None
    )
    ninth = -(-9 * len(seeds) // 10)
    return (
        name,
        str(len(results)),
        str(sum(_catches(result.units) for result in results)),
        str(len(seeds)),
        *((str(median_low(seeds)), str(seeds[ninth - 1]), str(seeds[-1])) if seeds else ("",) * 3),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def summary_of(results: Sequence[Result]) -> str:
    """How many were caught, by what, and what to think of the rest."""
    caught = sum(result.is_caught for result in results)
    by_units = sum(_catches(result.units) for result in results)
    by_simulations = sum(_catches(result.simulations) for result in results)
    lines = [
        f"{caught} of {len(results)} mutants caught: {by_units} by unit suites, "
        f"{by_simulations} by simulations"
    ]
    if len({result.sources for result in results}) > 1:
        lines.append("not all with the same sources: product, checks or catalogue have changed")
    for result in results:
        mutation, simulations = result.mutation, result.simulations
        if result.is_unexplained and simulations is not None and simulations.stopped_after_s:
            lines.append(f"{_found(simulations).upper()}  {mutation.name}: {mutation.mistake}")
        elif result.is_unexplained:
            lines.append(f"SURVIVED  {mutation.name}: {mutation.mistake}")
        elif not result.is_caught:
            lines.append(f"survived, as it must: {mutation.name}: {mutation.cannot_matter}")
        elif mutation.cannot_matter:
            lines.append(f"caught, although said not to matter: {mutation.name}")
    return "\n".join(lines)


def _catches(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.caught_by is not None


def _found(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    if verdict.stopped_after_s is not None:
        return f"not finished within {verdict.stopped_after_s:g} s"
    if verdict.caught_by is None:
        return _SURVIVED
    return verdict.caught_by.removeprefix("tests/")
