"""However a log is cut into rounds, and whatever interrupts them: the same bytes come of it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cluster.ids import GroupId
from kvstore.codec.change import (
    Action,
    Change,
    Fence,
    append_operand,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind, Stamp, encode_command, with_clock
from kvstore.codec.transaction import (
    Comparison,
    Operations,
    Relation,
    Subject,
    Transaction,
    encode_transaction,
)
from kvstore.errors import ResourceExhausted
from kvstore.storage.engine import WriteBatch
from kvstore.storage.heads import HeadCache
from kvstore.storage.keys import replica_end, replica_prefix
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from tests.storage.commands import apply_commands

GROUP = GroupId(1)
SESSIONS_MAX = 2
Step = tuple[OperationKind, bytes, bytes]

keys = st.sampled_from([b"a", b"b", b"c"])
values = st.sampled_from([b"", b"1", b"-9", b"x"])
lifetimes = st.none() | st.integers(1, 30)
fences = st.none() | st.builds(Fence, st.just(b"lock"), st.integers(1, 4))


@st.composite
def changes(draw: st.DrawFn) -> bytes:
    action = draw(st.sampled_from(Action))
    operand = {
        Action.PUT: draw(values),
        Action.INCREMENT: increment_operand(draw(st.integers(-3, 3)), 0),
        Action.APPEND: append_operand(6, b"12"),
    }.get(action, b"")
    return encode_change(
        Change(
            action,
            operand,
            draw(st.sampled_from([False, False, False, True])),
            draw(st.none() | st.integers(0, 5)),
            draw(st.none() | values),
            draw(lifetimes) if action is not Action.DELETE else None,
            draw(st.booleans()),
            draw(fences),
        )
    )


puts = st.tuples(st.just(OperationKind.PUT), keys, values)
deletes = st.tuples(st.just(OperationKind.DELETE), keys, st.just(b""))
changed = st.tuples(st.just(OperationKind.CHANGE), keys, changes())
gets = st.tuples(st.just(OperationKind.GET), keys, st.just(b""))
expired = st.tuples(
    st.just(OperationKind.EXPIRE), keys, st.integers(0, 60).map(lambda n: n.to_bytes(8, "little"))
)


def columns(steps: list[Step]) -> tuple[bytes, list[bytes], list[bytes]]:
    return bytes(s[0] for s in steps), [s[1] for s in steps], [s[2] for s in steps]


@st.composite
def transactions(draw: st.DrawFn) -> Step:
    steps = st.lists(st.one_of(puts, deletes, changed, gets), max_size=3)
    comparison = Comparison(
        draw(keys), Subject.VALUE, draw(st.sampled_from(Relation)), draw(values)
    )
    made = Transaction(
        [comparison], Operations(*columns(draw(steps))), Operations(*columns(draw(steps)))
    )
    return OperationKind.TRANSACTION, comparison.key, encode_transaction(made)


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    simple = [puts, deletes]
    others = [*simple, changed, transactions(), expired]
    kinds = draw(st.sampled_from([simple, [*simple, expired], others]))
    steps = draw(st.lists(st.one_of(*kinds), min_size=1, max_size=4))
    sequence = draw(st.integers(1, 6))
    stamp = Stamp(
        bytes(15) + bytes([draw(st.integers(1, 4))]),
        sequence,
        draw(st.integers(1, sequence)),
        draw(st.integers(0, 12)),
    )
    data = encode_command(*columns(steps), draw(st.none() | st.just(stamp)), timed=True)
    return with_clock(data, draw(st.integers(0, 40)))


class Refusing(MemoryEngine):
    """An engine that has no room for a batch when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False

    def write(self, batch: WriteBatch) -> None:
        if self.refuses:
            raise ResourceExhausted("no room")
        super().write(batch)


def everything(engine: MemoryEngine) -> dict[bytes, bytes]:
    start, end = replica_prefix(GROUP, 0), replica_end(GROUP, 0)
    page = engine.scan(start, end, limit=10**6, bytes_max=1 << 30)
    return dict(zip(page.keys, page.values, strict=True))


def one_by_one(engine: MemoryEngine, log: list[bytes]) -> list[bytes]:
    state = PartitionState(engine, GROUP, SESSIONS_MAX)
    return [
        apply_commands(engine, [(state, [(index, data)])])[0][0]
        for index, data in enumerate(log, 1)
    ]


def interrupted(engine: Refusing, log: list[bytes], random: Random) -> list[bytes]:
    state, heads = PartitionState(engine, GROUP, SESSIONS_MAX), HeadCache()
    results: list[bytes] = []
    while len(results) < len(log):
        taken = list(enumerate(log, 1))[len(results) :][: random.randint(1, 5)]
        if random.random() < 0.2:
            engine.refuses = True
            with pytest.raises(ResourceExhausted):
                apply_commands(engine, [(state, taken)], heads)
            engine.refuses = False
        if random.random() < 0.2:
            state, heads = PartitionState(engine, GROUP, SESSIONS_MAX), HeadCache()
        results += apply_commands(engine, [(state, taken)], heads)[0]
    return results


@settings(
    max_examples=150,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(commands(), max_size=25), st.randoms(use_true_random=False))
def test_rounds_restarts_and_refusals_make_no_difference(log: list[bytes], random: Random) -> None:
    plain, engine = MemoryEngine(), Refusing()
    assert one_by_one(plain, log) == interrupted(engine, log, random)
    assert everything(engine) == everything(plain)
