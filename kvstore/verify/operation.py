"""One thing that a client asked for, and what it was told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique


@unique
class Kind(Enum):
    """What was asked for; the values stand in history files."""

    GET = "get"
    PUT = "put"
    DELETE = "delete"
    CAS = "cas"
    """Writes `input` if the key holds `expected`."""
    INCREMENT = "increment"
    """Adds `input`, a decimal number, to a counter."""
    ADD = "add"
    """Adds the element `input` to a set."""
    REMOVE = "remove"
    """Removes the element `input` from a set."""
    MEMBERS = "members"
    """Reads a whole set."""
    TRANSFER = "transfer"
    """Moves an amount between two accounts of a bank."""
    BALANCES = "balances"
    """Reads all accounts of a bank, at one moment."""
    APPEND = "append"
    """Appends the element `input` to a list; a `get` of its key reads the whole list."""
    SCAN = "scan"
    """Reads the keys that begin with `key`, at one moment each."""


SEPARATOR = b";"
"""Stands between the elements of a list; one after the last says nothing."""


REGISTER_KINDS = frozenset({Kind.GET, Kind.PUT, Kind.DELETE, Kind.CAS})
READS_OF_MANY = frozenset({Kind.MEMBERS, Kind.BALANCES, Kind.SCAN})
READS = READS_OF_MANY | {Kind.GET}
LINEARIZABLE = "linearizable"


@unique
class Ending(Enum):
    """What the client knows of the end; the values stand in history files as `outcome`."""

    OK = "ok"
    FAIL = "fail"
    """It certainly had no effect, and will have none."""
    UNKNOWN = "unknown"
    """It may have taken effect, may yet do so, or never."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where in its partition's history an operation stands."""

    revision: int
    """Of a write: the one it was given. Of a read: the partition's last when it was served."""
    term: int | None = None
    level: str | None = None
    """Of a read: the consistency asked for; None: linearizable."""


@dataclass(slots=True)
class Operation:
    """See the module. Raises ValueError, naming the field, where the fields do not fit together.

    Times are in nanoseconds of one monotonic clock that all clients of a history share.
    """

    client: int
    """Whose it is; a client that has several operations under way at once is no session."""
    op: Kind
    key: bytes
    invoked_ns: int
    outcome: Ending
    returned_ns: int | None = None
    """None exactly when the outcome is unknown: it may take effect at any later time."""
    input: bytes | None = None
    """The value written, None where nothing is; a `cas` that writes None deletes."""
    expected: bytes | None = None
    """Of a `cas`: the value it needs; None: no such key."""
    output: bytes | None = None
    """Of a `get`: the value read; None: no such key."""
    outputs: tuple[bytes, ...] | None = None
    """Of a read of many values: what it read. `output` too, in a file."""
    applied: bool | None = None
    """Of a `cas`: whether it wrote. Of a `delete`: whether there was such a key, if that is known.
    Otherwise None."""
    node: str | None = None
    partition: int | None = None
    receipt: Receipt | None = None

    def __post_init__(self) -> None:
        problem = _misfit(self)
        if problem is not None:
            raise ValueError(problem)

    @property
    def is_ok(self) -> bool:
        """Whether it took effect, by the answer."""
        return self.outcome is Ending.OK

    @property
    def level(self) -> str:
        """The consistency that was asked for."""
        return (self.receipt and self.receipt.level) or LINEARIZABLE

    @property
    def is_linearizable(self) -> bool:
        """Whether it was promised to be."""
        return self.level == LINEARIZABLE


_NEEDS_INPUT = frozenset({Kind.PUT, Kind.INCREMENT, Kind.ADD, Kind.REMOVE, Kind.APPEND})
_MAY_HAVE_INPUT = _NEEDS_INPUT | {Kind.CAS, Kind.TRANSFER}
_MAY_BE_CONDITIONAL = frozenset({Kind.CAS, Kind.DELETE})


def _misfit(operation: Operation) -> str | None:
    """Which fields contradict each other, if any do."""
    op, returned_ns = operation.op, operation.returned_ns
    ok = operation.outcome is Ending.OK
    allowed = {
        "invoked_ns": operation.invoked_ns >= 0,
        "returned_ns": (returned_ns is None) == (operation.outcome is Ending.UNKNOWN)
        and (returned_ns is None or returned_ns >= operation.invoked_ns),
        "input": _fits_input(op, operation.input),
        "expected": operation.expected is None or op is Kind.CAS,
        "output": operation.output is None or (ok and op is Kind.GET),
        "outputs": (operation.outputs is not None) == (ok and op in READS_OF_MANY),
        "applied": (ok and op in _MAY_BE_CONDITIONAL)
        if operation.applied is not None
        else not (ok and op is Kind.CAS),
    }
    for name, fits in allowed.items():
        if not fits:
            return (
                f"{name} is {getattr(operation, name)!r}, which does not fit op {op.value} with"
                f" outcome {operation.outcome.value}, invoked_ns {operation.invoked_ns} and"
                f" returned_ns {returned_ns}"
            )
    return None


def _fits_input(op: Kind, value: bytes | None) -> bool:
    if value is None:
        return op not in _NEEDS_INPUT
    is_element = value != b"" and SEPARATOR not in value
    return op in _MAY_HAVE_INPUT and (op is not Kind.APPEND or is_element)
