"""What a partition makes of commands: a small model of changes and transactions, written from
docs/format-command.md and apart from the state machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvstore.codec.change import (
    INTEGER_MAX,
    INTEGER_MIN,
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    append_of,
    decode_change,
    encode_answer,
    increment_of,
)
from kvstore.codec.command import Command, OperationKind, decode_command
from kvstore.codec.record import Record, decode_record, encode_record
from kvstore.codec.results import encode_results
from kvstore.codec.transaction import (
    Branch,
    Comparison,
    Relation,
    Subject,
    TransactionAnswer,
    decode_transaction,
    encode_transaction_answer,
)

BYTES_MAX = 8 << 20
"""What one command may rewrite or return; more is answered with BUSY."""

Result = tuple[int, bytes | None]
_NEEDS_KEY = (Action.DELETE, Action.TOUCH)


class Refused(Exception):
    """A change of a transaction was refused."""

    def __init__(self, answer: ChangeAnswer) -> None:
        super().__init__(answer.status.name)
        self.answer = answer


@dataclass
class FakeState:
    """The data of one partition. `clock_ms` is moved by tests alone."""

    data: dict[bytes, bytes] = field(default_factory=dict)
    revision: int = 0
    clock_ms: int = 1_000_000
    fences: dict[bytes, int] = field(default_factory=dict)
    room: int = BYTES_MAX

    def expire(self) -> None:
        """Removes what has expired by now."""
        for key in [key for key, record in self.data.items() if self._is_over(record)]:
            del self.data[key]
            self.revision += 1

    def _is_over(self, record: bytes) -> bool:
        return 0 < decode_record(record).expiry_ms <= self.clock_ms

    def write(self, body: bytes) -> bytes:
        """Applies a command, as often as it comes, and gives its results."""
        return self.apply(decode_command(body))

    def apply(self, command: Command) -> bytes:
        """The same, decoded."""
        self.expire()
        self.room = BYTES_MAX
        results = [
            self._do(kind, key, argument)
            for kind, key, argument in zip(
                command.kinds, command.keys, command.arguments, strict=True
            )
        ]
        revisions, extras = [each for each, _ in results], [extra for _, extra in results]
        simple = all(extra is None for extra in extras)
        return encode_results(revisions, None if simple else extras)

    def _do(self, kind: int, key: bytes, argument: bytes, inside: bool = False) -> Result:
        if kind == OperationKind.PUT:
            return self._store(key, argument, 0), None
        if kind == OperationKind.DELETE:
            return self._remove(key), None
        if kind == OperationKind.GET:
            assert inside
            return 0, self.data.get(key)
        if kind == OperationKind.TRANSACTION:
            return self._transact(argument)
        assert kind == OperationKind.CHANGE
        revision, answer = self._change(key, decode_change(argument))
        if inside and answer.status not in (ChangeStatus.DONE, ChangeStatus.ABSENT):
            raise Refused(answer)
        return revision, encode_answer(answer)

    def _store(self, key: bytes, value: bytes, expiry_ms: int) -> int:
        self.revision += 1
        old = self._record(key)
        version, created = (1, self.revision)
        if old is not None:
            version, created = old.version + 1, old.create_revision
        self.data[key] = encode_record(value, version, created, self.revision, expiry_ms)
        return self.revision

    def _remove(self, key: bytes) -> int:
        if self.data.pop(key, None) is None:
            return 0
        self.revision += 1
        return self.revision

    def _record(self, key: bytes) -> Record | None:
        stored = self.data.get(key)
        return None if stored is None else decode_record(stored)

    # --- changes

    def _change(self, key: bytes, change: Change) -> tuple[int, ChangeAnswer]:
        old = self._record(key)
        refusal = self._refusal(old, change)
        if refusal is not None:
            return 0, refusal
        if change.fence is not None and (old is not None or change.action not in _NEEDS_KEY):
            self.fences[change.fence.lock] = change.fence.token
        previous = self.data.get(key) if change.returns_previous else None
        expiry_ms = 0 if change.lifetime_ms is None else self.clock_ms + change.lifetime_ms
        if change.action is Action.DELETE:
            status = ChangeStatus.DONE if old is not None else ChangeStatus.ABSENT
            return self._remove(key), ChangeAnswer(status, 0, previous)
        if change.action is Action.TOUCH:
            if old is None:
                return 0, ChangeAnswer(ChangeStatus.ABSENT)
            answer = ChangeAnswer(ChangeStatus.DONE, 0, previous)
            return self._store(key, old.value, expiry_ms), answer
        if change.action is Action.PUT:
            answer = ChangeAnswer(ChangeStatus.DONE, 0, previous)
            return self._store(key, change.operand, expiry_ms), answer
        if old is not None and change.lifetime_ms is None:
            expiry_ms = old.expiry_ms
        value, number = self._sum(old, change)
        answer = ChangeAnswer(ChangeStatus.DONE, number, previous)
        return self._store(key, value, expiry_ms), answer

    def _refusal(self, old: Record | None, change: Change) -> ChangeAnswer | None:
        """Why `change` is not done."""
        if change.fence is not None and change.fence.token < self.fences.get(change.fence.lock, 0):
            return ChangeAnswer(ChangeStatus.FENCED, self.fences[change.fence.lock])
        revision = 0 if old is None else old.mod_revision
        holds = not (change.if_absent and old is not None)
        holds &= change.if_revision in (None, revision)
        if change.if_value is not None:
            holds &= old is not None and old.value == change.if_value
        if not holds:
            return ChangeAnswer(ChangeStatus.CONDITION_FAILED, revision)
        if change.returns_previous and old is not None:
            self.room -= len(old.value)
        if change.action in (Action.APPEND, Action.TOUCH) and old is not None:
            self.room -= len(old.value)
        if self.room < 0:
            return ChangeAnswer(ChangeStatus.BUSY)
        if change.action is Action.INCREMENT:
            return _cannot_add(old, change)
        if change.action is Action.APPEND:
            bytes_max, suffix = append_of(change.operand)
            size = len(suffix) + (0 if old is None else len(old.value))
            if size > bytes_max:
                return ChangeAnswer(ChangeStatus.TOO_LARGE, size)
        return None

    def _sum(self, old: Record | None, change: Change) -> tuple[bytes, int]:
        if change.action is Action.INCREMENT:
            by, initial = increment_of(change.operand)
            number = (initial if old is None else int(old.value)) + by
            return b"%d" % number, number
        value = (b"" if old is None else old.value) + append_of(change.operand)[1]
        return value, len(value)

    # --- transactions

    def _transact(self, argument: bytes) -> Result:
        transaction = decode_transaction(argument)
        succeeded = all(self._holds(each) for each in transaction.comparisons)
        branch = transaction.then if succeeded else transaction.otherwise
        before = dict(self.data), self.revision, dict(self.fences)
        results: list[Result] = []
        try:
            for kind, key, part in zip(branch.kinds, branch.keys, branch.arguments, strict=True):
                results.append(self._do(kind, key, part, inside=True))
        except Refused as refused:
            self.data, self.revision, self.fences = before
            body = encode_answer(refused.answer)
            failed = TransactionAnswer(Branch.FAILED, len(results), body)
            return 0, encode_transaction_answer(failed)
        body = encode_results([each for each, _ in results], [extra for _, extra in results])
        answer = TransactionAnswer(Branch.THEN if succeeded else Branch.ELSE, 0, body)
        return max((each for each, _ in results), default=0), encode_transaction_answer(answer)

    def _holds(self, comparison: Comparison) -> bool:
        old = self._record(comparison.key)
        there: bytes | int
        operand: bytes | int = comparison.operand
        if comparison.subject is Subject.VALUE:
            there = b"" if old is None else old.value
        else:
            there = 0 if old is None else getattr(old, comparison.subject.name.lower())
            operand = int.from_bytes(comparison.operand, "little")
        return {
            Relation.EQUAL: there == operand,
            Relation.NOT_EQUAL: there != operand,
            Relation.LESS: there < operand,  # type: ignore[operator]  # two of one type
            Relation.GREATER: there > operand,  # type: ignore[operator]  # two of one type
        }[comparison.relation]


def _cannot_add(old: Record | None, change: Change) -> ChangeAnswer | None:
    by, initial = increment_of(change.operand)
    there = initial
    if old is not None:
        digits = old.value.removeprefix(b"-")
        if not digits.isdigit() or not INTEGER_MIN <= int(old.value) <= INTEGER_MAX:
            return ChangeAnswer(ChangeStatus.NOT_A_NUMBER)
        there = int(old.value)
    if not INTEGER_MIN <= there + by <= INTEGER_MAX:
        return ChangeAnswer(ChangeStatus.OVERFLOW, there)
    return None
