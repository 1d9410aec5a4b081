"""The part of AsyncClient that writes single keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop, get_running_loop
from typing import Final, Literal, overload

from kvstore.client.arguments import as_bytes
from kvstore.client.changes import (
    DeleteResult,
    PutResult,
    Ttl,
    answer_of,
    check_change,
    check_operation_bytes,
    checked_change,
    checked_integer,
    previous_of,
    with_limit,
)
from kvstore.client.dispatch import Dispatcher
from kvstore.client.receipts import Receipt, checked_receipts
from kvstore.codec.change import (
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    Fence,
    append_operand,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind
from kvstore.codec.record import Record

# Plain numbers, because they are read for every operation.
_PUT: Final = int(OperationKind.PUT)
_DELETE: Final = int(OperationKind.DELETE)
_CHANGE: Final = int(OperationKind.CHANGE)


class KeyOperations(ABC):
    """See AsyncClient."""

    _dispatcher: Dispatcher | None

    @abstractmethod
    def _timeout(self, timeout_s: float | None) -> float:
        """In seconds, of a call that is given `timeout_s`."""

    @abstractmethod
    async def _start(self, loop: AbstractEventLoop, deadline_s: float) -> Dispatcher:
        """The dispatcher, with a map."""

    @abstractmethod
    async def get_record(
        self, key: bytes | str, *, timeout_s: float | None = None
    ) -> Record | None:
        """The value under `key` with its version, revisions and expiry, or None."""

    # --- put and delete

    @overload
    async def put(
        self,
        key: bytes | str,
        value: bytes | str,
        *,
        ttl: Ttl | None = None,
        if_absent: bool = False,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: Literal[False] = False,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int: ...

    @overload
    async def put(
        self,
        key: bytes | str,
        value: bytes | str,
        *,
        ttl: Ttl | None = None,
        if_absent: bool = False,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: Literal[True],
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> PutResult: ...

    @overload
    async def put(
        self,
        key: bytes | str,
        value: bytes | str,
        *,
        ttl: Ttl | None = None,
        if_absent: bool = False,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: bool,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int | PutResult: ...

    async def put(
        self,
        key: bytes | str,
        value: bytes | str,
        *,
        ttl: Ttl | None = None,
        if_absent: bool = False,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: bool = False,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int | PutResult:
        """Stores `value` under `key` and gives the write's revision.

        When it returns, the write is on stable storage on a majority of the partition's replicas.
        `ttl` is a lifetime: seconds, or a timedelta, above 0 and up to a hundred years; without
        one the key does not expire, whatever it did before. ConditionFailed where the key exists
        (`if_absent`), has another revision (`if_revision`; 0: must not exist) or another value
        (`if_value`). With `return_previous` a PutResult, with what was there before. Fenced where a
        later holder of a lock has written to this partition (`fence`, see `lock`). A list that is
        given as `receipts` grows by the answer's Receipt, that of a refusal by the partition too.
        """
        if type(key) is not bytes:
            key = as_bytes("key", key)
        if type(value) is not bytes:
            value = as_bytes("value", value)
        if (
            ttl is None
            and if_absent is False
            and if_revision is None
            and if_value is None
            and return_previous is False
            and fence is None
        ):
            loop = get_running_loop()
            deadline_s = loop.time() + self._timeout(timeout_s)
            dispatcher = self._dispatcher
            if dispatcher is None or dispatcher.loop is not loop or not dispatcher.is_started:
                dispatcher = await self._start(loop, deadline_s)
            dispatcher.board.limits.check_key(key)
            dispatcher.board.limits.check_value(value)
            if receipts is not None:
                checked_receipts(receipts)
            return await dispatcher.write(_PUT, key, value, deadline_s, receipts)
        change = checked_change(
            Action.PUT,
            value,
            ttl=ttl,
            if_absent=if_absent,
            if_revision=if_revision,
            if_value=if_value,
            return_previous=return_previous,
            fence=fence,
        )
        revision, answer = await self._change(key, change, receipts, timeout_s)
        return PutResult(revision, previous_of(key, answer)) if return_previous else revision

    @overload
    async def delete(
        self,
        key: bytes | str,
        *,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: Literal[False] = False,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool: ...

    @overload
    async def delete(
        self,
        key: bytes | str,
        *,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: Literal[True],
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> DeleteResult: ...

    @overload
    async def delete(
        self,
        key: bytes | str,
        *,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: bool,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool | DeleteResult: ...

    async def delete(
        self,
        key: bytes | str,
        *,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        return_previous: bool = False,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool | DeleteResult:
        """Removes `key`; False when there was no such key.

        ConditionFailed where the key has another revision (`if_revision`) or another value
        (`if_value`), or does not exist and one of these is given. With `return_previous` a
        DeleteResult, with what was there. `fence` and `receipts` are those of `put`.
        """
        key = as_bytes("key", key)
        if if_revision is None and if_value is None and fence is None and return_previous is False:
            loop = get_running_loop()
            deadline_s = loop.time() + self._timeout(timeout_s)
            dispatcher = await self._start(loop, deadline_s)
            dispatcher.board.limits.check_key(key)
            receipts = checked_receipts(receipts)
            return await dispatcher.write(_DELETE, key, b"", deadline_s, receipts) != 0
        change = checked_change(
            Action.DELETE,
            if_revision=if_revision,
            if_value=if_value,
            return_previous=return_previous,
            fence=fence,
        )
        _, answer = await self._change(key, change, receipts, timeout_s)
        deleted = answer.status is ChangeStatus.DONE
        return DeleteResult(deleted, previous_of(key, answer)) if return_previous else deleted

    # --- changes of what is there

    async def increment(
        self,
        key: bytes | str,
        by: int = 1,
        *,
        initial: int = 0,
        ttl: Ttl | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """Adds `by` to the number under `key` and gives the sum; an absent key counts as `initial`.

        Numbers are signed, of 64 bits, and stored as decimal digits. NotANumber where something
        else is there, CounterOverflow where the sum does not fit. `ttl` begins a new lifetime;
        without it, the key's own goes on. `fence` and `receipts` are those of `put`.
        """
        key = as_bytes("key", key)
        operand = increment_operand(checked_integer("by", by), checked_integer("initial", initial))
        change = checked_change(Action.INCREMENT, operand, ttl=ttl, fence=fence)
        return (await self._change(key, change, receipts, timeout_s))[1].number

    async def append(
        self,
        key: bytes | str,
        suffix: bytes | str,
        *,
        ttl: Ttl | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """Adds `suffix` to the end of the value under `key` and gives the new length in bytes.

        An absent key counts as an empty value. InvalidArgument where the value would be larger than
        the cluster takes. `ttl` begins a new lifetime; without it, the key's own goes on. `fence`
        and `receipts` are those of `put`.
        """
        key = as_bytes("key", key)
        suffix = as_bytes("suffix", suffix)
        # How much a value may have is known with the map only.
        change = checked_change(Action.APPEND, append_operand(0, suffix), ttl=ttl, fence=fence)
        return (await self._change(key, change, receipts, timeout_s))[1].number

    async def touch(
        self,
        key: bytes | str,
        ttl: Ttl | None,
        *,
        if_revision: int | None = None,
        if_value: bytes | str | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool:
        """Gives `key` a new lifetime, None: no end; False when there is no such key.

        The value stays as it is. ConditionFailed where the key has another revision (`if_revision`)
        or another value (`if_value`). `fence` and `receipts` are those of `put`.
        """
        key = as_bytes("key", key)
        change = checked_change(
            Action.TOUCH, ttl=ttl, if_revision=if_revision, if_value=if_value, fence=fence
        )
        _, answer = await self._change(key, change, receipts, timeout_s)
        return answer.status is ChangeStatus.DONE

    async def _change(
        self,
        key: bytes,
        change: Change,
        receipts: list[Receipt] | None,
        timeout_s: float | None,
    ) -> tuple[int, ChangeAnswer]:
        receipts = checked_receipts(receipts)
        loop = get_running_loop()
        deadline_s = loop.time() + self._timeout(timeout_s)
        dispatcher = await self._start(loop, deadline_s)
        limits = dispatcher.board.limits
        limits.check_key(key)
        check_change(change, limits)
        argument = encode_change(with_limit(change, limits.value_bytes_max))
        check_operation_bytes(key, argument, limits)
        revision, answer = await dispatcher.change(_CHANGE, key, argument, deadline_s, receipts)
        return revision, answer_of(key, answer)
