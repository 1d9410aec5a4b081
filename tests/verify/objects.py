"""Synthetic histories of counters, lists and sets: good ones, and violations planted in them.

Like those of registers: each operation takes effect at one moment between invocation and return.
What is planted is wrong by itself, whatever a judge says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from kvstore.verify.history import History
from kvstore.verify.operation import SEPARATOR, Ending, Kind, Operation


@dataclass(frozen=True)
class ObjectShape:
    """What a history is like."""

    operations: int = 2000
    keys: int = 5
    clients: int = 10
    unknown: float = 0.03
    failed: float = 0.03
    reads: float = 0.3


Times = tuple[int, int, int, int]
"""Effect, client, invoked, returned."""


def _schedule(random: Random, shape: ObjectShape) -> list[Times]:
    free_at = [random.randrange(1000) for _ in range(shape.clients)]
    times = []
    for _ in range(shape.operations):
        client = min(range(shape.clients), key=free_at.__getitem__)
        invoked_ns = free_at[client]
        duration_ns = random.randrange(1, 1000)
        effect_ns = invoked_ns + random.randrange(duration_ns + 1)
        times.append((effect_ns, client, invoked_ns, invoked_ns + duration_ns))
        free_at[client] += duration_ns + random.randrange(1, 200)
    return sorted(times)


def _ends(random: Random, shape: ObjectShape, returned_ns: int) -> tuple[Ending, int | None, bool]:
    """How a write ends, and whether it takes effect."""
    fate = random.random()
    if fate < shape.failed:
        return Ending.FAIL, returned_ns, False
    if fate < shape.failed + shape.unknown:
        return Ending.UNKNOWN, None, random.random() < 0.5
    return Ending.OK, returned_ns, True


def good_counters(random: Random, shape: ObjectShape) -> History:
    """Counters that go up."""
    held: dict[bytes, int] = {}
    history = History()
    for _effect_ns, client, invoked_ns, returned_ns in _schedule(random, shape):
        key = b"c%d" % random.randrange(shape.keys)
        if random.random() < shape.reads:
            output = b"%d" % held.get(key, 0)
            history.add(
                Operation(
                    *(client, Kind.GET, key, invoked_ns, Ending.OK, returned_ns), output=output
                )
            )
            continue
        ending, end_ns, happens = _ends(random, shape, returned_ns)
        amount = random.randrange(1, 9)
        if happens:
            held[key] = held.get(key, 0) + amount
        history.add(
            Operation(
                *(client, Kind.INCREMENT, key, invoked_ns, ending, end_ns), input=b"%d" % amount
            )
        )
    return history


def good_lists(random: Random, shape: ObjectShape) -> History:
    """Lists that grow."""
    held: dict[bytes, list[bytes]] = {}
    history = History()
    for number, (_effect_ns, client, invoked_ns, returned_ns) in enumerate(
        _schedule(random, shape)
    ):
        key = b"l%d" % random.randrange(shape.keys)
        if random.random() < shape.reads:
            output = SEPARATOR.join(held.get(key, [])) or None
            history.add(
                Operation(
                    *(client, Kind.GET, key, invoked_ns, Ending.OK, returned_ns), output=output
                )
            )
            continue
        ending, end_ns, happens = _ends(random, shape, returned_ns)
        element = b"%d" % number
        if happens:
            held.setdefault(key, []).append(element)
        history.add(
            Operation(*(client, Kind.APPEND, key, invoked_ns, ending, end_ns), input=element)
        )
    return history


def good_sets(random: Random, shape: ObjectShape) -> History:
    """Sets that elements come to and go from."""
    held: dict[bytes, set[bytes]] = {}
    history = History()
    for number, (_effect_ns, client, invoked_ns, returned_ns) in enumerate(
        _schedule(random, shape)
    ):
        key = b"s%d" % random.randrange(shape.keys)
        members = held.setdefault(key, set())
        fate = random.random()
        if fate < shape.reads:
            outputs = tuple(sorted(members))
            history.add(
                Operation(
                    *(client, Kind.MEMBERS, key, invoked_ns, Ending.OK, returned_ns),
                    outputs=outputs,
                )
            )
            continue
        ending, end_ns, happens = _ends(random, shape, returned_ns)
        is_removal = fate > 0.85 and bool(members)
        element = random.choice(sorted(members)) if is_removal else b"%d" % number
        if happens and is_removal:
            members.discard(element)
        elif happens:
            members.add(element)
        kind = Kind.REMOVE if is_removal else Kind.ADD
        history.add(Operation(*(client, kind, key, invoked_ns, ending, end_ns), input=element))
    return history


# What is planted

Plant = Callable[[Random, History], None]


def _last_read(random: Random, history: History, kind: Kind) -> Operation:
    """Of some key that is read late enough for much to have come before."""
    reads = [e for e in history.operations if e.op is kind and (e.output or e.outputs)]
    return random.choice(reads[-20:])


def _done_before(history: History, read: Operation, kind: Kind) -> list[Operation]:
    return [
        each
        for each in history.operations
        if each.key == read.key
        and each.op is kind
        and each.is_ok
        and (each.returned_ns or 0) < read.invoked_ns
    ]


def lose_an_increment(random: Random, history: History) -> None:
    """A read holds less than all that was acknowledged before it."""
    read = _last_read(random, history, Kind.GET)
    done = _done_before(history, read, Kind.INCREMENT)
    read.output = b"%d" % (sum(int(each.input or b"0") for each in done) - 1)


def count_twice(random: Random, history: History) -> None:
    """A read holds more than all that had begun."""
    read = _last_read(random, history, Kind.GET)
    every = [e for e in history.operations if e.key == read.key and e.op is Kind.INCREMENT]
    read.output = b"%d" % (sum(int(each.input or b"0") for each in every) + 1)


def lose_an_append(random: Random, history: History) -> None:
    """A read lacks an element whose append had been acknowledged."""
    read = _last_read(random, history, Kind.GET)
    gone = random.choice(_done_before(history, read, Kind.APPEND)).input
    left = [each for each in (read.output or b"").split(SEPARATOR) if each != gone]
    read.output = SEPARATOR.join(left)


def append_twice(random: Random, history: History) -> None:
    """A read has an element twice."""
    read = _last_read(random, history, Kind.GET)
    elements = (read.output or b"").split(SEPARATOR)
    read.output = SEPARATOR.join([*elements, random.choice(elements)])


def fork_a_list(random: Random, history: History) -> None:
    """Two reads have the same elements in different orders."""
    read = _last_read(random, history, Kind.GET)
    elements = (read.output or b"").split(SEPARATOR)
    read.output = SEPARATOR.join([*elements[:-2], elements[-1], elements[-2]])


def lose_an_element(random: Random, history: History) -> None:
    """A read lacks an element that was added before, and that nobody removes."""
    read = _last_read(random, history, Kind.MEMBERS)
    removed = {each.input for each in history.operations if each.op is Kind.REMOVE}
    added = [e.input for e in _done_before(history, read, Kind.ADD) if e.input not in removed]
    gone = random.choice(added)
    read.outputs = tuple([each for each in read.outputs or () if each != gone])


def resurrect_an_element(random: Random, history: History) -> None:
    """A read has an element whose removal had been acknowledged."""
    read = _last_read(random, history, Kind.MEMBERS)
    gone = random.choice(_done_before(history, read, Kind.REMOVE)).input or b""
    read.outputs = (*[each for each in read.outputs or () if each != gone], gone)


def double_an_element(random: Random, history: History) -> None:
    """A read has an element twice."""
    read = _last_read(random, history, Kind.MEMBERS)
    read.outputs = (*(read.outputs or ()), random.choice(read.outputs or ()))


Good = Callable[[Random, ObjectShape], History]

OBJECTS: dict[str, tuple[Good, dict[str, Plant]]] = {
    "counters": (
        good_counters,
        {"lost increment": lose_an_increment, "counted twice": count_twice},
    ),
    "lists": (
        good_lists,
        {"lost append": lose_an_append, "appended twice": append_twice, "fork": fork_a_list},
    ),
    "sets": (
        good_sets,
        {
            "lost element": lose_an_element,
            "resurrected element": resurrect_an_element,
            "doubled element": double_an_element,
        },
    ),
}
