"""The client for programs without asyncio: the same words, and any number of threads."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import NoReturn, Self

from cluster.partition.map import ClusterMap
from kvstore.client.async_client import ENDPOINTS_DEFAULT, TIMEOUT_S_DEFAULT, AsyncClient
from kvstore.client.background import Background
from kvstore.client.leaders import LeaderPlacement
from kvstore.client.levels import Consistency, Level
from kvstore.client.range_delete import DeleteProgress
from kvstore.client.receipts import Answer, Receipt
from kvstore.client.scrub import GroupScrub, ScrubProgress
from kvstore.client.status import ClusterStatus, Location
from kvstore.client.sync_operations import SyncOperations
from kvstore.client.sync_scan import SyncScan
from kvstore.codec.record import Record


class Client(SyncOperations):
    """A kvstore cluster, for any number of threads.

    ```python
    with Client("127.0.0.1:7001,127.0.0.1:7002") as kv:
        kv.put("greeting", "hello")
        value = kv.get("greeting")  # b"hello"
    ```

    Says and raises what AsyncClient does. It runs one on an event loop in a thread of its own,
    which ends with `close`, with the client, or with the program.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = ENDPOINTS_DEFAULT,
        *,
        timeout_s: float = TIMEOUT_S_DEFAULT,
        random: Random | None = None,
    ) -> None:
        self._client = AsyncClient(endpoints, timeout_s=timeout_s, random=random)
        self._background = Background()
        # Holds no reference to this object; also called when the program ends.
        self._finalizer = weakref.finalize(self, _shut_down, self._background, self._client)

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncClient", "Client", 1)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client holds connections and cannot be pickled; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections and ends the thread; may be called twice.

        Calls that wait in other threads raise ClientClosed, or OutcomeUnknown where a write had
        been sent.
        """
        self._finalizer()

    def get(
        self,
        key: bytes | str,
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> bytes | None:
        """See AsyncClient.get."""
        return self._background.run(
            self._client.get(key, consistency=consistency, timeout_s=timeout_s)
        )

    def get_record(
        self,
        key: bytes | str,
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Record | None:
        """See AsyncClient.get_record."""
        return self._background.run(
            self._client.get_record(key, consistency=consistency, timeout_s=timeout_s)
        )

    def read(
        self,
        key: bytes | str,
        *,
        consistency: Level = Consistency.LINEARIZABLE,
        min_index: int | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """See AsyncClient.read."""
        return self._background.run(
            self._client.read(
                key, consistency=consistency, min_index=min_index, timeout_s=timeout_s
            )
        )

    def token(self) -> str:
        """See AsyncClient.token."""
        return self._client.token()

    def merge_token(self, token: str, *, timeout_s: float | None = None) -> None:
        """See AsyncClient.merge_token."""
        self._background.run(self._client.merge_token(token, timeout_s=timeout_s))

    def scan(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = Consistency.LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> SyncScan[tuple[bytes, bytes]]:
        """See AsyncClient.scan."""
        entries = self._client.scan(
            prefix=prefix,
            start=start,
            end=end,
            limit=limit,
            reverse=reverse,
            consistent=consistent,
            consistency=consistency,
            cursor=cursor,
            receipts=receipts,
            timeout_s=timeout_s,
        )
        return SyncScan(entries, self._background.iterate)

    def scan_keys(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = Consistency.LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> SyncScan[bytes]:
        """See AsyncClient.scan_keys."""
        keys = self._client.scan_keys(
            prefix=prefix,
            start=start,
            end=end,
            limit=limit,
            reverse=reverse,
            consistent=consistent,
            consistency=consistency,
            cursor=cursor,
            receipts=receipts,
            timeout_s=timeout_s,
        )
        return SyncScan(keys, self._background.iterate)

    def scan_records(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = Consistency.LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> SyncScan[tuple[bytes, Record]]:
        """See AsyncClient.scan_records."""
        records = self._client.scan_records(
            prefix=prefix,
            start=start,
            end=end,
            limit=limit,
            reverse=reverse,
            consistent=consistent,
            consistency=consistency,
            cursor=cursor,
            receipts=receipts,
            timeout_s=timeout_s,
        )
        return SyncScan(records, self._background.iterate)

    def unpin(self, cursor: str, *, timeout_s: float | None = None) -> None:
        """See AsyncClient.unpin."""
        self._background.run(self._client.unpin(cursor, timeout_s=timeout_s))

    def count(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """See AsyncClient.count."""
        return self._background.run(
            self._client.count(
                prefix=prefix, start=start, end=end, receipts=receipts, timeout_s=timeout_s
            )
        )

    def delete_range(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        timeout_s: float | None = None,
        progress: DeleteProgress = lambda _deleted: None,
    ) -> int:
        """See AsyncClient.delete_range; `progress` is called in another thread."""
        return self._background.run(
            self._client.delete_range(
                prefix=prefix, start=start, end=end, timeout_s=timeout_s, progress=progress
            )
        )

    def locate(self, key: bytes | str, *, timeout_s: float | None = None) -> Location:
        """See AsyncClient.locate."""
        return self._background.run(self._client.locate(key, timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> ClusterStatus:
        """See AsyncClient.status."""
        return self._background.run(self._client.status(timeout_s=timeout_s))

    def scrub(
        self,
        partitions: Sequence[int] | None = None,
        *,
        timeout_s: float | None = None,
        progress: ScrubProgress = lambda _done, _of: None,
    ) -> tuple[GroupScrub, ...]:
        """See AsyncClient.scrub; `progress` is called in another thread."""
        return self._background.run(
            self._client.scrub(partitions, timeout_s=timeout_s, progress=progress)
        )

    def gather_leaders(self, node_id: str, *, timeout_s: float | None = None) -> LeaderPlacement:
        """See AsyncClient.gather_leaders."""
        return self._background.run(self._client.gather_leaders(node_id, timeout_s=timeout_s))

    def spread_leaders(self, *, timeout_s: float | None = None) -> LeaderPlacement:
        """See AsyncClient.spread_leaders."""
        return self._background.run(self._client.spread_leaders(timeout_s=timeout_s))

    def cluster_map(self, *, timeout_s: float | None = None) -> ClusterMap:
        """See AsyncClient.cluster_map."""
        return self._background.run(self._client.cluster_map(timeout_s=timeout_s))


def _shut_down(background: Background, client: AsyncClient) -> None:
    background.close(client.aclose())
