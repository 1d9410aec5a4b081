"""The part of AsyncClient that takes several keys at once, and locks."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

from kvstore.client.arguments import as_bytes
from kvstore.client.changes import (
    Ttl,
    answer_of,
    checked_change,
    checked_fence,
)
from kvstore.client.key_operations import KeyOperations
from kvstore.client.level_sections import class_of
from kvstore.client.levels import Consistency, Level
from kvstore.client.lock import Lock
from kvstore.client.many import Outcomes, all_or_raise, checked_keys, for_each
from kvstore.client.operations import OperationClass
from kvstore.client.receipts import Receipt, checked_receipts
from kvstore.client.records import record_of, value_of
from kvstore.client.transactions import (
    Compare,
    Operation,
    TransactionResult,
    checked_transaction,
    encoded_transaction,
    result_of,
)
from kvstore.codec.change import Action, Fence, encode_change
from kvstore.codec.command import OperationKind
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument, KVStoreError

_PUT: Final = int(OperationKind.PUT)
_CHANGE: Final = int(OperationKind.CHANGE)
_TRANSACTION: Final = int(OperationKind.TRANSACTION)

LOCK_TTL_S: Final = 10.0


class GroupOperations(KeyOperations):
    """See AsyncClient."""

    _random: Random

    async def get_many(
        self,
        keys: Iterable[bytes | str],
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, bytes]:
        """The values under those of `keys` that exist, in the order of `keys`, by key as bytes.

        Each is linearizable, unless `consistency` asks for less; together they are not one moment's
        picture: for that, take a `transaction` of Get. Where one cannot be read, raises the error
        that says why. A list that is given as `receipts` grows by those of the partitions that
        answered: one for each part of the keys that a partition was asked for at once.
        """
        found = await self._read_many(keys, consistency, receipts, timeout_s)
        return {key: value_of(key, record) for key, record in found.items()}

    async def get_many_records(
        self,
        keys: Iterable[bytes | str],
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, Record]:
        """Like `get_many`, with each value's version, revisions and expiry."""
        found = await self._read_many(keys, consistency, receipts, timeout_s)
        return {key: record_of(key, record) for key, record in found.items()}

    async def _read_many(
        self,
        keys: Iterable[bytes | str],
        consistency: Level,
        receipts: list[Receipt] | None,
        timeout_s: float | None,
    ) -> dict[bytes, bytes]:
        kind, bound = class_of(consistency)
        receipts = checked_receipts(receipts)
        is_plain = kind is OperationClass.RECEIPT_READ and receipts is None
        wanted = list(dict.fromkeys(as_bytes("key", key) for key in checked_keys(keys)))
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = await self._start(loop, deadline_s)
        for key in wanted:
            dispatcher.board.limits.check_key(key)

        def ask(key: bytes, _argument: bytes) -> Future[Any]:
            if is_plain:
                return dispatcher.read(key, deadline_s)
            return dispatcher.read_at(kind, key, bound, deadline_s)

        outcomes: Outcomes[Any] = await for_each(wanted, [b""] * len(wanted), ask)
        found: dict[bytes, bytes] = {}
        given: dict[Receipt, None] = {}
        for key, answer in outcomes.items():
            if isinstance(answer, KVStoreError):
                raise answer
            record = answer
            if not is_plain:
                record, receipt = answer
                given[receipt] = None
            if record is not None:
                found[key] = record
        if receipts is not None:
            receipts.extend(given)
        return found

    async def put_many(
        self,
        items: Mapping[bytes, bytes | str] | Mapping[str, bytes | str],
        *,
        ttl: Ttl | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, int]:
        """Stores all `items` and gives the revision of each, by key as bytes.

        Each key by itself: others may see some of them and not yet the rest. For all or none, take
        a `transaction` of Put. BatchFailed where some were not written, or may not have been; it
        says which. `ttl` is that of `put`; a list that is given as `receipts` grows by those of the
        partitions that answered, one or more of each.
        """
        if not isinstance(items, Mapping):
            raise InvalidArgument(f"items must be a mapping, not {type(items).__name__}")
        pairs = {as_bytes("key", key): as_bytes("value", value) for key, value in items.items()}
        if len(pairs) != len(items):
            raise InvalidArgument("a key stands in items twice, as bytes and as str")
        # Checked once, before anything is queued; the value is filled in for each key.
        timed = checked_change(Action.PUT, ttl=ttl).lifetime_ms is not None
        receipts = checked_receipts(receipts)
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = await self._start(loop, deadline_s)
        limits = dispatcher.board.limits
        for key, value in pairs.items():
            limits.check_key(key)
            limits.check_value(value)
        keys, values = list(pairs), list(pairs.values())
        if not timed:

            def ask(key: bytes, value: bytes) -> Future[int]:
                return dispatcher.write(_PUT, key, value, deadline_s, receipts)

            return all_or_raise(await for_each(keys, values, ask))

        def ask_timed(key: bytes, value: bytes) -> Future[tuple[int, bytes]]:
            change = encode_change(checked_change(Action.PUT, value, ttl=ttl))
            return dispatcher.change(_CHANGE, key, change, deadline_s, receipts)

        outcomes: dict[bytes, int | KVStoreError] = {}
        for key, outcome in (await for_each(keys, values, ask_timed)).items():
            outcomes[key] = outcome if isinstance(outcome, KVStoreError) else _done(key, *outcome)
        return all_or_raise(outcomes)

    async def transaction(
        self,
        compare: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
        *,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> TransactionResult:
        """Does `then` where all of `compare` hold, else `otherwise`: all of it, or nothing.

        Operations are Put, Delete, Get, Increment, Append and Touch; later ones see earlier ones,
        and nobody sees a part of them. All keys have to be in one partition, as keys with the same
        part in braces are: `{user:7}/name` and `{user:7}/mail`. Where one operation is refused, its
        error is raised (NotANumber, CounterOverflow, InvalidArgument, Fenced) and nothing was
        changed. `fence` is that of `put`, for every write in it; so is `receipts`, with one for
        the whole.
        """
        fence = checked_fence(fence)
        receipts = checked_receipts(receipts)
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = await self._start(loop, deadline_s)
        limits = dispatcher.board.limits
        transaction = checked_transaction(compare, then, otherwise, fence, limits)
        branches = (tuple(then), tuple(otherwise))
        key, argument = encoded_transaction(transaction, dispatcher.board.partitions, limits)
        _, answer = await dispatcher.change(_TRANSACTION, key, argument, deadline_s, receipts)
        return result_of(key, answer, *branches)

    def lock(
        self, name: bytes | str, *, ttl: Ttl = LOCK_TTL_S, timeout_s: float | None = None
    ) -> Lock:
        """A lock that one client at a time holds: `async with kv.lock("nightly") as lock: …`.

        It is the key `name`, kept alive while it is held and gone by itself `ttl` after its holder
        is. Waits for `timeout_s` (that of the client where none is given), then raises LockTimeout.
        See Lock for what it takes to be safe when a holder is slow.
        """
        return Lock(self, name, ttl, self._timeout(timeout_s), self._random)


def _done(key: bytes, revision: int, answer: bytes) -> int | KVStoreError:
    try:
        answer_of(key, answer)
    except KVStoreError as problem:
        return problem
    return revision
