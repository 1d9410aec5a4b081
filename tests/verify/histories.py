"""Synthetic histories of registers: good ones, and violations planted in them.

A good history comes from a register that is atomic by construction: each operation takes effect at
one moment between its invocation and its return. What is planted carries its own proof, so that no
judge is needed to know that it is bad: some operations follow each other without overlap, and what
the last one read cannot be what the others left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation

REGISTER = (Kind.GET, Kind.GET, Kind.PUT, Kind.PUT, Kind.DELETE, Kind.CAS)


@dataclass(frozen=True)
class Shape:
    """What a history is like."""

    operations: int = 2000
    keys: int = 1
    clients: int = 20
    kinds: tuple[Kind, ...] = REGISTER
    unique_values: bool = True
    unknown: float = 0.03
    """The share of operations whose client never learns what became of them."""
    failed: float = 0.03
    duration_ns_max: int = 1000
    pause_ns_max: int = 200


def good_history(random: Random, shape: Shape) -> History:
    """From atomic registers with random delays; by invocation."""
    registers: dict[bytes, bytes | None] = {}
    history = History()
    for effect_ns, client, invoked_ns, returned_ns in _schedule(random, shape):
        key = b"k%d" % random.randrange(shape.keys)
        operation = _ask(random, shape, registers, key, effect_ns)
        operation = replace(operation, client=client, invoked_ns=invoked_ns)
        history.add(_take_effect(random, shape, registers, operation, returned_ns))
    history.operations.sort(key=lambda each: each.invoked_ns)
    return history


def _schedule(random: Random, shape: Shape) -> list[tuple[int, int, int, int]]:
    """(effect, client, invoked, returned) of each operation, in the order of their effects."""
    free_at = [random.randrange(shape.duration_ns_max) for _ in range(shape.clients)]
    times = []
    for _ in range(shape.operations):
        client = min(range(shape.clients), key=free_at.__getitem__)
        invoked_ns = free_at[client]
        duration_ns = random.randrange(1, shape.duration_ns_max)
        effect_ns = invoked_ns + random.randrange(duration_ns + 1)
        times.append((effect_ns, client, invoked_ns, invoked_ns + duration_ns))
        free_at[client] += duration_ns + random.randrange(1, shape.pause_ns_max)
    return sorted(times)


def _ask(
    random: Random,
    shape: Shape,
    registers: dict[bytes, bytes | None],
    key: bytes,
    effect_ns: int,
) -> Operation:
    """A question whose outcome is open."""
    kind = random.choice(shape.kinds)
    value = b"%d/%d" % (effect_ns, random.getrandbits(40))
    if not shape.unique_values:
        value = b"%d" % random.randrange(4)
    expected: bytes | None = None
    if kind is Kind.CAS:
        wrong = value if shape.unique_values else b"%d" % random.randrange(4)
        expected = registers.get(key) if random.random() < 0.6 else wrong
    written = value if kind in (Kind.PUT, Kind.CAS) else None
    return Operation(0, kind, key, 0, Ending.UNKNOWN, input=written, expected=expected)


def _take_effect(
    random: Random,
    shape: Shape,
    registers: dict[bytes, bytes | None],
    asked: Operation,
    returned_ns: int,
) -> Operation:
    fate = random.random()
    if fate < shape.failed:
        return replace(asked, outcome=Ending.FAIL, returned_ns=returned_ns)
    is_unknown = fate < shape.failed + shape.unknown
    before = registers.get(asked.key)
    applies = asked.op in (Kind.PUT, Kind.DELETE) or (
        asked.op is Kind.CAS and asked.expected == before
    )
    if applies and not (is_unknown and random.random() < 0.5):
        registers[asked.key] = asked.input
    if is_unknown:
        return asked
    applied: bool | None = None
    if asked.op is Kind.CAS:
        applied = applies
    elif asked.op is Kind.DELETE:
        applied = random.choice([None, before is not None])
    return replace(
        asked,
        outcome=Ending.OK,
        returned_ns=returned_ns,
        output=before if asked.op is Kind.GET else None,
        applied=applied,
    )


# What is planted

Plant = Callable[[Random, History], bool]
"""Changes answers in a history with unique values so that it is bad; False where it finds no place
for that."""


def _of_some_key(random: Random, history: History) -> list[Operation]:
    return random.choice(list(history.by_key().values()))


def _is_put(operation: Operation) -> bool:
    return operation.is_ok and operation.op is Kind.PUT


def _is_get(operation: Operation) -> bool:
    return operation.is_ok and operation.op is Kind.GET


def _after(operations: list[Operation], first: Operation) -> Iterator[Operation]:
    """Those that began after `first` had ended."""
    assert first.returned_ns is not None
    end_ns = first.returned_ns
    return (each for each in operations if each.invoked_ns > end_ns)


def _first(operations: Iterator[Operation], is_wanted: Callable[[Operation], bool]) -> Operation:
    """Raises StopIteration where there is none."""
    return next(each for each in operations if is_wanted(each))


def plant_stale_read(random: Random, history: History) -> bool:
    """put a; put b; get → a."""
    operations = _of_some_key(random, history)
    old = _random_put(random, operations)
    new = _first(_after(operations, old), _is_put)
    read = random.choice([each for each in _after(operations, new) if _is_get(each)])
    read.output = old.input
    return True


def plant_lost_write(random: Random, history: History) -> bool:
    """put a; put b; every get until another write begins → a."""
    operations = _of_some_key(random, history)
    old = _random_put(random, operations)
    lost = _first(_after(operations, old), _is_put)
    changed = False
    for each in _after(operations, lost):
        if _is_get(each):
            each.output = old.input
            changed = True
        elif changed:
            break
    return changed


def plant_duplicate(random: Random, history: History) -> bool:
    """put a; put b; get → b; get → a, as if a retry had applied the first again."""
    operations = _of_some_key(random, history)
    twice = _random_put(random, operations)
    between = _first(_after(operations, twice), _is_put)
    sees = _first(_after(operations, between), _is_get)
    sees.output = between.input
    _first(_after(operations, sees), _is_get).output = twice.input
    return True


def plant_resurrected_delete(random: Random, history: History) -> bool:
    """put a; delete; get → a."""
    operations = _of_some_key(random, history)
    put = _random_put(random, operations)
    delete = _first(_after(operations, put), lambda each: each.is_ok and each.op is Kind.DELETE)
    _first(_after(operations, delete), _is_get).output = put.input
    return True


def plant_split_brain(random: Random, history: History) -> bool:
    """get → a; get → b; get → a: two halves, each with a state of its own."""
    operations = _of_some_key(random, history)
    of_one_half = _random_put(random, operations)
    of_the_other = _first(_after(operations, of_one_half), _is_put)
    read = of_the_other
    for value in (of_one_half.input, of_the_other.input, of_one_half.input):
        read = _first(_after(operations, read), _is_get)
        read.output = value
    return True


def _random_put(random: Random, operations: list[Operation]) -> Operation:
    return random.choice([each for each in operations if _is_put(each)])


PLANTS: dict[str, Plant] = {
    "stale read": plant_stale_read,
    "lost write": plant_lost_write,
    "duplicate": plant_duplicate,
    "resurrected delete": plant_resurrected_delete,
    "split brain": plant_split_brain,
}


def bad_history(random: Random, shape: Shape, plant: Plant) -> History:
    """A good history with one violation planted in it; `shape` has unique values."""
    history = good_history(random, shape)
    for _ in range(100):
        try:
            if plant(random, history):
                return history
        except (StopIteration, IndexError):
            continue  # too near the end, or no such operations on that key
    raise AssertionError("no place for a violation")
