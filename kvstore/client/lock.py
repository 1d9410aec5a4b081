"""Locks: a key that exists while somebody holds it.

The key holds the owner's random value and has a lifetime that a task renews at a third of it. Who
wants the lock puts the key if it is absent; the revision of that put is the holder's *token*, which
is larger for each later holder. Time alone makes no lock safe: a holder that was paused learns too
late that its time was over. So what it writes carries the token (`fence`), and a partition that has
seen a later one refuses the write.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop, Task
from random import Random
from types import TracebackType
from typing import Final, Self

from kvstore.client.arguments import TIMEOUT_S_MAX, as_bytes
from kvstore.client.changes import Ttl, checked_ttl_ms
from kvstore.client.key_operations import KeyOperations
from kvstore.codec.change import Fence
from kvstore.errors import (
    ClientClosed,
    ConditionFailed,
    InvalidArgument,
    KVStoreError,
    LockLost,
    LockTimeout,
    OutcomeUnknown,
)

_OWNER_BYTES: Final = 16
_TTL_MS_MIN: Final = 100
"""It is renewed at a third of this, which takes some calls' time."""
_WAIT_S_MIN: Final = 0.02
_WAIT_S_MAX: Final = 0.5
_RELEASE_S_MAX: Final = 1.0
"""How long a release is tried: the lock ends by itself soon after."""
_CALL_S_MIN: Final = 0.001


