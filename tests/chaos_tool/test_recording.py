"""What clients ask and hear, as it comes to stand in the files of a run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvstore.chaos.recorder import EVENTS_FILE, HISTORY_FILE, Recorder
from kvstore.chaos.session import DONE, Answer, Session
from kvstore.client import AsyncClient, Consistency, Receipt
from kvstore.errors import InvalidArgument, KVStoreError, OutcomeUnknown, Unavailable
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.operation import Receipt as Told


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.close()


def recorded(recorder: Recorder, folder: Path) -> list[Operation]:
    recorder.flush()
    return History.read(folder / HISTORY_FILE).operations


def events(recorder: Recorder, folder: Path) -> list[dict[str, Any]]:
    recorder.flush()
    return [json.loads(line) for line in (folder / EVENTS_FILE).read_text().splitlines()]


async def fails(problem: KVStoreError) -> Answer:
    raise problem


async def gives(answer: Answer) -> Answer:
    return answer


def session_of(recorder: Recorder) -> Session:
    return Session(3, AsyncClient("127.0.0.1:1"), recorder)


async def test_what_was_done_stands_in_the_file_once_it_has_ended(
    recorder: Recorder, tmp_path: Path
) -> None:
    session = session_of(recorder)
    await session.ask(Kind.PUT, b"key", gives(DONE), b"value")
    found = await session.ask(Kind.GET, b"key", gives(Answer(output=b"value")))
    assert found == Answer(output=b"value")
    put, get = recorded(recorder, tmp_path)
    assert (put.op, put.input, put.outcome, put.client) == (Kind.PUT, b"value", Ending.OK, 3)
    assert (get.op, get.output) == (Kind.GET, b"value")
    assert put.returned_ns is not None
    assert put.invoked_ns < put.returned_ns < get.invoked_ns


@pytest.mark.parametrize(
    ("problem", "ending"),
    [(Unavailable("no"), Ending.FAIL), (OutcomeUnknown("perhaps"), Ending.UNKNOWN)],
)
async def test_an_error_says_whether_it_may_have_been_applied(
    recorder: Recorder, tmp_path: Path, problem: KVStoreError, ending: Ending
) -> None:
    assert await session_of(recorder).ask(Kind.PUT, b"key", fails(problem), b"v") is None
    (operation,) = recorded(recorder, tmp_path)
    assert operation.outcome is ending
    assert (operation.returned_ns is None) == (ending is Ending.UNKNOWN)
    assert recorder.errors == {type(problem).__name__: 1}


async def test_what_a_caller_gave_up_is_unknown(recorder: Recorder, tmp_path: Path) -> None:
    waiting: Awaitable[Answer] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(session_of(recorder).ask(Kind.PUT, b"key", waiting, b"v"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (operation,) = recorded(recorder, tmp_path)
    assert operation.outcome is Ending.UNKNOWN


async def test_a_load_that_breaks_a_rule_is_a_mistake_and_no_error_of_the_cluster(
    recorder: Recorder,
) -> None:
    with pytest.raises(InvalidArgument):
        await session_of(recorder).ask(Kind.PUT, b"", fails(InvalidArgument("empty")), b"v")


async def test_values_are_never_written_twice(recorder: Recorder) -> None:
    session = session_of(recorder)
    assert len({session.new_value() for _ in range(100)}) == 100


def test_no_two_times_are_the_same(recorder: Recorder) -> None:
    times = [recorder.now_ns() for _ in range(1000)]
    assert sorted(set(times)) == times


async def test_errors_are_told_once_each_by_kind(recorder: Recorder, tmp_path: Path) -> None:
    session = session_of(recorder)
    for _ in range(2):
        await session.ask(Kind.GET, b"key", fails(Unavailable("no")))
    recorder.tell_errors()
    recorder.tell_errors()
    await session.ask(Kind.GET, b"key", fails(Unavailable("no")))
    recorder.tell_errors()
    told = [(each["event"], each["kind"], each["count"]) for each in events(recorder, tmp_path)]
    assert told == [("error", "Unavailable", 2), ("error", "Unavailable", 1)]


def test_memory_does_not_grow_with_what_was_recorded(recorder: Recorder, tmp_path: Path) -> None:
    for number in range(5000):
        recorder.add(
            Operation(1, Kind.GET, b"key", number, Ending.OK, returned_ns=number, output=b"v")
        )
    assert recorder.operations == 5000
    assert len(recorded(recorder, tmp_path)) == 5000
    assert not any(
        isinstance(value, list | dict) and len(value) > 100 for value in vars(recorder).values()
    )


def receipt(revision: int, level: Consistency) -> Receipt:
    return Receipt("n2", 5, 3, revision, 40, level, None)


async def test_a_receipt_stands_with_its_operation(recorder: Recorder, tmp_path: Path) -> None:
    session = session_of(recorder)
    of_put = Answer(receipt=receipt(17, Consistency.LINEARIZABLE))
    await session.ask(Kind.PUT, b"key", gives(of_put), b"value")
    of_get = Answer(output=b"value", receipt=receipt(18, Consistency.SESSION))
    await session.ask(Kind.GET, b"key", gives(of_get))
    put, get = recorded(recorder, tmp_path)
    assert (put.node, put.partition, put.receipt) == ("n2", 5, Told(17, 3))
    assert (get.node, get.partition, get.receipt) == ("n2", 5, Told(18, 3, "session"))


async def test_reads_that_were_answered_are_counted_by_level(recorder: Recorder) -> None:
    session = session_of(recorder)
    for answer in (
        Answer(output=b"1"),
        Answer(output=b"1", receipt=receipt(1, Consistency.LINEARIZABLE)),
        Answer(output=b"1", receipt=receipt(1, Consistency.SESSION)),
        Answer(output=b"1", receipt=receipt(1, Consistency.STALE)),
    ):
        await session.ask(Kind.GET, b"key", gives(answer))
    await session.ask(Kind.GET, b"key", fails(Unavailable("no")))
    await session.ask(Kind.PUT, b"key", gives(DONE), b"value")
    assert recorder.reads == {"linearizable": 2, "session": 1, "stale": 1}
