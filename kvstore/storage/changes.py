"""What commands do that look at what is there: changes with conditions, transactions, expiry.

One `PartitionChanges` takes all commands of one partition in one round, in order. It reads records
when they are first needed and keeps what becomes of them until all are done; only the last record
of each key goes into the batch. Nothing here reads a clock: the time is what stands in the entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from kvstore.codec.change import (
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    append_of,
    decode_change,
    encode_answer,
    increment_of,
)
from kvstore.codec.command import Command, OperationKind
from kvstore.codec.record import Record, decode_record, encode_record, record_expiry_ms
from kvstore.codec.results import encode_results
from kvstore.codec.transaction import (
    Branch,
    Operations,
    TransactionAnswer,
    decode_transaction,
    encode_transaction_answer,
)
from kvstore.storage.conditions import holds_for, integer_in, is_integer
from kvstore.storage.engine import WriteBatch
from kvstore.storage.expiry import expiry_key
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.trial import Trial

WORK_BYTES_MAX: Final = 32 << 20
"""Of values that one command may rewrite or give back, beside those that it brings."""

_U64: Final = Struct("<Q")


class PartitionChanges:
    """See the module. `revision` and `clock_ms` are the partition's after what was applied."""

    __slots__ = ("_budget", "_fences", "_records", "_state", "clock_ms", "revision")

    def __init__(self, state: PartitionState) -> None:
        self._state = state
        self._records = Trial[bytes](state.get_many)
        self._fences = Trial[int](state.fence_tokens)
        self._budget = 0
        self.revision = state.revision
        self.clock_ms = state.clock_ms

    def apply(self, command: Command) -> bytes:
        """Does `command`; returns its result (codec/results.py)."""
        if command.is_timed:
            self.clock_ms = max(self.clock_ms, command.clock_ms)
        self._budget = WORK_BYTES_MAX
        operations = Operations(command.kinds, command.keys, command.arguments)
        revisions, extras = self._do_all(operations)
        return encode_results(revisions, extras if any(extras) else None)

    def write(self, batch: WriteBatch) -> list[bytes]:
        """Puts everything into `batch`; returns the keys whose records it changes."""
        state = self._state
        changed: list[bytes] = []
        for key, before, after in self._records.changes():
            changed.append(key)
            if after is None:
                batch.delete(state.data_prefix + key)
            else:
                batch.put(state.data_prefix + key, after)
            old, new = _expiry_of(before), _expiry_of(after)
            if old == new:
                continue
            if old:
                batch.delete(expiry_key(state.expiries.prefix, old, key))
            if new:
                batch.put(expiry_key(state.expiries.prefix, new, key), b"")
        for lock, _, token in self._fences.changes():
            batch.put(state.fence_key(lock), _U64.pack(token or 0))
        return changed

    def expiries(self) -> Iterable[int]:
        """When the keys that `write` gave a new record expire, those that do."""
        return (each for _, _, after in self._records.changes() if (each := _expiry_of(after)))

    # --- operations

    def _do_all(self, operations: Operations) -> tuple[list[int], list[bytes | None]]:
        self._records.fetch(operations.keys)
        revisions: list[int] = []
        extras: list[bytes | None] = []
        parts = zip(operations.kinds, operations.keys, operations.arguments, strict=True)
        for kind, key, argument in parts:
            before = self.revision
            extras.append(self._do(kind, key, argument))
            revisions.append(self.revision if self.revision != before else 0)
        return revisions, extras

    def _do(self, kind: int, key: bytes, argument: bytes) -> bytes | None:
        if kind == OperationKind.PUT:
            self._put(key, argument, 0)
        elif kind == OperationKind.DELETE:
            self._delete(key)
        elif kind == OperationKind.CHANGE:
            return encode_answer(self._change(key, decode_change(argument)))
        elif kind == OperationKind.TRANSACTION:
            return self._transaction(argument)
        else:
            self._expire(key, _U64.unpack(argument)[0])
        return None

    def _put(self, key: bytes, value: bytes, expiry_ms: int) -> None:
        old = self._record(key)
        self.revision += 1
        version, created = (0, self.revision) if old is None else (old.version, old.create_revision)
        record = encode_record(value, version + 1, created, self.revision, expiry_ms)
        self._records.set(key, record)

    def _delete(self, key: bytes) -> None:
        if self._records.get(key) is not None:
            self.revision += 1
            self._records.set(key, None)

    def _expire(self, key: bytes, expiry_ms: int) -> None:
        """Removes the key, unless it was given another lifetime since, or its time has not come."""
        record = self._record(key)
        if record is not None and record.expiry_ms == expiry_ms <= self.clock_ms:
            self._delete(key)

    # --- changes

    def _change(self, key: bytes, change: Change) -> ChangeAnswer:
        stored = self._records.get(key)
        old = None if stored is None else decode_record(stored)
        refusal = self._refusal(change, old)
        if refusal is not None:
            return refusal
        if not self._afford(change, stored):
            return ChangeAnswer(ChangeStatus.BUSY)
        answer = self._act(key, change, old)
        if answer.status is not ChangeStatus.DONE:
            return answer
        if change.fence is not None:
            self._fences.set(change.fence.lock, change.fence.token)
        previous = stored if change.returns_previous else None
        return ChangeAnswer(ChangeStatus.DONE, answer.number, previous)

    def _refusal(self, change: Change, old: Record | None) -> ChangeAnswer | None:
        fence = change.fence
        if fence is not None:
            self._fences.fetch([fence.lock])
            seen = self._fences.get(fence.lock) or 0
            if seen > fence.token:
                return ChangeAnswer(ChangeStatus.FENCED, seen)
        holds = (
            not (change.if_absent and old is not None)
            and change.if_revision in (None, 0 if old is None else old.mod_revision)
            and change.if_value in (None, None if old is None else old.value)
        )
        if holds:
            return None
        return ChangeAnswer(ChangeStatus.CONDITION_FAILED, 0 if old is None else old.mod_revision)

    def _afford(self, change: Change, stored: bytes | None) -> bool:
        """Whether the command may still rewrite or give back this much."""
        cost = 0 if stored is None else len(stored)
        rewrites = change.action in (Action.APPEND, Action.TOUCH)
        cost *= rewrites + change.returns_previous
        if cost > self._budget:
            return False
        self._budget -= cost
        return True

    def _act(self, key: bytes, change: Change, old: Record | None) -> ChangeAnswer:
        action = change.action
        expiry_ms = 0 if change.lifetime_ms is None else self.clock_ms + change.lifetime_ms
        if action is Action.PUT:
            self._put(key, change.operand, expiry_ms)
            return ChangeAnswer(ChangeStatus.DONE)
        if action in (Action.DELETE, Action.TOUCH):
            if old is None:
                return ChangeAnswer(ChangeStatus.ABSENT)
            if action is Action.DELETE:
                self._delete(key)
            else:
                self._put(key, old.value, expiry_ms)
            return ChangeAnswer(ChangeStatus.DONE)
        if change.lifetime_ms is None and old is not None:
            expiry_ms = old.expiry_ms
        if action is Action.INCREMENT:
            return self._increment(key, change.operand, old, expiry_ms)
        return self._append(key, change.operand, old, expiry_ms)

    def _increment(
        self, key: bytes, operand: bytes, old: Record | None, expiry_ms: int
    ) -> ChangeAnswer:
        by, initial = increment_of(operand)
        present = initial if old is None else integer_in(old.value)
        if present is None:
            return ChangeAnswer(ChangeStatus.NOT_A_NUMBER)
        if not is_integer(present + by):
            return ChangeAnswer(ChangeStatus.OVERFLOW, present)
        self._put(key, b"%d" % (present + by), expiry_ms)
        return ChangeAnswer(ChangeStatus.DONE, present + by)

    def _append(
        self, key: bytes, operand: bytes, old: Record | None, expiry_ms: int
    ) -> ChangeAnswer:
        value_bytes_max, suffix = append_of(operand)
        value = suffix if old is None else old.value + suffix
        if len(value) > value_bytes_max:
            return ChangeAnswer(ChangeStatus.TOO_LARGE, len(value))
        self._put(key, value, expiry_ms)
        return ChangeAnswer(ChangeStatus.DONE, len(value))

    # --- transactions

    def _transaction(self, argument: bytes) -> bytes:
        transaction = decode_transaction(argument)
        self._records.fetch([each.key for each in transaction.comparisons])
        holds = all(holds_for(self._record(each.key), each) for each in transaction.comparisons)
        branch = Branch.THEN if holds else Branch.ELSE
        operations = transaction.then if holds else transaction.otherwise
        self._records.fetch(operations.keys)
        revision = self.revision
        self._records.begin()
        self._fences.begin()
        answer = self._try(branch, operations)
        if answer.branch is Branch.FAILED:
            self.revision = revision
            self._records.rollback()
            self._fences.rollback()
        else:
            self._records.commit()
            self._fences.commit()
        return encode_transaction_answer(answer)

    def _try(self, branch: Branch, operations: Operations) -> TransactionAnswer:
        revisions: list[int] = []
        extras: list[bytes | None] = []
        parts = zip(operations.kinds, operations.keys, operations.arguments, strict=True)
        for position, (kind, key, argument) in enumerate(parts):
            before = self.revision
            failure: ChangeAnswer | None = None
            extra: bytes | None = None
            if kind == OperationKind.GET:
                extra = self._records.get(key)
                self._budget -= len(extra or b"")
                if self._budget < 0:
                    failure = ChangeAnswer(ChangeStatus.BUSY)
            elif kind == OperationKind.CHANGE:
                answer = self._change(key, decode_change(argument))
                extra = encode_answer(answer)
                if answer.status not in (ChangeStatus.DONE, ChangeStatus.ABSENT):
                    failure = answer
            else:
                self._do(kind, key, argument)
            if failure is not None:
                return TransactionAnswer(Branch.FAILED, position, encode_answer(failure))
            revisions.append(self.revision if self.revision != before else 0)
            extras.append(extra)
        return TransactionAnswer(branch, 0, encode_results(revisions, extras))

    def _record(self, key: bytes) -> Record | None:
        stored = self._records.get(key)
        return None if stored is None else decode_record(stored)


def _expiry_of(stored: bytes | None) -> int:
    return 0 if stored is None else record_expiry_ms(stored)
