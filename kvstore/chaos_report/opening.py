"""The top of the page: the verdict, the figures that matter, and what shows a broken promise."""

from __future__ import annotations

from typing import Final

from kvstore.chaos_report.figures import leader_changes, recoveries_of
from kvstore.chaos_report.found import Found
from kvstore.chaos_report.parts import clipped, count, duration, milliseconds, table, timeouts
from kvstore.codec.text import to_cell
from kvstore.verify.finding import Finding
from kvstore.verify.judgement import Judgement, Ruling
from kvstore.verify.svg import escaped, tag
from kvstore.verify.table import HEADER, operation_rows
from kvstore.verify.timeline import timeline_svg

_FINDINGS_MAX: Final = 5
_OPERATIONS_MAX: Final = 40
_LISTED_MAX: Final = 20

_HEADLINES: Final = {
    Ruling.FINE: "Every promise was kept",
    Ruling.VIOLATION: "A promise was broken",
    Ruling.UNDECIDED: "Undecided",
}


def header(found: Found) -> str:
    """The verdict in large, with the figures that matter."""
    run, judgement = found.run, found.judgement
    verdict = judgement.verdict
    kinds = sorted({fault.kind for fault in found.events.faults})
    through = f"{count(len(found.events.faults), 'fault')}"
    if kinds:
        through += f" ({clipped(', '.join(kinds))})"
    done = (
        f"{count(judgement.operations, 'operation')} of {count(run.clients, 'client')} on"
        f" {count(len(run.nodes), 'node')} in {duration(run.length_s)}, through {through}."
    )
    parts = [
        tag("p", escaped(f"chaos run, seed {run.seed}"), class_="eyebrow"),
        tag("h1", escaped(_HEADLINES[verdict]), id="verdict", data_verdict=verdict.value),
        tag("p", escaped(done)),
        tag("p", escaped(_meaning(judgement)), class_="soft"),
    ]
    if run.interrupted:
        told = f"The run was interrupted; {duration(run.duration_s)} were asked for."
        parts.append(tag("p", escaped(told), class_="notice"))
    return tag("header", *parts, _figures(found), class_=verdict.value)


def _meaning(judgement: Judgement) -> str:
    match judgement.verdict:
        case Ruling.FINE:
            return "All that clients were told has an order in which it is right."
        case Ruling.VIOLATION:
            shown = count(judgement.violations, "violation")
            return f"{shown} found; what shows it stands below."
        case _:
            left = count(judgement.undecided_objects, "object")
            return f"Nothing wrong was found, but of {left} nothing can be said."


def _figures(found: Found) -> str:
    run, latency = found.run, found.latency
    buckets = found.series.buckets
    ok = sum([bucket.reads + bucket.writes for bucket in buckets])
    unknown = sum([bucket.unknown for bucket in buckets])
    failed = sum([bucket.failed for bucket in buckets])
    served = sum([1 for bucket in buckets if bucket.writes])
    recoveries = recoveries_of(found.events.faults)
    figures = [
        ("succeeded", f"{ok:,}", f"{ok / max(run.length_s, 1e-9):,.0f} a second"),
        (
            "reads answered",
            f"{sum(found.reads.values()):,}",
            clipped(", ".join(f"{number:,} {level}" for level, number in found.reads.items()), 100),
        ),
        ("no answer", f"{unknown:,}", f"{failed:,} refused"),
        ("latency p99", milliseconds(latency.p99_ms), f"p50 {milliseconds(latency.p50_ms)}"),
        ("leader changes", f"{leader_changes(found.events):,}", "partitions, added up"),
        ("seconds with writes", f"{served / len(buckets):.1%}", f"of {duration(run.length_s)}"),
    ]
    if recoveries:
        overall = recoveries[-1]
        after_end = timeouts(run, overall.end_p99_ms)
        told = f"after a fault begins; {after_end} after it ends; p99, in election timeouts"
        figures.append(("writes resume", timeouts(run, overall.begin_p99_ms), told))
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", escaped(name)),
                tag("dd", escaped(value), tag("small", escaped(about))),
            )
            for name, value, about in figures
        ),
        class_="figures",
    )


def counterexamples(judgement: Judgement) -> str:
    """What shows that a promise is broken; nothing where none is."""
    if not judgement.findings:
        return ""
    shown = judgement.findings[:_FINDINGS_MAX]
    parts = [
        tag("h2", "What shows it"),
        tag(
            "p",
            "Answers that cannot all be right, as few of them as tell. In red: the first one of a"
            " register that no order explains.",
            class_="about",
        ),
    ]
    for number, finding in enumerate(shown):
        parts.append(_counterexample(number, finding))
    if judgement.violations > len(shown):
        more = judgement.violations - len(shown)
        parts.append(tag("p", escaped(f"{count(more, 'violation')} more."), class_="soft"))
    return tag("section", *parts, id="counterexample")


def _counterexample(number: int, finding: Finding) -> str:
    headline = finding.headline()
    parts = [tag("p", tag("strong", escaped(clipped(headline))))]
    if len(finding.operations) > 1:
        of_key = "" if finding.key is None else f" {to_cell(finding.key)}"
        drawing = timeline_svg(
            finding.operations,
            clipped(f"{finding.promise}{of_key}", 100),
            until_ns=finding.until_ns,
            name=f"counterexample-{number}",
        )
        parts.append(tag("figure", drawing, class_="wide"))
    if finding.operations:
        rows = operation_rows(finding.operations[:_OPERATIONS_MAX])
        parts.append(table(HEADER, rows, class_="mono"))
        more = len(finding.operations) - len(rows)
        if more > 0:
            parts.append(tag("p", escaped(f"{count(more, 'operation')} more."), class_="soft"))
    return tag("div", *parts, class_="finding")


def open_questions(judgement: Judgement) -> str:
    """What was not decided, and what was taken for granted."""
    if not judgement.undecided and not judgement.notes:
        return ""
    lines = [f"undecided: {each.text()}" for each in judgement.undecided[:_LISTED_MAX]]
    more = judgement.undecided_objects - len(lines)
    if more > 0:
        lines.append(f"undecided: {more} more")
    lines += judgement.notes[:_LISTED_MAX]
    items = [tag("li", escaped(clipped(text))) for text in lines]
    return tag("section", tag("h2", "What remains open"), tag("ul", *items), id="open")
