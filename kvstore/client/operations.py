"""Operations as columns: those of one class on one partition that travel together.

A section is a set of parallel lists rather than a list of objects: adding an operation is a few
appends, and a whole section is encoded, answered and handed on without an object per operation.
The caller awaits its future and nothing else; a caller that is cancelled cancels that future, so a
future that is done is an operation that nobody waits for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Callable, Iterable
from enum import IntEnum, unique
from itertools import compress
from operator import not_
from typing import Any, ClassVar, Final, Self, TypeVar

from kvstore.client.levels import Consistency
from kvstore.client.receipts import Place, hand_out
from kvstore.codec.byteslist import CodecError, decode_optional_list, encode_list
from kvstore.codec.change import needs_clock
from kvstore.codec.command import SIMPLE_KINDS, OperationKind, Stamp, encode_command
from kvstore.codec.results import Refusal, decode_results
from kvstore.codec.scan import decode_page
from kvstore.codec.transaction import MAY_BE_BUSY, decode_transaction, is_busy
from kvstore.generated.kvstore.v1 import kv_pb2

T = TypeVar("T")

OPERATION_COST_BYTES: Final = 128
"""What an operation is counted for beside its key and argument. More than it takes on the wire, so
that bounds in bytes bound the wire too, and enough that they bound the number of operations."""

PAGE_BYTES_MAX: Final = 1 << 20
"""What a scan asks for in one page of one partition, at most."""

_done: Final[Callable[[Future[Any]], bool]] = Future.done


@unique
class OperationClass(IntEnum):
    """Operations that may share a call; the low byte is the section kind on the wire."""

    WRITE = kv_pb2.SECTION_KIND_WRITE
    READ = kv_pb2.SECTION_KIND_READ
    SCAN = kv_pb2.SECTION_KIND_SCAN
    SESSION_READ = kv_pb2.SECTION_KIND_READ_SESSION
    STALE_READ = kv_pb2.SECTION_KIND_READ_STALE
    RECEIPT_READ = kv_pb2.SECTION_KIND_READ | 1 << 8
    """Reads whose callers want a receipt."""
    SESSION_SCAN = kv_pb2.SECTION_KIND_SCAN_SESSION
    STALE_SCAN = kv_pb2.SECTION_KIND_SCAN_STALE

    @property
    def wire(self) -> int:
        """The section kind."""
        return self & 0xFF


SCANS: Final = frozenset(
    {OperationClass.SCAN, OperationClass.SESSION_SCAN, OperationClass.STALE_SCAN}
)
"""Classes of which a section is one page."""


class Section(ABC):
    """Operations in the order in which they were asked for; all lists are parallel.

    Each future is resolved with what its class says.
    """

    __slots__ = ("deadlines", "futures", "keys", "place", "wants_place")

    kind: ClassVar[OperationClass]
    level: ClassVar[Consistency] = Consistency.LINEARIZABLE

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.futures: list[Future[Any]] = []
        self.deadlines: list[float] = []
        """On the event loop's clock, in seconds."""
        self.wants_place = False
        """A caller may want a receipt."""
        self.place: Place | None = None
        """Of the answer, where that is wanted, before it is given to the callers."""

    def __len__(self) -> int:
        return len(self.futures)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"

    @abstractmethod
    def body(self) -> bytes:
        """The section on the wire."""

    @abstractmethod
    def answer(self, result: bytes) -> Refusal | None:
        """Gives each caller its part of `result`; raises CodecError, and then gives nothing.

        Nor does it where the section was refused as a whole, which it hands on.
        """

    def take_rest(self) -> Section | None:
        """Operations that the answer left out, as a section that was not sent yet; None: it was
        for all. They are to be asked for again."""
        return None

    @property
    def is_abandoned(self) -> bool:
        """Nobody waits for any of it."""
        return all(map(_done, self.futures))

    def columns(self) -> tuple[list[Any], ...]:
        """The parallel lists."""
        return (self.keys, self.futures, self.deadlines)

    def cost_bytes(self) -> int:
        """What the section counts for in bounds; see OPERATION_COST_BYTES."""
        return sum(map(len, self.keys)) + OPERATION_COST_BYTES * len(self.futures)

    def drop_done(self) -> int:
        """Drops operations that nobody waits for; says what they counted for."""
        if not any(map(_done, self.futures)):
            return 0
        before = self.cost_bytes()
        wanted = list(map(not_, map(_done, self.futures)))
        for column in self.columns():
            column[:] = compress(column, wanted)
        return before - self.cost_bytes()

    def put_before(self, newer: Section) -> None:
        """Appends the operations of `newer`, which is left as it is."""
        for mine, theirs in zip(self.columns(), newer.columns(), strict=True):
            mine.extend(theirs)
        self.wants_place |= newer.wants_place

    def split(self, cost_bytes_max: int, count_max: int) -> Self:
        """Cuts off as many first operations as keep the bounds, at least one, and gives them."""
        return self._split_off(self._count_within(cost_bytes_max, count_max))

    def _split_off(self, count: int) -> Self:
        first = type(self)()
        first.wants_place = self.wants_place
        for mine, theirs in zip(self.columns(), first.columns(), strict=True):
            theirs.extend(mine[:count])
            del mine[:count]
        return first

    def _count_within(self, cost_bytes_max: int, count_max: int) -> int:
        cost = 0
        for position in range(min(len(self), count_max)):
            cost += self._cost_of(position)
            if cost > cost_bytes_max:
                return max(1, position)
        return max(1, min(len(self), count_max))

    def _cost_of(self, position: int) -> int:
        return len(self.keys[position]) + OPERATION_COST_BYTES

    def hand_out_receipts(self, age_s: float | None = None) -> None:
        """To those who want one, before the answer."""
        if self.place is not None:
            hand_out(self.futures, self.place.receipt(self.level, age_s))

    def fail(self, error: Callable[[], Exception]) -> None:
        """Raises a new `error()` in every caller that still waits."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error())

    def expire(self, now_s: float, error: Callable[[], Exception]) -> float:
        """Raises `error()` in callers whose deadline is past; gives the earliest that is left."""
        earliest = math.inf
        for future, deadline in zip(self.futures, self.deadlines, strict=True):
            if future.done():
                continue
            if deadline <= now_s:
                future.set_exception(error())
            elif deadline < earliest:
                earliest = deadline
        return earliest


class WriteSection(Section):
    """Becomes one log entry; each caller gets its write's revision, 0 for a delete of nothing.

    Callers of changes and transactions get a pair: the revision, and the answer as it is encoded.

    It is *sealed* when it is sent for the first time (`session`), and from then on stays as it is,
    whoever of its callers is done: whenever it is sent, it is the same command, byte for byte.
    """

    __slots__ = (
        "_body",
        "_rest",
        "arguments",
        "codes",
        "doubt",
        "is_settled",
        "order",
        "stamp",
        "tries",
        "under_way",
    )

    kind: ClassVar[OperationClass] = OperationClass.WRITE

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[int] = []
        """Of OperationKind."""
        self.arguments: list[bytes] = []
        self.stamp: Stamp | None = None
        """None: not sealed."""
        self._body: bytes | None = None
        self._rest: WriteSection | None = None
        self.order = 0
        """Among those of its queue, by the first time that each was sent."""
        self.tries = 0
        """How often it was sent."""
        self.under_way = 0
        """How many of these have not ended yet."""
        self.doubt: str | None = None
        """Why it may have been applied; None: it was not, or all that was sent is under way."""
        self.is_settled = False
        """Its callers were told, or are gone: it is not sent again."""

    def seal(self, stamp: Stamp) -> None:
        """It is sent under `stamp` from now on."""
        self.stamp = stamp

    def unseal(self) -> None:
        """It was not applied under its stamp and never will be: it may change, and get another."""
        self.stamp = None
        self._body = None

    def body(self) -> bytes:
        """A command."""
        if self._body is not None:
            return self._body
        kinds = bytes(self.codes)
        # Most commands have simple operations only, and those need not be gone through.
        timed = bool(kinds.translate(None, SIMPLE_KINDS)) and any(
            map(_is_timed, self.codes, self.arguments)
        )
        body = encode_command(kinds, self.keys, self.arguments, self.stamp, timed=timed)
        if self.stamp is not None:
            self._body = body
        return body

    def answer(self, result: bytes) -> Refusal | None:
        """`result` holds write results, or says why there are none.

        Operations that were refused because those before them had used up what one command may
        rewrite or give back did nothing, and become the rest. The first one is never among them:
        each command gets further.
        """
        results = decode_results(result)
        if isinstance(results, Refusal) or self.is_settled:
            return results if isinstance(results, Refusal) else None
        extras = results.extras
        if extras is None:
            self.hand_out_receipts()
            settle(self.futures, results.revisions)
            return None
        if not len(results.revisions) == len(extras) == len(self.futures):
            raise CodecError(f"{len(extras)} results answer {len(self.futures)} operations")
        answers = [
            revision if extra is None else (revision, extra)
            for revision, extra in zip(results.revisions, extras, strict=True)
        ]
        crowded_out = [
            position > 0
            and extra is not None
            and extra[:1] in MAY_BE_BUSY
            and is_busy(self.codes[position], extra)
            for position, extra in enumerate(extras)
        ]
        answered = self
        if any(crowded_out):
            self._rest = self._picked(crowded_out)
            wanted = list(map(not_, crowded_out))
            answered = self._picked(wanted)
            answers = list(compress(answers, wanted))
        answered.hand_out_receipts()
        settle(answered.futures, answers)
        return None

    def _picked(self, wanted: list[bool]) -> WriteSection:
        """Some of it, as if it had not been sent; it stays as it is itself."""
        some = WriteSection()
        some.wants_place, some.place = self.wants_place, self.place
        for mine, theirs in zip(self.columns(), some.columns(), strict=True):
            theirs.extend(compress(mine, wanted))
        return some

    def take_rest(self) -> Section | None:
        """See Section."""
        rest, self._rest = self._rest, None
        return rest

    def columns(self) -> tuple[list[Any], ...]:
        """The parallel lists."""
        return (self.keys, self.futures, self.deadlines, self.codes, self.arguments)

    def cost_bytes(self) -> int:
        """Keys and values, and a constant for each operation."""
        return super().cost_bytes() + sum(map(len, self.arguments))

    def _cost_of(self, position: int) -> int:
        return super()._cost_of(position) + len(self.arguments[position])


class ReadSection(Section):
    """Each caller gets the stored record of its key, or None."""

    __slots__ = ("_has_rest",)

    kind: ClassVar[OperationClass] = OperationClass.READ

    def __init__(self) -> None:
        super().__init__()
        self._has_rest = False

    def body(self) -> bytes:
        """A list of keys."""
        return encode_list(self.keys)

    def answer(self, result: bytes) -> None:
        """`result` holds a list of records, of the first keys where there is room for no more."""
        records, end = decode_optional_list(result)
        if end != len(result):
            raise CodecError("a list of records is followed by more bytes")
        settle(self.answered_by(len(records)), records)

    def answered_by(self, count: int) -> list[Future[Any]]:
        """Those whose answers `count` records are; the others stay in the section."""
        self._has_rest = 0 < count < len(self.futures)
        return self._split_off(count).futures if self._has_rest else self.futures

    def take_rest(self) -> Section | None:
        """See Section."""
        return self if self._has_rest else None


class ScanSection(Section):
    """One scan of one partition. `keys` holds its question, encoded."""

    __slots__ = ()

    kind: ClassVar[OperationClass] = OperationClass.SCAN

    def body(self) -> bytes:
        """A scan."""
        (question,) = self.keys
        return question

    def answer(self, result: bytes) -> None:
        """`result` holds a page."""
        page = decode_page(result)
        self.hand_out_receipts()
        settle(self.futures, [page])


def _is_timed(code: int, argument: bytes) -> bool:
    if code == OperationKind.CHANGE:
        return needs_clock(argument)
    return code == OperationKind.TRANSACTION and decode_transaction(argument).is_timed


def settle(futures: list[Future[T]], results: Iterable[T]) -> None:
    """Gives each caller that still waits its result; raises CodecError where they do not match."""
    given = list(results)
    if len(given) != len(futures):
        raise CodecError(f"{len(given)} results answer {len(futures)} operations")
    for place, future in enumerate(futures):
        if not future.done():
            future.set_result(given[place])
