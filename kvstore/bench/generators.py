"""Which of the keys 0 to N - 1 comes next: the distributions of YCSB. Pure; chance is handed in.

From Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (2010), and the constants of its
implementation. The zipfian generator is that of Gray et al., "Quickly Generating Billion-Record
Synthetic Databases" (1994): a closed form that needs the generalized harmonic number ζ(N, θ) once.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, Protocol

ZIPFIAN_CONSTANT: Final = 0.99
"""θ: the probability of the item of rank r is proportional to 1/r^θ."""

# Scrambled items are drawn from a range far larger than the keys, whose ζ is given: so the
# distribution does not depend on how many keys there are.
_SCRAMBLED_ITEMS: Final = 10_000_000_000
_SCRAMBLED_ZETA: Final = 26.46902820178302

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_U64: Final = (1 << 64) - 1
_I64_MAX: Final = (1 << 63) - 1


class Generator(Protocol):
    """Draws one key number after another."""

    def __call__(self) -> int:
        """The next one."""
        ...


def fnv1a_64(number: int) -> int:
    """FNV-1a of the eight bytes of `number`, lowest first, as YCSB takes it: without its sign."""
    digest = _FNV_OFFSET
    for _ in range(8):
        digest = (digest ^ (number & 0xFF)) * _FNV_PRIME & _U64
        number >>= 8
    return digest if digest <= _I64_MAX else (1 << 64) - digest


def zeta(items: int, theta: float, begun: int = 0, known: float = 0.0) -> float:
    """Σ 1/i^θ over i = 1 … `items`; `known` is that over the first `begun`. O(items - begun)."""
    return known + math.fsum(1.0 / i**theta for i in range(begun + 1, items + 1))


class Zipfian:
    """Numbers from 0 on, the least ones most often. `grow` lets there be more of them."""

    __slots__ = ("_alpha", "_eta", "_random", "_second", "_theta", "_zeta", "items")

    def __init__(
        self,
        items: int,
        random: Random,
        theta: float = ZIPFIAN_CONSTANT,
        known_zeta: float | None = None,
    ) -> None:
        self.items = items
        self._random = random.random
        self._theta = theta
        self._alpha = 1.0 / (1.0 - theta)
        self._second = 1.0 + 0.5**theta
        self._zeta = zeta(items, theta) if known_zeta is None else known_zeta
        self._settle()

    def _settle(self) -> None:
        less = 1.0 - self._second / self._zeta
        # With two items or one, the closed form is never reached: the two branches before it are.
        self._eta = (1.0 - (2.0 / self.items) ** (1.0 - self._theta)) / less if less > 0 else 0.0

    def grow(self, items: int) -> None:
        """There are `items` from now on; takes O(items that are new)."""
        if items > self.items:
            self._zeta = zeta(items, self._theta, self.items, self._zeta)
            self.items = items
            self._settle()

    def __call__(self) -> int:
        """The next number."""
        u = self._random()
        scaled = u * self._zeta
        if scaled < 1.0:
            return 0
        if scaled < self._second:
            return min(1, self.items - 1)
        number = int(self.items * (self._eta * u - self._eta + 1.0) ** self._alpha)
        return min(number, self.items - 1)


class ScrambledZipfian:
    """As popular as Zipfian has it, but popular ones lie anywhere among the keys."""

    __slots__ = ("_items", "_zipfian")

    def __init__(self, items: int, random: Random) -> None:
        self._items = items
        self._zipfian = Zipfian(_SCRAMBLED_ITEMS, random, known_zeta=_SCRAMBLED_ZETA)

    def __call__(self) -> int:
        """The next number."""
        return fnv1a_64(self._zipfian()) % self._items


class KeyCounter:
    """How many keys there are: those that were loaded, and what one client inserts beyond.

    With several client processes each inserts every `stride`-th number, so that none inserts what
    another does; each draws only from its own and those that were loaded. A key may be drawn once
    its insertion has ended, and that of all before it.
    """

    __slots__ = ("_ended", "_first", "_inserted", "_loaded", "_stride", "count")

    def __init__(self, loaded: int, first: int = 0, stride: int = 1) -> None:
        self._loaded = loaded
        self._first = first
        self._stride = stride
        self._inserted = 0
        self._ended: set[int] = set()
        self.count = loaded
        """Keys that may be drawn."""

    def number(self, place: int) -> int:
        """The number of the key at `place`."""
        beyond = place - self._loaded
        return place if beyond < 0 else self._loaded + self._first + beyond * self._stride

    def insert(self) -> int:
        """The place of a new key, whose insertion begins."""
        place = self._loaded + self._inserted
        self._inserted += 1
        return place

    def end_insert(self, place: int) -> None:
        """The insertion has ended."""
        self._ended.add(place)
        while self.count in self._ended:
            self._ended.remove(self.count)
            self.count += 1


class SkewedLatest:
    """The newest key most often, those before it the less often the older they are."""

    __slots__ = ("_keys", "_zipfian")

    def __init__(self, keys: KeyCounter, random: Random) -> None:
        self._keys = keys
        self._zipfian = Zipfian(keys.count, random)

    def __call__(self) -> int:
        """The next number."""
        count = self._keys.count
        self._zipfian.grow(count)
        return self._keys.number(count - 1 - self._zipfian())


class Uniform:
    """Each as often as any other."""

    __slots__ = ("_draw", "_items")

    def __init__(self, items: int, random: Random) -> None:
        self._items = items
        self._draw = random.random

    def __call__(self) -> int:
        """The next number."""
        return int(self._draw() * self._items)
