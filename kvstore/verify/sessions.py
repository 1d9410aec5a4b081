"""Sessions: what one client sees never goes back (Terry et al., 1994), by revisions.

A session is what one client does, one operation after another, in one partition. An operation's
receipt says at which revision of the partition it was served, or which one it was given:

- **Read your writes.** A read is served at no lower revision than any write of the session that was
  acknowledged before it began.
- **Monotonic reads.** Nor than any earlier read of it.

Operations without receipt or partition say nothing here, and neither do reads that asked for
`stale` data: they were promised nothing of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.operation import READS, Operation, Receipt

_STALE: Final = "stale"


@dataclass(slots=True)
class _Session:
    """The operations with the highest revisions so far."""

    write: Operation | None = None
    read: Operation | None = None


def judge_sessions(history: History) -> list[Finding]:
    """Reads that were served from before what their session had seen."""
    findings = []
    sessions: dict[tuple[int, int], _Session] = {}
    # By their ends: an operation counts for those that began after it.
    ended: dict[tuple[int, int], list[Operation]] = {}
    for operation in sorted(history.operations, key=lambda each: each.invoked_ns):
        receipt, partition = operation.receipt, operation.partition
        if receipt is None or partition is None or receipt.level == _STALE or not operation.is_ok:
            continue
        key = (operation.client, partition)
        session = sessions.setdefault(key, _Session())
        waiting = ended.setdefault(key, [])
        _take_over(session, waiting, operation)
        if operation.op in READS:
            findings.extend(_judge_read(session, operation, receipt))
        waiting.append(operation)
    return findings


def _take_over(session: _Session, waiting: list[Operation], now: Operation) -> None:
    """Takes into `session` those of `waiting` that ended before `now` began."""
    still = []
    for operation in waiting:
        if operation.returned_ns is None or operation.returned_ns >= now.invoked_ns:
            still.append(operation)
        elif operation.op in READS:
            session.read = _higher(session.read, operation)
        else:
            session.write = _higher(session.write, operation)
    waiting[:] = still


def _higher(known: Operation | None, operation: Operation) -> Operation:
    return operation if known is None or _revision(known) < _revision(operation) else known


def _revision(operation: Operation) -> int:
    return -1 if operation.receipt is None else operation.receipt.revision


def _judge_read(session: _Session, read: Operation, receipt: Receipt) -> list[Finding]:
    findings = []
    for promise, earlier in (
        ("read your writes", session.write),
        ("monotonic reads", session.read),
    ):
        if earlier is not None and receipt.revision < _revision(earlier):
            detail = (
                f"client {read.client} had seen revision {_revision(earlier)} of partition"
                f" {read.partition}, and was then served at {receipt.revision}"
            )
            findings.append(Finding(promise, detail, (earlier, read)))
    return findings
