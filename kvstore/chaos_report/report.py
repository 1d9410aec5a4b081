"""Judges a chaos run and writes what people and scripts see of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from kvstore.chaos_report.figures import series_of
from kvstore.chaos_report.found import Found
from kvstore.chaos_report.page import report_page
from kvstore.chaos_report.run import HISTORY_NAME, read_events, read_run
from kvstore.chaos_report.verdict import verdict_record
from kvstore.verify.history import History
from kvstore.verify.judge import Limits, Progress, judge
from kvstore.verify.judgement import Judgement

REPORT_NAME: Final = "report.html"
VERDICT_NAME: Final = "verdict.json"
_NO_LIMITS: Final = Limits()


def write_report(
    directory: Path,
    limits: Limits = _NO_LIMITS,
    *,
    bank_total: int | None = None,
    progress: Progress | None = None,
) -> Judgement:
    """Judges the run in `directory`, and writes report.html and verdict.json beside it; old ones
    are replaced, each whole or not at all.

    `bank_total` goes before what run.json says. Raises ConfigurationError for a run that cannot be
    read or judged, and OSError.
    """
    run, events = read_run(directory), read_events(directory)
    history = History.read(directory / HISTORY_NAME)
    total = run.bank_total if bank_total is None else bank_total
    judgement = judge(history, limits, bank_total=total, progress=progress)
    series, latency = series_of(run, history.operations, events)
    record = verdict_record(run, judgement, events, series, latency)
    page = report_page(Found(run, events, series, latency, judgement))
    _replace(directory / REPORT_NAME, page)
    _replace(directory / VERDICT_NAME, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    return judgement


def _replace(path: Path, content: str) -> None:
    """Who reads meanwhile sees the old content or the new one."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(content, encoding="utf-8", errors="replace", newline="\n")
    os.replace(unfinished, path)
