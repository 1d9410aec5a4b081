"""All that the page shows."""

from __future__ import annotations

from dataclasses import dataclass

from kvstore.chaos_report.figures import Latency, Series
from kvstore.chaos_report.run import Events, RunInfo
from kvstore.verify.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Found:
    """What a run was, and what came of it."""

    run: RunInfo
    events: Events
    series: Series
    latency: Latency
    reads: dict[str, int]
    """That were answered, by level of consistency."""
    judgement: Judgement
