"""Keys are drawn as often as the published distributions say."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.bench import generators
from kvstore.bench.generators import (
    ZIPFIAN_CONSTANT,
    Generator,
    KeyCounter,
    ScrambledZipfian,
    SkewedLatest,
    Uniform,
    Zipfian,
    fnv1a_64,
    zeta,
)

DRAWS = 100_000


def drawn(generator: Generator, draws: int = DRAWS) -> Counter[int]:
    return Counter(generator() for _ in range(draws))


def chi_square(found: Counter[int], expected: dict[int, float]) -> float:
    """Per degree of freedom: about 1 where the draws follow what is expected."""
    total = found.total()
    terms = ((found[key] - total * share) ** 2 / (total * share) for key, share in expected.items())
    return sum(terms) / (len(expected) - 1)


def test_the_hash_is_that_of_ycsb() -> None:
    # The names of its first two records: user6284781860667377211 and user8517097267634966620.
    assert [fnv1a_64(0), fnv1a_64(1)] == [6284781860667377211, 8517097267634966620]


@given(st.integers(0, 2**63 - 1))
def test_a_hash_has_no_sign_and_63_bits(number: int) -> None:
    assert 0 <= fnv1a_64(number) <= 2**63


def test_zeta_is_a_sum_and_can_be_gone_on_with() -> None:
    assert zeta(3, 0.99) == pytest.approx(1 + 2**-0.99 + 3**-0.99)
    assert zeta(1000, 0.99, 400, zeta(400, 0.99)) == pytest.approx(zeta(1000, 0.99))


def test_the_given_zeta_is_that_of_ten_billion() -> None:
    theta, few, many = ZIPFIAN_CONSTANT, 10_000, generators._SCRAMBLED_ITEMS
    # Euler-Maclaurin from 10,000 on: the integral, and half of either end.
    rest = (many ** (1 - theta) - few ** (1 - theta)) / (1 - theta)
    ends = (many**-theta - few**-theta) / 2
    assert zeta(few, theta) + rest + ends == pytest.approx(generators._SCRAMBLED_ZETA, abs=1e-6)


@pytest.mark.parametrize("items", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("make", [Zipfian, ScrambledZipfian, Uniform])
def test_all_numbers_are_keys(make: type[Zipfian | ScrambledZipfian | Uniform], items: int) -> None:
    assert set(drawn(make(items, Random(1)), 5_000)) <= set(range(items))


def test_uniform_keys_are_equally_frequent() -> None:
    found = drawn(Uniform(100, Random(2)))
    assert chi_square(found, dict.fromkeys(range(100), 0.01)) < 1.5


def test_zipfian_ranks_are_as_frequent_as_their_power() -> None:
    items = 1000
    total = zeta(items, ZIPFIAN_CONSTANT)
    expected = {rank: (rank + 1) ** -ZIPFIAN_CONSTANT / total for rank in range(items)}
    found = drawn(Zipfian(items, Random(3)))
    # The first two are exact, the closed form for the others is within eight percent of it.
    assert chi_square(found, {rank: expected[rank] for rank in (0, 1)}) < 4
    for first, last in ((0, 1), (0, 10), (0, 100), (10, 100), (100, 1000), (500, 1000)):
        share = sum(found[rank] for rank in range(first, last)) / DRAWS
        assert share == pytest.approx(sum(expected[r] for r in range(first, last)), rel=0.08)


def test_zipfian_numbers_grow_as_if_there_had_been_as_many_before() -> None:
    grown = Zipfian(10, Random(4))
    grown.grow(500)
    grown.grow(20)
    assert grown.items == 500
    made = Zipfian(500, Random(4))
    assert [grown() for _ in range(1000)] == [made() for _ in range(1000)]


def test_scrambling_keeps_how_popular_keys_are_and_moves_them() -> None:
    items = 10_000
    found = drawn(ScrambledZipfian(items, Random(5)))
    (first, often), (second, less) = found.most_common(2)
    assert (first, second) == (fnv1a_64(0) % items, fnv1a_64(1) % items)
    assert often / DRAWS == pytest.approx(1 / 26.469, rel=0.05)
    assert less / DRAWS == pytest.approx(2**-0.99 / 26.469, rel=0.08)
    # The most popular hundredth of the keys has thirty times what it would have evenly.
    assert sum(times for _, times in found.most_common(items // 100)) > 0.2 * DRAWS


def test_the_newest_keys_are_the_most_popular() -> None:
    keys = KeyCounter(1000)
    latest = SkewedLatest(keys, Random(6))
    first = drawn(latest, 20_000)
    assert first.most_common(1)[0][0] == 999
    assert first[999] / 20_000 == pytest.approx(1 / zeta(1000, ZIPFIAN_CONSTANT), rel=0.06)
    for _ in range(50):
        keys.end_insert(keys.insert())
    then = drawn(latest, 20_000)
    assert then.most_common(1)[0][0] == 1049
    assert set(then) <= set(range(1050))


def test_a_key_is_drawn_once_it_and_all_before_it_were_inserted() -> None:
    keys = KeyCounter(10)
    places = [keys.insert() for _ in range(3)]
    assert places == [10, 11, 12]
    keys.end_insert(places[1])
    assert keys.count == 10
    keys.end_insert(places[0])
    assert keys.count == 12


def test_processes_insert_different_keys_beyond_those_that_were_loaded() -> None:
    each = [KeyCounter(10, process, 3) for process in range(3)]
    numbers = [keys.number(keys.insert()) for keys in each for _ in range(4)]
    assert sorted(numbers) == list(range(10, 22))
    assert [keys.number(9) for keys in each] == [9, 9, 9]