class Lock:
    """A lock by name; made by `AsyncClient.lock`, for one holder at a time.

    ```python
    async with kv.lock("{jobs}nightly", ttl=10) as lock:
        for job in jobs:
            lock.check()
            await kv.put(f"{{jobs}}{job}", "done", fence=lock.fence)
    ```

    Where the lock cannot be kept alive `is_lost` becomes true and `check` raises: by the holder's
    own clock, so before anybody else holds it if all clocks go at one pace. A write with `fence` is
    refused once a later holder has written to the same partition with its own: that holds whatever
    clocks do, and however long a holder sleeps.
    Leaving the block releases the lock, also when the task is cancelled; where the cluster cannot
    be reached then, the lock ends with its `ttl`.
    """

    __slots__ = (
        "_client",
        "_keeper",
        "_loop",
        "_lost",
        "_may_be_held",
        "_owner",
        "_random",
        "_timeout_s",
        "_token",
        "_ttl_s",
        "_valid_until_s",
        "name",
    )

    def __init__(
        self, client: KeyOperations, name: bytes | str, ttl: Ttl, timeout_s: float, random: Random
    ) -> None:
        self.name = as_bytes("name", name)
        """The key."""
        ttl_ms = checked_ttl_ms(ttl)
        if ttl_ms is None:
            raise InvalidArgument("ttl is None; a lock needs one, to end when its holder is gone")
        if ttl_ms < _TTL_MS_MIN:
            raise InvalidArgument(f"ttl is {ttl}; a lock needs {_TTL_MS_MIN} ms at least")
        self._client = client
        self._ttl_s = ttl_ms / 1000
        self._timeout_s = timeout_s
        self._random = random
        self._loop: AbstractEventLoop | None = None
        self._owner = b""
        self._token: int | None = None
        self._valid_until_s = 0.0
        self._lost: str | None = None
        self._may_be_held = False
        self._keeper: Task[None] | None = None

    def __repr__(self) -> str:
        state = "not held" if self._token is None else f"held with token {self._token}"
        return f"<Lock {self.name!r}, {'lost' if self.is_lost else state}>"

    @property
    def token(self) -> int:
        """Of this holder: larger than that of every earlier one. LockLost where it is not held."""
        if self._token is None:
            raise LockLost(f"lock {self.name!r} is not held")
        return self._token

    @property
    def fence(self) -> Fence:
        """What a write carries, so that it is refused once a later holder has written."""
        return Fence(self.name, self.token)

    @property
    def is_lost(self) -> bool:
        """Whether it was held, and others may hold it by now."""
        if self._token is None or self._loop is None:
            return False
        return self._lost is not None or self._loop.time() >= self._valid_until_s

    def check(self) -> None:
        """Raises LockLost unless the lock is held."""
        token = self.token
        if self.is_lost:
            why = self._lost or "it was not renewed in time"
            raise LockLost(f"lock {self.name!r}, token {token}, is held no more: {why}")

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.release()

    async def acquire(self) -> None:
        """Waits until the lock is held; raises LockTimeout where another has it for too long."""
        if self._token is not None or self._owner:
            raise RuntimeError(f"{self!r} is in use; make another Lock for another holder")
        loop = self._loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._timeout_s
        self._owner = self._random.randbytes(_OWNER_BYTES)
        self._lost, self._may_be_held = None, False
        try:
            await self._wait(loop, deadline_s)
        except BaseException:
            if self._may_be_held:
                await _finished(loop.create_task(self._let_go(self._owner)))
            self._owner = b""
            raise
        self._keeper = loop.create_task(self._keep(loop))

    async def _wait(self, loop: AbstractEventLoop, deadline_s: float) -> None:
        pause_s = _WAIT_S_MIN
        held_by_another = False
        while True:
            try:
                if await self._try(loop, deadline_s):
                    return
            except KVStoreError as problem:
                if held_by_another and loop.time() >= deadline_s:
                    raise self._timeout() from problem
                raise
            held_by_another = True
            remaining_s = deadline_s - loop.time()
            # Not all at the same moment: of those that wait, one will get it.
            await asyncio.sleep(min(remaining_s, pause_s * self._random.uniform(0.5, 1.0)))
            pause_s = min(2 * pause_s, _WAIT_S_MAX)
            if loop.time() >= deadline_s:
                raise self._timeout()

    def _timeout(self) -> LockTimeout:
        return LockTimeout(
            f"lock {self.name!r} was held by another for {self._timeout_s:g} s; not acquired"
        )

    async def _try(self, loop: AbstractEventLoop, deadline_s: float) -> bool:
        begun_s = loop.time()
        before, self._may_be_held = self._may_be_held, True
        try:
            token = await self._client.put(
                self.name,
                self._owner,
                ttl=self._ttl_s,
                if_absent=True,
                timeout_s=max(_CALL_S_MIN, deadline_s - begun_s),
            )
        except OutcomeUnknown:
            if loop.time() >= deadline_s:
                raise
            return await self._is_mine_already(loop, deadline_s)
        except ConditionFailed:
            self._may_be_held = before
            # An earlier try whose outcome was not known may have been the one that holds it.
            return before and await self._is_mine_already(loop, deadline_s)
        except KVStoreError:
            self._may_be_held = before
            raise
        self._token, self._valid_until_s = token, begun_s + self._ttl_s
        return True

    async def _is_mine_already(self, loop: AbstractEventLoop, deadline_s: float) -> bool:
        remaining_s = max(_CALL_S_MIN, deadline_s - loop.time())
        record = await self._client.get_record(self.name, timeout_s=remaining_s)
        if record is None or record.value != self._owner:
            return False
        begun_s = loop.time()
        if not await self._renewed(max(_CALL_S_MIN, deadline_s - begun_s)):
            return False
        self._token, self._valid_until_s = record.create_revision, begun_s + self._ttl_s
        return True

    async def _renewed(self, timeout_s: float) -> bool:
        try:
            return await self._client.touch(
                self.name, self._ttl_s, if_value=self._owner, timeout_s=timeout_s
            )
        except ConditionFailed:
            return False

    async def _keep(self, loop: AbstractEventLoop) -> None:
        """Renews the lock at a third of its lifetime, and more often when that fails."""
        third_s = min(self._ttl_s / 3, TIMEOUT_S_MAX)
        pause_s = third_s
        while True:
            await asyncio.sleep(pause_s)
            begun_s = loop.time()
            try:
                renewed = await self._renewed(max(_CALL_S_MIN, third_s))
            except KVStoreError as problem:
                if loop.time() >= self._valid_until_s or isinstance(problem, ClientClosed):
                    self._lost = f"it could not be renewed in time: {problem}"
                    return
                pause_s = third_s / 10
                continue
            if not renewed:
                self._lost = "its key has expired, or was changed by others"
                return
            self._valid_until_s = begun_s + self._ttl_s
            pause_s = third_s

    async def release(self) -> None:
        """Lets others have the lock; does nothing where it is not held. Raises no KVStoreError."""
        owner, self._owner = self._owner, b""
        if self._token is None:
            return
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
        self._token = None
        await _finished(asyncio.get_running_loop().create_task(self._let_go(owner)))

    async def _let_go(self, owner: bytes) -> None:
        with contextlib.suppress(KVStoreError):
            await self._client.delete(self.name, if_value=owner, timeout_s=_RELEASE_S_MAX)


async def _finished(task: Task[None]) -> None:
    """Waits for `task` even when cancelled, and then is cancelled; a second time leaves it."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait((task,))
        raise
