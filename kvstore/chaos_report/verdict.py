"""verdict.json: what came of a run, for scripts (docs/format-chaos-run.md)."""

from __future__ import annotations

from kvstore.chaos_report.figures import errors_by_kind, leader_changes, recoveries_of
from kvstore.chaos_report.found import Found
from kvstore.verify.record import judgement_record

FORMAT = 1


def verdict_record(found: Found) -> dict[str, object]:
    """The object in verdict.json."""
    run, events, latency, buckets = found.run, found.events, found.latency, found.series.buckets
    ok = sum([bucket.reads + bucket.writes for bucket in buckets])
    return {
        "format": FORMAT,
        **judgement_record(found.judgement),
        "run": {
            "command": list(run.command),
            "version": run.version,
            "seed": run.seed,
            "target": run.target,
            "length_s": round(run.length_s, 3),
            "interrupted": run.interrupted,
        },
        "outcomes": {
            "ok": ok,
            "fail": sum([bucket.failed for bucket in buckets]),
            "unknown": sum([bucket.unknown for bucket in buckets]),
        },
        "reads": found.reads,
        "latency_ms": {"p50": latency.p50_ms, "p99": latency.p99_ms, "max": latency.max_ms},
        "leader_changes": leader_changes(events),
        "election_timeout_ms": run.election_timeout_ms,
        "recovery": [
            {
                "fault": each.kind,
                "faults": each.faults,
                "recovered": each.recovered,
                "after_begin_ms": {"p50": each.begin_p50_ms, "p99": each.begin_p99_ms},
                "after_end_ms": {"p50": each.end_p50_ms, "p99": each.end_p99_ms},
                "worst_ms": each.worst_ms,
            }
            for each in recoveries_of(events.faults)
        ],
        "errors": errors_by_kind(events),
    }
