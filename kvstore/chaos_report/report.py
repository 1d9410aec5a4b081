"""Judges a chaos run and writes what people and scripts see of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from kvstore.chaos_report.figures import reads_by_level, series_of
from kvstore.chaos_report.found import Found
from kvstore.chaos_report.page import report_page
from kvstore.chaos_report.run import HISTORY_NAME, RunInfo, read_events, read_run
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
    run = _without_end(run, history)
    judgement = judge(history, limits, bank_total=total, clients=run.clients, progress=progress)
    series, latency = series_of(run, history.operations, events)
    found = Found(run, events, series, latency, reads_by_level(history.operations), judgement)
    page, record = report_page(found), verdict_record(found)
    _replace(directory / REPORT_NAME, page)
    _replace(directory / VERDICT_NAME, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    return judgement


def _without_end(run: RunInfo, history: History) -> RunInfo:
    """`run` as long as its history: what run.json says of a run that was killed is from its
    beginning. Says so in `history`, as operations that were under way stand nowhere."""
    last_ns = max([each.returned_ns or each.invoked_ns for each in history.operations], default=0)
    if not run.interrupted or last_ns <= run.ended_ns:
        return run
    history.missing_end = history.missing_end or "the run was ended before it could end by itself"
    return replace(run, ended_ns=last_ns)


def _replace(path: Path, content: str) -> None:
    """Who reads meanwhile sees the old content or the new one."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(content, encoding="utf-8", errors="replace", newline="\n")
    os.replace(unfinished, path)
