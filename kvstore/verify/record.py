"""Judgements as JSON: for `--output json`, and the verdict of a chaos run."""

from __future__ import annotations

from typing import Final

from kvstore.codec.text import JsonText, to_json
from kvstore.verify.finding import Finding
from kvstore.verify.history import to_record
from kvstore.verify.judgement import Judgement

OPERATIONS_MAX: Final = 1000
"""Of one finding; more are left out."""


def judgement_record(judgement: Judgement) -> dict[str, object]:
    """The object that stands for `judgement`."""
    return {
        "verdict": judgement.verdict.value,
        "operations": judgement.operations,
        "violations": judgement.violations,
        "undecided_objects": judgement.undecided_objects,
        "promises": [
            {
                "promise": each.promise.value,
                "verdict": each.ruling.value,
                "objects": each.objects,
                "operations": each.operations,
                "violations": each.violations,
                "undecided": each.undecided,
            }
            for each in judgement.promises
        ],
        "findings": [_finding(each) for each in judgement.findings],
        "undecided": [{"key": _key(each.key), "why": each.why} for each in judgement.undecided],
        "notes": list(judgement.notes),
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "promise": finding.promise,
        "key": _key(finding.key),
        "detail": finding.detail,
        "until_ns": finding.until_ns,
        "operations": [to_record(each) for each in finding.operations[:OPERATIONS_MAX]],
    }


def _key(key: bytes | None) -> JsonText | None:
    return None if key is None else to_json(key)
