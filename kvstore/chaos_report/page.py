"""report.html: one page without anything that would have to be fetched."""

from __future__ import annotations

from kvstore.chaos_report.found import Found
from kvstore.chaos_report.opening import counterexamples, header, open_questions
from kvstore.chaos_report.parts import clipped
from kvstore.chaos_report.run import RunInfo
from kvstore.chaos_report.sections import errors, promises, recovery, repeat, timeline
from kvstore.chaos_report.style import STYLE
from kvstore.verify.svg import escaped, tag


def report_page(found: Found) -> str:
    """The page."""
    title = f"kvstore chaos: {found.judgement.verdict.value}, seed {found.run.seed}"
    sections = [
        header(found),
        counterexamples(found.judgement),
        open_questions(found.judgement),
        timeline(found),
        recovery(found),
        promises(found.judgement),
        errors(found),
        repeat(found.run),
    ]
    head = tag(
        "head",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        tag("title", escaped(title)),
        f"<style>{STYLE}</style>",
    )
    body = tag("body", tag("main", *sections, _footer(found.run)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _footer(run: RunInfo) -> str:
    told = (
        f"Written by kvstore {run.version} from history.jsonl, events.jsonl and run.json beside"
        " this page; kvstore verify of their directory judges them again."
    )
    return tag("footer", escaped(clipped(told)))
