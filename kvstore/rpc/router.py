"""What the services ask of the client library that every node holds: operations, wherever led."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol, TypeVar

from kvstore.client.changes import DeleteResult, PutResult, Ttl
from kvstore.client.levels import Level
from kvstore.client.receipts import Answer, Receipt
from kvstore.client.transactions import Compare, Operation, TransactionResult
from kvstore.codec.change import Fence
from kvstore.codec.record import Record

T_co = TypeVar("T_co", covariant=True)


class Found(Protocol[T_co]):
    """The entries of a scan."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    @property
    def cursor(self) -> str:
        """Where it stands."""
        ...

    @property
    def is_consistent(self) -> bool:
        """Whether it is as of one moment."""
        ...

    @property
    def revisions(self) -> dict[int, int]:
        """Of a consistent one, as of which revision of each partition."""
        ...

    def pin(self) -> str:
        """Of a consistent one, `cursor`, and what it reads from is kept."""
        ...

    async def aclose(self) -> None:
        """Ends it."""
        ...


class Router(Protocol):
    """Operations that find their partition's leader, wherever it is. See AsyncClient."""

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        ttl: Ttl | None = None,
        if_absent: bool = False,
        if_revision: int | None = None,
        if_value: bytes | None = None,
        return_previous: bool,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int | PutResult:
        """The write's revision."""
        ...

    async def read(
        self,
        key: bytes,
        *,
        consistency: Level,
        min_index: int | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """The record, or None where there is no such key, and a receipt."""
        ...

    async def get_many_records(
        self,
        keys: Iterable[bytes],
        *,
        consistency: Level,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> dict[bytes, Record]:
        """Of those keys that exist."""
        ...

    async def delete(
        self,
        key: bytes,
        *,
        if_revision: int | None = None,
        if_value: bytes | None = None,
        return_previous: bool,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool | DeleteResult:
        """Whether there was such a key."""
        ...

    async def increment(
        self,
        key: bytes,
        by: int = 1,
        *,
        initial: int = 0,
        ttl: Ttl | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """The sum."""
        ...

    async def append(
        self,
        key: bytes,
        suffix: bytes,
        *,
        ttl: Ttl | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """The value's length now."""
        ...

    async def touch(
        self,
        key: bytes,
        ttl: Ttl | None,
        *,
        if_revision: int | None = None,
        if_value: bytes | None = None,
        fence: Fence | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> bool:
        """Whether there was such a key."""
        ...

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
        """What it came to."""
        ...

    def scan_records(
        self,
        *,
        prefix: bytes | None = None,
        start: bytes | None = None,
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> Found[tuple[bytes, Record]]:
        """Keys in order over all partitions, with their records."""
        ...

    def scan_keys(
        self,
        *,
        prefix: bytes | None = None,
        start: bytes | None = None,
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> Found[bytes]:
        """Keys in order over all partitions."""
        ...

    async def unpin(self, cursor: str, *, timeout_s: float | None = None) -> None:
        """Lets go of what a consistent scan reads from."""
        ...

    async def count(
        self,
        *,
        prefix: bytes | None = None,
        start: bytes | None = None,
        end: bytes | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """How many keys there are."""
        ...
