"""What every engine keeps to: one suite for RocksDB and its twin in memory."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.errors import InvariantViolation
from kvstore.storage.engine import Engine
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.rocks_engine import RocksEngine

HUGE = 1 << 40

AWKWARD_KEYS = [
    b"",
    b"\0",
    b"\0\0",
    b"\0\xff",
    b"a",
    b"a\0",
    b"a\0\xff",
    b"b",
    b"\xff",
    b"\xff\xff",
]
"""In byte order."""

keys = st.sampled_from(AWKWARD_KEYS) | st.binary(max_size=3)
changes = st.one_of(
    st.tuples(st.just("put"), keys, st.binary(max_size=5)),
    st.tuples(st.just("delete"), keys, st.just(b"")),
    st.tuples(st.just("range"), keys, keys),
)


def put_all(engine: Engine, pairs: dict[bytes, bytes]) -> None:
    batch = engine.new_batch()
    for key, value in pairs.items():
        batch.put(key, value)
    engine.write(batch)


def everything(engine: Engine) -> dict[bytes, bytes]:
    page = engine.scan(b"", None, limit=HUGE, bytes_max=HUGE)
    assert not page.more
    return dict(zip(page.keys, page.values, strict=True))


def scan_keys(
    engine: Engine, start: bytes, end: bytes | None, limit: int = HUGE, bytes_max: int = HUGE
) -> tuple[list[bytes], bool]:
    page = engine.scan(start, end, limit=limit, bytes_max=bytes_max, keys_only=True)
    assert page.values == []
    return page.keys, page.more


def test_a_new_engine_is_empty(engine: Engine) -> None:
    assert everything(engine) == {}
    assert engine.get_many([b"k"]) == [None]


def test_get_many_answers_in_order_with_none_for_what_is_not_there(engine: Engine) -> None:
    put_all(engine, {b"a": b"1", b"b": b"", b"c": b"3"})
    assert engine.get_many([b"c", b"x", b"b", b"c", b""]) == [b"3", None, b"", b"3", None]
    assert engine.get_many([]) == []


def test_a_batch_is_not_seen_before_it_is_written(engine: Engine) -> None:
    batch = engine.new_batch()
    batch.put(b"k", b"v")
    assert engine.get_many([b"k"]) == [None]
    engine.write(batch)
    assert engine.get_many([b"k"]) == [b"v"]


def test_the_changes_of_a_batch_take_effect_in_order(engine: Engine) -> None:
    put_all(engine, {b"a": b"0", b"b": b"0", b"c": b"0"})
    batch = engine.new_batch()
    batch.put(b"a", b"1")
    batch.delete(b"a")
    batch.delete_range(b"b", b"d")
    batch.put(b"c", b"2")
    batch.put(b"c", b"3")
    batch.delete(b"never there")
    engine.write(batch)
    assert everything(engine) == {b"c": b"3"}


def test_a_batch_says_how_many_changes_it_has_and_grows_in_bytes(engine: Engine) -> None:
    batch = engine.new_batch()
    assert len(batch) == 0
    empty_bytes = batch.size_in_bytes()
    batch.put(b"k", bytes(1000))
    batch.delete(b"k")
    batch.delete_range(b"k", b"l")
    assert len(batch) == 3
    assert 1000 < batch.size_in_bytes() - empty_bytes < 1200


def test_an_empty_batch_changes_nothing(engine: Engine) -> None:
    engine.write(engine.new_batch())
    assert everything(engine) == {}


def test_a_batch_is_written_once(engine: Engine) -> None:
    batch = engine.new_batch()
    batch.put(b"k", b"v")
    engine.write(batch)
    with pytest.raises(InvariantViolation):
        engine.write(batch)


def test_a_batch_of_another_engine_is_refused(engine: Engine) -> None:
    class Foreign:
        def put(self, key: bytes, value: bytes, /) -> None: ...
        def delete(self, key: bytes, /) -> None: ...
        def delete_range(self, start: bytes, end: bytes, /) -> None: ...
        def __len__(self) -> int:
            return 0

        def size_in_bytes(self) -> int:
            return 0

    with pytest.raises(TypeError):
        engine.write(Foreign())


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        (b"a", b"c", [b"", b"c", b"c\0"]),
        (b"", b"b", [b"b", b"c", b"c\0"]),
        (b"b", b"b", [b"", b"a", b"a\xff", b"b", b"c", b"c\0"]),
        (b"c", b"\xff", [b"", b"a", b"a\xff", b"b"]),
        (b"a\xff", b"c\0", [b"", b"a", b"c\0"]),
    ],
)
def test_a_range_is_deleted_from_its_start_up_to_its_end(
    engine: Engine, start: bytes, end: bytes, left: list[bytes]
) -> None:
    put_all(engine, dict.fromkeys([b"", b"a", b"a\xff", b"b", b"c", b"c\0"], b"v"))
    batch = engine.new_batch()
    batch.delete_range(start, end)
    engine.write(batch)
    assert scan_keys(engine, b"", None) == (left, False)


def test_a_range_that_ends_before_it_starts_is_refused_at_once(engine: Engine) -> None:
    batch = engine.new_batch()
    with pytest.raises(ValueError, match="ends before it starts"):
        batch.delete_range(b"b", b"a")
    assert len(batch) == 0


def test_keys_come_in_byte_order(engine: Engine) -> None:
    put_all(engine, dict.fromkeys(reversed(AWKWARD_KEYS), b"v"))
    assert scan_keys(engine, b"", None) == (AWKWARD_KEYS, False)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (b"", None, [b"a", b"b", b"c"]),
        (b"b", None, [b"b", b"c"]),
        (b"a\0", b"c", [b"b"]),
        (b"", b"", []),
        (b"b", b"b", []),
        (b"c", b"a", []),
        (b"d", None, []),
    ],
)
def test_a_scan_has_its_start_and_not_its_end(
    engine: Engine, start: bytes, end: bytes | None, expected: list[bytes]
) -> None:
    put_all(engine, dict.fromkeys([b"a", b"b", b"c"], b"v"))
    assert scan_keys(engine, start, end) == (expected, False)


def test_more_is_said_exactly_when_the_range_has_more(engine: Engine) -> None:
    put_all(engine, dict.fromkeys([b"a", b"b", b"c"], b"v"))
    assert scan_keys(engine, b"", None, limit=2) == ([b"a", b"b"], True)
    assert scan_keys(engine, b"", None, limit=3) == ([b"a", b"b", b"c"], False)
    assert scan_keys(engine, b"", b"c", limit=2) == ([b"a", b"b"], False)
    assert scan_keys(engine, b"", None, bytes_max=2) == ([b"a", b"b"], True)
    assert scan_keys(engine, b"", None, bytes_max=3) == ([b"a", b"b", b"c"], False)


def test_a_page_is_bounded_by_keys_and_values_but_never_empty(engine: Engine) -> None:
    put_all(engine, {b"a": bytes(100), b"b": bytes(100), b"c": bytes(1)})
    for bytes_max, expected in [(0, 1), (100, 1), (201, 1), (202, 2), (203, 2), (204, 3)]:
        page = engine.scan(b"", None, limit=HUGE, bytes_max=bytes_max)
        assert len(page.keys) == len(page.values) == expected
        assert page.more == (expected < 3)


def test_values_of_megabytes_come_back(engine: Engine) -> None:
    value = bytes(range(256)) * (64 << 10)  # as large as a memtable
    put_all(engine, {b"k": value, b"l": value})
    assert engine.get_many([b"k", b"l"]) == [value, value]


def test_it_holds_about_the_bytes_that_were_written(engine: Engine) -> None:
    put_all(engine, {b"k": bytes(1_000_000)})
    assert 900_000 < engine.approximate_bytes() < 2_000_000


def test_a_flush_changes_nothing_that_is_read(engine: Engine) -> None:
    for pairs in ({b"a": b"1", b"b": b"1"}, {b"b": b"2"}):
        put_all(engine, pairs)
        engine.flush()
        engine.flush()
    assert everything(engine) == {b"a": b"1", b"b": b"2"}


def test_a_flush_in_another_thread_runs_beside_writes_and_reads(engine: Engine) -> None:
    failures: list[BaseException] = []
    done = False

    def flush_over_and_over() -> None:
        try:
            while not done:
                engine.flush()
        except BaseException as problem:
            failures.append(problem)

    flusher = Thread(target=flush_over_and_over)
    flusher.start()
    for number in range(300):
        put_all(engine, {b"%d" % number: b"v", b"last": b"%d" % number})
        assert engine.get_many([b"last"]) == [b"%d" % number]
    done = True
    flusher.join()
    assert not failures
    assert len(everything(engine)) == 301


def test_a_view_shows_its_range_as_it_was(engine: Engine) -> None:
    put_all(engine, {b"a": b"0", b"b": b"1", b"c": b"2", b"d": b"3"})
    view = engine.view(b"b", b"d")
    batch = engine.new_batch()
    batch.delete_range(b"a", b"c")
    batch.put(b"bb", b"new")
    batch.put(b"c", b"new")
    engine.write(batch)
    engine.flush()
    page = view.scan(b"b", limit=HUGE, bytes_max=HUGE)
    assert (page.keys, page.values, page.more) == ([b"b", b"c"], [b"1", b"2"], False)
    page = view.scan(b"b", limit=1, bytes_max=HUGE)
    assert (page.keys, page.more) == ([b"b"], True)
    assert view.scan(b"c", limit=5, bytes_max=0).keys == [b"c"]
    view.close()
    view.close()
    with pytest.raises(InvariantViolation, match="closed"):
        view.scan(b"b", limit=1, bytes_max=1)
    assert everything(engine) == {b"bb": b"new", b"c": b"new", b"d": b"3"}


@pytest.mark.parametrize(
    ("start", "end", "forward"),
    [
        (b"b", None, [b"b", b"c", b"d"]),
        (b"b", b"d", [b"b", b"c"]),
        (b"b\0", b"d", [b"c"]),
        (b"c", b"e", [b"c", b"d"]),
        (b"c", b"c", []),
        (b"d", b"c", []),
    ],
)
def test_part_of_a_view_is_read_in_both_directions(
    engine: Engine, start: bytes, end: bytes | None, forward: list[bytes]
) -> None:
    put_all(engine, {b"a": b"0", b"b": b"1", b"c": b"2", b"d": b"3", b"e": b"4"})
    view = engine.view(b"b", b"e")
    put_all(engine, {b"bb": b"new", b"dd": b"new"})
    for reverse in (False, True):
        expected = forward[::-1] if reverse else forward
        page = view.scan(start, end, limit=HUGE, bytes_max=HUGE, keys_only=True, reverse=reverse)
        assert (page.keys, page.values, page.more) == (expected, [], False)
        page = view.scan(start, end, limit=1, bytes_max=HUGE, reverse=reverse)
        assert (page.keys, page.more) == (expected[:1], len(expected) > 1)
    view.close()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (b"", None, [b"c", b"b\xff", b"b", b"a", b""]),
        (b"b", None, [b"c", b"b\xff", b"b"]),
        (b"b\0", b"c", [b"b\xff"]),
        (b"", b"b", [b"a", b""]),
        (b"", b"b\0", [b"b", b"a", b""]),
        (b"", b"", []),
        (b"b", b"b", []),
        (b"c", b"a", []),
        (b"d", None, []),
        (b"a", b"\xff", [b"c", b"b\xff", b"b", b"a"]),
    ],
)
def test_a_reverse_scan_goes_from_its_end_down_to_its_start(
    engine: Engine, start: bytes, end: bytes | None, expected: list[bytes]
) -> None:
    put_all(engine, {key: b"of " + key for key in [b"", b"a", b"b", b"b\xff", b"c"]})
    page = engine.scan(start, end, limit=HUGE, bytes_max=HUGE, reverse=True)
    assert (page.keys, page.more) == (expected, False)
    assert page.values == [b"of " + key for key in expected]


def test_a_closed_engine_refuses_everything_but_close(engine: Engine) -> None:
    batch = engine.new_batch()
    engine.close()
    engine.close()
    for call in (
        lambda: engine.get_many([b"k"]),
        lambda: engine.scan(b"", None, limit=1, bytes_max=1),
        lambda: engine.write(batch),
        engine.flush,
        engine.approximate_bytes,
        lambda: engine.view(b"a", b"b"),
    ):
        with pytest.raises(InvariantViolation, match="closed"):
            call()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.tuples(st.lists(changes, max_size=6), st.booleans()), max_size=6),
    start=keys,
    end=st.none() | keys,
    limit=st.integers(1, 5),
    bytes_max=st.integers(0, 20),
    reverse=st.booleans(),
)
def test_both_engines_do_what_a_dict_does(
    both: tuple[Engine, Engine],
    batches: list[tuple[list[tuple[str, bytes, bytes]], bool]],
    start: bytes,
    end: bytes | None,
    limit: int,
    bytes_max: int,
    reverse: bool,
) -> None:
    model: dict[bytes, bytes] = {}
    for engine in both:
        wipe(engine)
    for operations, flush in batches:
        written = [engine.new_batch() for engine in both]
        for what, first, second in operations:
            low, high = min(first, second), max(first, second)
            if what == "put":
                model[first] = second
            elif what == "delete":
                model.pop(first, None)
            else:
                model = {k: v for k, v in model.items() if not low <= k < high}
            for batch in written:
                if what == "put":
                    batch.put(first, second)
                elif what == "delete":
                    batch.delete(first)
                else:
                    batch.delete_range(low, high)
        for engine, batch in zip(both, written, strict=True):
            engine.write(batch)
            if flush:
                engine.flush()
    in_range = sorted(
        (k for k in model if start <= k and (end is None or k < end)), reverse=reverse
    )
    for engine in both:
        assert everything(engine) == model
        page = engine.scan(start, end, limit=limit, bytes_max=bytes_max, reverse=reverse)
        assert page.keys == in_range[: len(page.keys)]
        assert page.values == [model[k] for k in page.keys]
        assert page.more == (len(page.keys) < len(in_range))
        size = sum(len(k) + len(model[k]) for k in page.keys)
        assert len(page.keys) <= limit
        assert size <= bytes_max or len(page.keys) == 1
        if page.more and len(page.keys) < limit:
            following = in_range[len(page.keys)]
            assert size + len(following) + len(model[following]) > bytes_max


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    """One of each for all examples: each example wipes them first."""
    rocks = RocksEngine(str(tmp_path_factory.mktemp("model") / "engine"))
    yield MemoryEngine(), rocks
    rocks.close()


def wipe(engine: Engine) -> None:
    batch = engine.new_batch()
    batch.delete_range(b"", b"\xff" * 4)
    engine.write(batch)
