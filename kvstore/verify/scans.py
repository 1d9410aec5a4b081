"""Scans as reads of single keys.

A scan says of each key that begins with its prefix whether it is there, and what it holds. So it
counts as one `get` of every such key that the history knows of, and of every key that the scan
found, between the scan's invocation and its end. The judges of the keys then see what it saw. What
no `get` can tell, a key that is there twice or does not belong there, is found here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from kvstore.codec.text import to_cell
from kvstore.verify.finding import Finding
from kvstore.verify.operation import Kind, Operation

EQUALS = b"="
"""Stands between key and value; keys that are scanned have none."""


def judge_scans(scans: Iterable[Operation]) -> list[Finding]:
    """What is wrong with scans by themselves."""
    findings = []
    for scan in scans:
        seen = set()
        for item in scan.outputs or ():
            key, equals, _value = item.partition(EQUALS)
            name = f'"{to_cell(key)}"'
            if not equals:
                findings.append(Finding("scan", f"{name} has no value", (scan,)))
            elif not key.startswith(scan.key):
                detail = f'{name} does not begin with "{to_cell(scan.key)}"'
                findings.append(Finding("scan", detail, (scan,)))
            elif key in seen:
                findings.append(Finding("scan", f"{name} is there twice", (scan,)))
            seen.add(key)
    return findings


def gets_of_scans(scans: Iterable[Operation], keys: Iterable[bytes]) -> list[Operation]:
    """What `scans` read, as reads of single keys; `keys` are all that are known."""
    known = sorted(keys)
    gets = []
    for scan in scans:
        if scan.outputs is None or not scan.is_linearizable:
            continue
        found = _contents(scan)
        gets.extend([_get(scan, key, value) for key, value in found.items()])
        gets.extend(
            [_get(scan, key, None) for key in _beginning_with(scan.key, known) if key not in found]
        )
    return gets


def _contents(scan: Operation) -> dict[bytes, bytes]:
    parts = [item.partition(EQUALS) for item in scan.outputs or ()]
    return {key: value for key, equals, value in parts if equals and key.startswith(scan.key)}


def _beginning_with(prefix: bytes, known: Sequence[bytes]) -> Iterable[bytes]:
    for place in range(bisect_left(known, prefix), len(known)):
        if not known[place].startswith(prefix):
            return
        yield known[place]


def _get(scan: Operation, key: bytes, value: bytes | None) -> Operation:
    return Operation(
        scan.client,
        Kind.GET,
        key,
        scan.invoked_ns,
        scan.outcome,
        scan.returned_ns,
        output=value,
        node=scan.node,
        partition=scan.partition,
        receipt=scan.receipt,
    )
