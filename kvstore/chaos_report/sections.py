"""The rest of the page: the run over time, recovery, promises, errors, and how to run it again."""

from __future__ import annotations

import shlex
from typing import Final

from kvstore.chaos_report.charts import run_chart
from kvstore.chaos_report.figures import Recovery, errors_by_kind, recoveries_of
from kvstore.chaos_report.found import Found
from kvstore.chaos_report.parts import both, clipped, table, timeouts
from kvstore.chaos_report.run import Fault, RunInfo
from kvstore.verify.judgement import Judgement
from kvstore.verify.svg import escaped, tag

_FAULTS_MAX: Final = 400
_ERRORS_MAX: Final = 40
_COMMAND_MAX: Final = 4000

_KEYS: Final = (
    ("reads", "reads"),
    ("writes", "writes"),
    ("p50", "latency p50"),
    ("p99", "latency p99"),
    ("fault", "a fault is under way"),
    ("down", "node down"),
    ("paused", "node paused"),
)


def timeline(found: Found) -> str:
    """The run over time."""
    keys = [
        tag("span", f'<i style="background:var(--{colour})"></i>', escaped(name))
        for colour, name in _KEYS
    ]
    width_s = found.series.width_s
    each = "second" if width_s == 1 else f"{width_s} seconds"
    about = f"Figures of each {each}, by when operations returned. Point at it for numbers."
    return tag(
        "section",
        tag("h2", "The run"),
        tag("p", escaped(about), class_="about"),
        tag("div", *keys, class_="keys"),
        run_chart(found.run, found.series, found.events),
        id="timeline",
    )


def recovery(found: Found) -> str:
    """How soon writes went on, by kind of fault and for each."""
    run, faults = found.run, found.events.faults
    if not faults:
        return ""
    about = (
        "How long until writes of all partitions went on, since a fault began and since it ended;"
        f" in election timeouts, of {run.election_timeout_ms} ms."
    )
    columns = (
        *("fault", "#count", "#resumed", "#since begin p50", "#p99"),
        *("#since end p50", "#p99", "#longest"),
    )
    recoveries = recoveries_of(faults)
    rows = [_recovery_row(run, each) for each in recoveries]
    listed = [_fault_row(run, fault) for fault in faults[:_FAULTS_MAX]]
    of_each = ("#at", "fault", "targets", "#lasted", "#since begin", "#since end", "detail")
    label = "Each fault"
    if len(faults) > len(listed):
        label += f" (the first {len(listed)} of {len(faults)})"
    return tag(
        "section",
        tag("h2", "Recovery"),
        tag("p", escaped(about), class_="about"),
        table(columns, rows, last="all" if len(recoveries) > 1 else None),
        tag("details", tag("summary", escaped(label)), table(of_each, listed)),
        id="recovery",
    )


def _recovery_row(run: RunInfo, each: Recovery) -> tuple[str, ...]:
    return (
        clipped(each.kind),
        f"{each.faults:,}",
        f"{each.recovered:,}",
        *(
            timeouts(run, value)
            for value in (
                *(each.begin_p50_ms, each.begin_p99_ms),
                *(each.end_p50_ms, each.end_p99_ms, each.worst_ms),
            )
        ),
    )


def _fault_row(run: RunInfo, fault: Fault) -> tuple[str, ...]:
    lasted = "to the end"
    if fault.end_ns is not None:
        lasted = f"{(fault.end_ns - fault.begin_ns) / 1e9:.1f} s"
    return (
        f"{run.second_of(fault.begin_ns):.1f} s",
        clipped(fault.kind),
        clipped(", ".join(fault.targets) or "–"),
        lasted,
        both(run, fault.after_begin_ms),
        both(run, fault.after_end_ms),
        clipped(fault.detail),
    )


def promises(judgement: Judgement) -> str:
    """What was judged, and how much of it."""
    columns = ("promise", "verdict", "#objects", "#operations", "#violations", "#undecided")
    rows = [
        (
            f"{each.promise.value}: {each.promise.sentence}",
            each.ruling.value,
            f"{each.objects:,}",
            f"{each.operations:,}",
            f"{each.violations:,}",
            f"{each.undecided:,}",
        )
        for each in judgement.promises
    ]
    about = "Each key alone, by what was done to it. An operation may count for several promises."
    return tag(
        "section",
        tag("h2", "What was judged"),
        tag("p", escaped(about), class_="about"),
        table(columns, rows),
        id="promises",
    )


def errors(found: Found) -> str:
    """What clients met, by kind."""
    counts = errors_by_kind(found.events)
    parts = [tag("h2", "Errors that clients met")]
    if not counts:
        return tag("section", *parts, tag("p", "None.", class_="soft"), id="errors")
    most = max(counts.values())
    rows = [
        tag(
            "tr",
            tag("td", escaped(clipped(kind)), class_="mono"),
            tag("td", f"{count:,}", class_="number"),
            tag("td", f'<span class="share" style="width:{count / most * 260:.0f}px"></span>'),
        )
        for kind, count in list(counts.items())[:_ERRORS_MAX]
    ]
    about = "By kind. An operation that was tried again may have met several, and succeeded."
    return tag(
        "section",
        *parts,
        tag("p", escaped(about), class_="about"),
        tag("table", tag("tbody", *rows)),
        id="errors",
    )


def repeat(run: RunInfo) -> str:
    """What to type to run it again, and what it ran on."""
    rows = [
        ("seed", str(run.seed)),
        ("version", run.version),
        ("target", f"{run.target}: {', '.join(run.nodes)}"),
        ("workloads", ", ".join(run.workloads) or "–"),
        ("faults", ", ".join(run.faults) or "–"),
        ("clients", str(run.clients)),
    ]
    about = (
        "The same seed draws the same faults and the same requests. Real machines do not take the"
        " same turns: what depends on them may need several tries."
    )
    body = [
        tag("tr", tag("th", escaped(name), scope="row"), tag("td", escaped(clipped(value))))
        for name, value in rows
    ]
    return tag(
        "section",
        tag("h2", "Run it again"),
        tag("pre", escaped(clipped(shlex.join(run.command), _COMMAND_MAX)), id="command"),
        tag("p", escaped(about), class_="soft"),
        tag("table", tag("tbody", *body)),
        id="repeat",
    )
