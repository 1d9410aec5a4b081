"""The part of Client that reads and writes keys: what AsyncClient says, for threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, overload

from kvstore.client.async_client import AsyncClient
from kvstore.client.background import Background
from kvstore.client.changes import DeleteResult, PutResult, Ttl
from kvstore.client.group_operations import LOCK_TTL_S
from kvstore.client.levels import Consistency, Level
from kvstore.client.receipts import Receipt
from kvstore.client.sync_lock import SyncLock
from kvstore.client.transactions import Compare, Operation, TransactionResult
from kvstore.codec.change import Fence
from kvstore.codec.record import Record


class SyncOperations:
    """See Client."""

    _client: AsyncClient
    _background: Background

    @overload
    def put(
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
    def put(
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
    def put(
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

    def put(
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
        """See AsyncClient.put."""
        return self._background.run(
            self._client.put(
                key,
                value,
                ttl=ttl,
                if_absent=if_absent,
                if_revision=if_revision,
                if_value=if_value,
                return_previous=return_previous,
                fence=fence,
                receipts=receipts,
                timeout_s=timeout_s,
            )
        )

    @overload
    def delete(
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
    def delete(
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
    def delete(
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

    def delete(
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
        """See AsyncClient.delete."""
        return self._background.run(
            self._client.delete(
                key,
                if_revision=if_revision,
                if_value=if_value,
                return_previous=return_previous,
                fence=fence,
                receipts=receipts,
                timeout_s=timeout_s,
            )
        )

    def increment(
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
        """See AsyncClient.increment."""
        return self._background.run(
            self._client.increment(
                key,
                by,
                initial=initial,
                ttl=ttl,
                fence=fence,
                receipts=receipts,
                timeout_s=timeout_s,
            )
        )

    def append(
        self,
        key: bytes | str,
        suffix: bytes | str,
        *,
        ttl: Ttl | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """See AsyncClient.append."""
        return self._background.run(
            self._client.append(
                key, suffix, ttl=ttl, fence=fence, receipts=receipts, timeout_s=timeout_s
            )
        )

    def touch(
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
        """See AsyncClient.touch."""
        return self._background.run(
            self._client.touch(
                key,
                ttl,
                if_revision=if_revision,
                if_value=if_value,
                fence=fence,
                receipts=receipts,
                timeout_s=timeout_s,
            )
        )

    def get_many(
        self,
        keys: Iterable[bytes | str],
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, bytes]:
        """See AsyncClient.get_many."""
        return self._background.run(
            self._client.get_many(
                keys, consistency=consistency, receipts=receipts, timeout_s=timeout_s
            )
        )

    def get_many_records(
        self,
        keys: Iterable[bytes | str],
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, Record]:
        """See AsyncClient.get_many_records."""
        return self._background.run(
            self._client.get_many_records(
                keys, consistency=consistency, receipts=receipts, timeout_s=timeout_s
            )
        )

    def put_many(
        self,
        items: Mapping[bytes, bytes | str] | Mapping[str, bytes | str],
        *,
        ttl: Ttl | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, int]:
        """See AsyncClient.put_many."""
        return self._background.run(
            self._client.put_many(items, ttl=ttl, receipts=receipts, timeout_s=timeout_s)
        )

    def transaction(
        self,
        compare: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
        *,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> TransactionResult:
        """See AsyncClient.transaction."""
        return self._background.run(
            self._client.transaction(
                compare, then, otherwise, fence=fence, receipts=receipts, timeout_s=timeout_s
            )
        )

    def lock(
        self, name: bytes | str, *, ttl: Ttl = LOCK_TTL_S, timeout_s: float | None = None
    ) -> SyncLock:
        """See AsyncClient.lock; `with kv.lock("nightly") as lock: …`."""
        return SyncLock(self._client.lock(name, ttl=ttl, timeout_s=timeout_s), self._background)
